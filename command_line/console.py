"""Print the results and messages of commands, with few imports, so that commands start quickly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, NoReturn

import orjson
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

out, err = Console(), Console(stderr=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def print_json(value: object, *, is_indented: bool = False) -> None:
    """Print a value as JSON; dataclasses and times are written too."""
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2 * is_indented).decode())


def print_lines(*lines: str) -> None:
    """Print lines as they are, however long."""
    for line in lines:
        out.print(line, highlight=False, markup=False, soft_wrap=True)


_NEVER_WRAPPED = ("run", "source", "started", "outcome", "name")  # columns of short texts
# A listing shows what a run did, not totals.
_OMITTED_COUNTS = (
    "published_before",
    "published_after",
    "gone",
)


def format_cell(value: object) -> str:
    """Return a value of a table as text: counts and fields by name, without those that are empty; a
    list without brackets; a time to the minute.
    """
    if isinstance(value, dict):
        return ", ".join(
            f"{name} {part:,}" if isinstance(part, int) else f"{name} {part}"
            for name, part in value.items()
            if part and name not in _OMITTED_COUNTS
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(format_cell, value))
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "" if value is None else str(value)


def make_table(
    rows: Sequence[Mapping[str, object]],
    title: str,
    empty: str = "none",
    columns: Sequence[str] = (),
    *,
    header: bool = True,
) -> Table | Text:
    """Return a table of rows, with or without a *header*, or a line that ends in *empty* if there
    are none.

    Without *columns*, these are the keys of all rows in order of appearance. Empty ones are left out.
    """
    if not rows:
        return Text(f"{title}: {empty}")
    used = {name for row in rows for name, value in row.items() if value is not None}
    known = columns or dict.fromkeys(name for row in rows for name in row)
    names = [name for name in known if name in used]
    table = Table(title=title, title_justify="left", box=SIMPLE, show_header=header)
    for name in names:
        table.add_column(
            name,
            justify="right" if name == "number" else "left",
            overflow="fold",
            no_wrap=name in _NEVER_WRAPPED,
        )
    for row in rows:
        table.add_row(*(escape(format_cell(row.get(name))) for name in names))
    return table


def print_rows(
    rows: Sequence[Any],
    title: str,
    json: bool,
    columns: str = "",
    *,
    empty: str = "none",
) -> None:
    """Print rows or dataclasses as JSON, or as a table of these *columns*, all if none are named, or
    the line *empty*.
    """
    if json:
        print_json(rows)
        return
    listed = [row if isinstance(row, dict) else asdict(row) for row in rows]
    out.print(make_table(listed, title, empty, columns.split()))


def choice_option(flag: str, text: str, known: Collection[str]) -> Any:
    """Return an option whose value is one of the *known* ones, which its help lists, or ""."""
    names = ", ".join(known)

    def check(value: str) -> str:
        if value and value not in known:
            raise typer.BadParameter(f"unknown value {value!r}; known are {names}")
        return value

    return typer.Option(flag, help=f"{text}: {names}.", callback=check)


def print_some(lines: Sequence[str], most: int, indent: str = "") -> None:
    """Print at most *most* lines, and how many more there are."""
    more = [f"{indent}and {len(lines) - most} more; --json lists them all"]
    print_lines(*lines[:most], *(more if len(lines) > most else ()))


def print_note(text: str, style: str = "") -> None:
    """Print a message on standard error as it is."""
    err.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Print why a command ends, and end it with an exit code."""
    print_note(message, "red")
    raise typer.Exit(code)
