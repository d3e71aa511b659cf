"""The front door: one command line over both wings, and the settings that they are given."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import structlog
import typer
from rich.console import Console
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

import harvesters.cli
import harvesters.demo.cli
import publisher.cli
import shapes.cli
from harvesters.errors import HarvestError
from journal.errors import JournalError
from shapes.validate import Name
from vocab.iris import BASE, is_web

_err = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the wings are given; each comes from a flag or from its environment variable."""

    VARIABLES: ClassVar[Mapping[str, str]] = {
        "STOCKTAKE_DATA": "Folder of journal, archive, ledger, shelf and dumps.",
        "STOCKTAKE_SOURCES": "Folder of the registries' cards.",
        "STOCKTAKE_BASE": "What every IRI begins with; set it once, it never changes.",
        "STOCKTAKE_LEDGER": "SQLAlchemy URL of the ledger; SQLite in the data folder when not set.",
        "STOCKTAKE_ALLOW_HOSTS": "Hosts, comma-separated, that may lie on a private network.",
        "STOCKTAKE_CONTACT": "Address that registries find in our User-Agent.",
        "STOCKTAKE_SHAPES_ENGINE": "SHACL engine of the harvest: rust (fast) or reference (pyshacl).",
    }

    data: Path
    sources: Path
    base: str
    ledger: str
    allow_hosts: frozenset[str]
    contact: str
    shapes_engine: Name


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Harvest registries and publish them as linked data.")
app.add_typer(harvesters.cli.app)
app.add_typer(publisher.cli.app)
app.add_typer(harvesters.demo.cli.app)
app.add_typer(shapes.cli.app, name="shapes")


def _option(variable: str) -> typer.models.OptionInfo:
    flag = "--" + variable.removeprefix("STOCKTAKE_").lower().replace("_", "-")
    return typer.Option(flag, envvar=variable, help=Settings.VARIABLES[variable])


@app.callback()
def settle(
    context: typer.Context,
    data: Annotated[Path, _option("STOCKTAKE_DATA")] = Path("data"),
    sources: Annotated[Path, _option("STOCKTAKE_SOURCES")] = Path("sources"),
    base: Annotated[str, _option("STOCKTAKE_BASE")] = BASE,
    ledger: Annotated[str, _option("STOCKTAKE_LEDGER")] = "",
    allow_hosts: Annotated[str, _option("STOCKTAKE_ALLOW_HOSTS")] = "",
    contact: Annotated[str, _option("STOCKTAKE_CONTACT")] = "no contact given",
    shapes_engine: Annotated[str, _option("STOCKTAKE_SHAPES_ENGINE")] = "rust",
) -> None:
    """Check the settings before any command runs."""
    for name in sorted(os.environ):
        if name.startswith("STOCKTAKE_") and name not in Settings.VARIABLES:
            raise typer.BadParameter(f"unknown setting {name}; known are {', '.join(Settings.VARIABLES)}")
    if shapes_engine not in ("rust", "reference"):
        raise typer.BadParameter(f"STOCKTAKE_SHAPES_ENGINE is {shapes_engine!r}; use rust or reference")
    context.obj = Settings(
        data=data,
        sources=sources,
        base=_base(base),
        ledger=_ledger(ledger, data),
        allow_hosts=frozenset(host.strip() for host in allow_hosts.split(",") if host.strip()),
        contact=_contact(contact),
        shapes_engine="reference" if shapes_engine == "reference" else "rust",
    )


def _base(base: str) -> str:
    if not is_web(base) or base[-1] not in "/#":
        raise typer.BadParameter(f"STOCKTAKE_BASE is {base!r}; use a web address that ends with a slash")
    return base


def _ledger(url: str, data: Path) -> str:
    if not url:
        return f"sqlite:///{data}/ledger.sqlite"
    try:
        make_url(url)
    except ArgumentError as error:
        raise typer.BadParameter("STOCKTAKE_LEDGER is no SQLAlchemy URL, such as postgresql+psycopg://user@host/name") from error
    return url


def _contact(text: str) -> str:
    if not text.isprintable() or not text.isascii():
        raise typer.BadParameter(f"STOCKTAKE_CONTACT is {text!r}; use plain ASCII, e.g. an address of mail")
    return text


def main() -> None:
    """Run the command line; a known trouble is one line on standard error and exit code 1."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "source", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        app()
    except (HarvestError, JournalError) as error:
        _err.print(str(error), style="red", markup=False)
        sys.exit(1)
