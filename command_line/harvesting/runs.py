"""Define the commands `runs list`, `runs show` and `runs log`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from command_line.console import Json, out, print_json
from command_line.harvesting.output import open_ledger, print_rows, print_runs, print_statistics
from command_line.settings import Context
from harvesters.ledger.ledger import LISTED_RUNS, Ledger
from harvesters.ledger.models import Outcome
from harvesters.runs import run_report, terminal_output
from harvesters.runs.locks import interrupted_runs

_SAMPLE_SIZE = 10  # records shown of each outcome if none is chosen


app = typer.Typer()
Outcomes = Annotated[
    list[Outcome] | None,
    typer.Option("--outcome", help="Only records with this outcome; repeatable."),
]


@app.command("list")
def list_runs(
    ctx: Context,
    source: Annotated[str | None, typer.Argument(help="Only runs of this source.")] = None,
    limit: Annotated[int, typer.Option(help="Maximum number of runs.", min=1)] = 50,
    json: Json = False,
) -> None:
    """List runs, newest first, with counts and outcome."""
    with open_ledger(ctx.obj) as ledger:
        runs = ledger.runs(source, limit)
        interrupted = interrupted_runs(ledger, ctx.obj.data, runs)
        rows = [run_report.run_row(run, is_interrupted=run.id in interrupted) for run in runs]
    print_runs(rows, "Runs", json, empty="none yet; start one: stocktake harvest")


@app.command("show")
def show_run(
    ctx: Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="Run id; see `stocktake runs`.")],
    outcome: Outcomes = None,
    json: Json = False,
) -> None:
    """Show the statistics of a run and its records: all with one outcome, or some of each."""
    with open_ledger(ctx.obj) as ledger:
        print_run(ledger, ctx.obj.data, id, outcome or [], json=json)


@app.command("log")
def show_log(
    ctx: Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="Run id; see `stocktake runs`.")],
    limit: Annotated[int, typer.Option(help="Maximum number of lines, the newest.", min=1)] = 200,
    json: Json = False,
) -> None:
    """Show the log of a run, also of one in progress."""
    with open_ledger(ctx.obj) as ledger:
        run = run_report.get_run(id, ledger)
        lines = ledger.log_lines(run=run.id, limit=limit)[::-1]
    rows = [
        {
            "time": f"{line.time:%Y-%m-%d %H:%M:%S}",
            "level": line.level,
            "event": line.event,
            **line.fields,
        }
        for line in lines
    ]
    table_rows = [{**dict(list(row.items())[:3]), "fields": _join_fields(row)} for row in rows]
    print_rows(rows, f"Log of {id}", json, table_rows=table_rows, empty="no lines")


def _join_fields(row: dict[str, object]) -> str:
    """Return the fields after time, level and event as text."""
    return ", ".join(
        f"{name}={value}" for name, value in list(row.items())[3:] if value not in (None, 0)
    )


def print_run(ledger: Ledger, data: Path, id: str, outcomes: list[Outcome], *, json: bool) -> None:
    """Print a run's statistics and records."""
    run = run_report.get_run(id, ledger)
    is_interrupted = bool(interrupted_runs(ledger, data, [run]))
    details = run_report.run_details(run, ledger, is_interrupted=is_interrupted)
    records = run_report.record_rows(run, ledger, outcomes or list(Outcome))
    if json:
        print_json({**details, "records": list(records)})
        return
    print_statistics(details)
    if not details["listed"]:
        out.print(
            f"Its records are no longer listed: those of the last {LISTED_RUNS} runs of a source are.",
            highlight=False,
        )
        return
    if outcomes:
        out.print(
            terminal_output.make_table(
                list(records), f"{id}: {', '.join(outcome.value for outcome in outcomes)}"
            )
        )
        return
    for outcome in Outcome:
        rows = list(islice(run_report.record_rows(run, ledger, [outcome]), _SAMPLE_SIZE))
        if rows:
            out.print(terminal_output.make_table(rows, f"{id}: {outcome.value}"))
        if (left := ledger.outcomes(run)[outcome] - len(rows)) > 0 and rows:
            out.print(
                f"and {left:,} more: stocktake runs show {id} --outcome {outcome.value}",
                highlight=False,
            )
