"""The terminal: what every command of the left wing is given, and how rows are shown."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Protocol

import orjson
import typer
from rich.console import Console

from harvesters.compatibility import check_compatible
from harvesters.errors import SourceDefinitionError
from harvesters.pipeline.isolation import Collectors
from harvesters.runs import terminal_output
from harvesters.runs.context import HarvestContext, open_context
from harvesters.source import Source, load_all
from shapes.validate import EngineName

out, err = Console(), Console(stderr=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class Settings(Protocol):
    """What this wing needs of the front door's settings."""

    @property
    def data(self) -> Path: ...  # noqa: D102 - the front door's Settings say what each is
    @property
    def sources(self) -> Path: ...  # noqa: D102
    @property
    def base(self) -> str: ...  # noqa: D102
    @property
    def ledger(self) -> str: ...  # noqa: D102
    @property
    def contact(self) -> str: ...  # noqa: D102
    @property
    def allow_hosts(self) -> frozenset[str]: ...  # noqa: D102
    @property
    def shapes_engine(self) -> EngineName: ...  # noqa: D102
    @property
    def processes(self) -> int: ...  # noqa: D102
    @property
    def dask(self) -> str: ...  # noqa: D102


def harvest_context(it: Settings) -> AbstractContextManager[HarvestContext]:
    """Open what runs work with; answers are read in processes of their own."""
    return open_context(
        it.data, it.ledger, it.base, it.contact, it.allow_hosts, it.shapes_engine, it.sources, it.processes, it.dask, Collectors(it.base)
    )


def load_sources(settings: Settings) -> list[Source]:
    """Read all cards; exit with 2 where one is wrong."""
    try:
        cards = load_all(settings.sources)
        for card in cards:
            check_compatible(card)
    except SourceDefinitionError as error:
        err.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from error
    return cards


def select_sources(cards: Sequence[Source], names: Sequence[str]) -> list[Source]:
    """Give the named sources, or all that are enabled where none is named; exit with 2 where there is no such card."""
    known = {card.name: card for card in cards}
    for name in names:
        if name not in known:
            err.print(f"[red]no source named {name!r}[/red]; there are: {', '.join(known) or 'none'}")
            raise typer.Exit(2)
    return [known[name] for name in names] or [card for card in cards if card.enabled]


def current_user() -> str:
    """Name who sits at the terminal, as acts tell it; a container may have users without a name."""
    try:
        return f"{getpass.getuser()} at the terminal"
    except (KeyError, OSError):
        return f"user {os.getuid()} at the terminal"


def print_rows(rows: Sequence[Mapping[str, object]], title: str, json: bool) -> None:
    """Print rows as a table or as JSON."""
    if json:
        print(orjson.dumps(rows).decode())
    else:
        out.print(terminal_output.make_table(rows, title))
