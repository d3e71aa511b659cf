"""The settings and the output of harvester commands; it imports little, so that commands that read the ledger start soon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, Protocol

import orjson
import typer
from rich.console import Console

from harvesters.ledger.integrity import require_intact
from harvesters.ledger.ledger import Ledger
from harvesters.runs import run_report, terminal_output

out, err = Console(), Console(stderr=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class HarvestSettings(Protocol):
    """The settings that the harvester commands need."""

    @property
    def data(self) -> Path: ...  # noqa: D102 - documented in command_line.settings
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
    def shapes_engine(self) -> Literal["rust", "reference"]: ...  # noqa: D102
    @property
    def processes(self) -> int: ...  # noqa: D102
    @property
    def dask(self) -> str: ...  # noqa: D102
    @property
    def smtp(self) -> str: ...  # noqa: D102
    @property
    def webhook_secret(self) -> str: ...  # noqa: D102
    @property
    def public_url(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102


@contextmanager
def open_ledger(settings: HarvestSettings) -> Iterator[Ledger]:
    """Open the ledger alone, for commands that only read it."""
    settings.data.mkdir(parents=True, exist_ok=True)
    require_intact(settings.ledger)
    ledger = Ledger(settings.ledger)
    try:
        yield ledger
    finally:
        ledger.close()


def print_statistics(details: run_report.Row) -> None:
    """Print the statistics of a run (``run_report.run_details``), and below them its times and reason."""
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
    """Print rows as JSON, or as a table: *table_rows* if the table has other columns, or the line *empty*.
    """
    if json:
        print(orjson.dumps(rows).decode())
    else:
        out.print(terminal_output.make_table(rows if table_rows is None else table_rows, title, empty))


def print_runs(
    rows: Sequence[Mapping[str, object]], title: str, json: bool, *, empty: str = "none"
) -> None:
    """Print runs as JSON, or as a table with the reasons below."""
    print_rows(rows, title, json, table_rows=terminal_output.run_list(rows), empty=empty)
    if not json:
        for line in terminal_output.reason_lines(rows):
            out.print(line, highlight=False, markup=False)
