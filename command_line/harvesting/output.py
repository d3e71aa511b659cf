"""Open the ledger and print results, with few imports, so that commands that only read the ledger
start soon.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, NoReturn

import orjson
import typer
from rich.console import Console

from command_line.settings import Settings
from harvesters.ledger.integrity import require_intact
from harvesters.ledger.ledger import Ledger
from harvesters.runs import run_report, terminal_output

out, err = Console(), Console(stderr=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger alone, after a check for damage; its folder is created, since a key or an
    edition may come before any run.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    require_intact(settings.ledger)
    ledger = Ledger(settings.ledger)
    try:
        yield ledger
    finally:
        ledger.close()


def current_user() -> str:
    """Return the user at the terminal for the audit log; users of a container may have no name."""
    try:
        return f"{getpass.getuser()} at the terminal"
    except (KeyError, OSError):
        return f"user {os.getuid()} at the terminal"


def print_lines(*lines: str) -> None:
    """Print lines as they are, however long."""
    for line in lines:
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def print_error(text: str, style: str = "red") -> None:
    """Print a message on standard error as it is."""
    err.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Print why a command ends, and end it with an exit code."""
    print_error(message)
    raise typer.Exit(code)


def print_statistics(details: run_report.Row) -> None:
    """Print the statistics of a run (``run_report.run_details``), and below them its times and
    reason.
    """
    out.print(terminal_output.statistics_table(details))
    for line in terminal_output.statistics_lines(details):
        out.print(line, highlight=False, markup=False)


def print_rows(
    rows: Sequence[Mapping[str, object]],
    title: str,
    json: bool,
    *,
    table_rows: Sequence[Mapping[str, object]] | None = None,
    empty: str = "none",
) -> None:
    """Print rows as JSON, or as a table: *table_rows* if the table has other columns, or the line
    *empty*.
    """
    if json:
        print(orjson.dumps(rows).decode())
    else:
        out.print(
            terminal_output.make_table(rows if table_rows is None else table_rows, title, empty)
        )


def print_runs(
    rows: Sequence[Mapping[str, object]], title: str, json: bool, *, empty: str = "none"
) -> None:
    """Print runs as JSON, or as a table with the reasons below."""
    print_rows(rows, title, json, table_rows=terminal_output.run_list(rows), empty=empty)
    if not json:
        for line in terminal_output.reason_lines(rows):
            out.print(line, highlight=False, markup=False)
