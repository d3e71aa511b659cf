"""Open the ledger and print results, with few imports, so that commands that only read the ledger
start quickly.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from command_line.console import out, print_json, print_lines
from command_line.settings import Settings
from harvesters.errors import LedgerError
from harvesters.ledger.integrity import has_ledger, require_intact
from harvesters.ledger.ledger import Ledger
from harvesters.runs import run_report, terminal_output


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger after a check for damage. Its folder is created, since a key or an edition
    may be stored before any run.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    require_intact(settings.ledger)
    ledger = Ledger(settings.ledger)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def open_existing(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger. Raises LedgerError if this machine has none, since opening would create it."""
    if not has_ledger(settings.ledger):
        raise LedgerError(
            "this machine has no ledger, before the first harvest or as a mirror; harvest first, or ask the installation that harvests"
        )
    with open_ledger(settings) as ledger:
        yield ledger


def current_user() -> str:
    """Return the user at the terminal for the audit log; users of a container may have no name."""
    try:
        return f"{getpass.getuser()} at the terminal"
    except (KeyError, OSError):
        return f"user {os.getuid()} at the terminal"


def print_statistics(details: run_report.Row) -> None:
    """Print the statistics of a run (``run_report.run_details``), and below them its times and
    reason.
    """
    out.print(terminal_output.statistics_table(details))
    print_lines(*terminal_output.statistics_lines(details))


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
        print_json(rows)
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
        print_lines(*terminal_output.reason_lines(rows))
