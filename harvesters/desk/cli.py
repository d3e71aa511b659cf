"""The desk's commands: keys create, list, revoke."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol

import orjson
import typer
from rich.console import Console

from harvesters.desk import keyring
from harvesters.desk.keys import Scope, scope
from harvesters.desk.views import KeyView, key_view
from harvesters.ledger.book import Ledger
from harvesters.ledger.decisions import Act
from harvesters.runs import report

app = typer.Typer(no_args_is_help=True, help="The keys of the operators' desk.")
_out, _err = Console(), Console(stderr=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class Settings(Protocol):
    """What the desk's commands need of the front door's settings."""

    @property
    def data(self) -> Path: ...  # noqa: D102 - the front door's Settings say what each is
    @property
    def ledger(self) -> str: ...  # noqa: D102


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is, as acts will tell: a person's name, or a machine's.")],
    allowed: Annotated[str, typer.Option("--scope", help="read looks, operate also decides, admin also makes keys.")],
    expires: Annotated[int | None, typer.Option(help="Days until it is no longer good; never where not given.", min=1, max=36500)] = None,
    json: Json = False,
) -> None:
    """Make a key and show it, this once: the ledger keeps only its hash."""
    found = scope(allowed)
    if found is None:
        raise typer.BadParameter(f"--scope is {allowed!r}; use {', '.join(it.word for it in Scope)}")
    if not keyring.good(name):
        raise typer.BadParameter(f"NAME is {name!r}; use 1 to {keyring.LONGEST} letters that can be seen")
    with _ledger(context.obj) as ledger:
        key, token = keyring.create(ledger, name, found, _now(), expires)
        ledger.note(Act(_now(), _me(), "key created", note=f"{key.who}, {key.scope.word}"))
    if json:
        print(orjson.dumps({**asdict(key_view(key, _now())), "key": token}).decode())
        return
    print(token)
    _err.print("This is the key. It is not shown again; keep it where you keep passwords.", highlight=False)


@app.command("list")
def list_keys(context: typer.Context, json: Json = False) -> None:
    """List the keys, also those that are no longer good; never what would open the door."""
    with _ledger(context.obj) as ledger:
        views = [key_view(key, _now()) for key in keyring.listed(ledger)]
    if json:
        print(orjson.dumps(views).decode())
    else:
        _out.print(report.table([_row(view) for view in views], "Keys"))


@app.command()
def revoke(
    context: typer.Context,
    number: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `stocktake keys list` shows it.")],
    json: Json = False,
) -> None:
    """End a key for good, at once, and the sessions that it began."""
    with _ledger(context.obj) as ledger:
        key = keyring.revoke(ledger, number, _now())
        ledger.note(Act(_now(), _me(), "key revoked", note=key.who))
    print(orjson.dumps(key_view(key, _now())).decode() if json else f"{key.who} is revoked")


@contextmanager
def _ledger(settings: Settings) -> Iterator[Ledger]:
    settings.data.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(settings.ledger)
    try:
        yield ledger
    finally:
        ledger.close()


def _row(view: KeyView) -> dict[str, object]:
    """Show a key as a row that fits a terminal, its times as days."""
    return {name: f"{value:%Y-%m-%d}" if isinstance(value, datetime) else value for name, value in asdict(view).items()}


def _me() -> str:
    """Give who acts: the account at the terminal, or its number where it has no name, as in a container."""
    try:
        return f"{getpass.getuser()} (terminal)"
    except (KeyError, OSError):  # until Python 3.12, and since
        return f"account {os.getuid()} (terminal)"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
