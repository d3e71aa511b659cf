"""Define the commands `plans list` and `show`; the others are operations."""

from __future__ import annotations

from typing import Annotated

import typer

from command_line.console import Json, out, print_json
from command_line.harvesting.output import print_runs, print_statistics
from command_line.harvesting.runs import Outcomes
from command_line.harvesting.terminal import harvest_context
from command_line.settings import Context
from harvesters.ledger.models import Outcome
from harvesters.runs import run_report, terminal_output
from harvesters.runs.commit import diff_rows
from harvesters.runs.plan import find_held_plan

app = typer.Typer()
_Id = Annotated[str, typer.Argument(metavar="ID", help="Plan id (the id of its run).")]
_UNCHANGING = (Outcome.UNCHANGED, Outcome.ABSENT, Outcome.MISSING)  # outcomes that change nothing


@app.command("list")
def list_plans(ctx: Context, json: Json = False) -> None:
    """List plans that await approval, oldest first, with the reasons."""
    with harvest_context(ctx.obj) as context:
        rows = [run_report.run_row(run) for run in context.ledger.awaiting_review()]
    print_runs(rows, "Plans that await approval", json)


@app.command("show")
def show_plan(
    ctx: Context,
    id: _Id,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show the removed and added statements of each record.")
    ] = False,
    outcome: Outcomes = None,
    json: Json = False,
) -> None:
    """Show the changes of a plan: statistics, and each changed or unpublished record."""
    with harvest_context(ctx.obj) as context:
        run = find_held_plan(context.ledger, id, run_report.get_run(id, context.ledger).source)
        outcomes = outcome or [outcome for outcome in Outcome if outcome not in _UNCHANGING]
        rows = (
            diff_rows(run, context, outcomes)
            if diff
            else run_report.record_rows(run, context.ledger, outcomes)
        )
        if json:
            print_json({**run_report.run_details(run, context.ledger), "records": list(rows)})
            return
        print_statistics(run_report.run_details(run, context.ledger))
        if diff:
            for row in rows:
                out.print(
                    "\n".join(terminal_output.diff_lines(row)), soft_wrap=True, highlight=False
                )
        else:
            out.print(terminal_output.make_table(list(rows), f"Changes of {id}"))
