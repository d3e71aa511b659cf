"""Define the commands `plans list`, `show`, `approve`, `reject` and `undo`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import orjson
import typer

from command_line.harvesting.output import Json, current_user, out, print_runs, print_statistics
from command_line.harvesting.runs import Outcomes
from command_line.harvesting.terminal import harvest_context, load_source
from command_line.settings import Settings
from harvesters.errors import PlanError
from harvesters.ledger.models import Outcome, Override, Run, State
from harvesters.runs import run_report, terminal_output
from harvesters.runs.context import HarvestContext
from harvesters.runs.plans import plan_decisions, record_changes
from harvesters.runs.plans.undo import undo as undo_run
from harvesters.runs.status_file import update_status

app = typer.Typer()
_Id = Annotated[str, typer.Argument(metavar="ID", help="Plan id (the id of its run).")]
_UNCHANGING = (Outcome.UNCHANGED, Outcome.ABSENT, Outcome.MISSING)  # outcomes that change nothing


@app.command("list")
def list_plans(ctx: typer.Context, json: Json = False) -> None:
    """List plans that await approval, oldest first, with the reasons."""
    settings: Settings = ctx.obj
    with harvest_context(settings) as context:
        rows = [run_report.run_row(run) for run in context.ledger.awaiting_review()]
    print_runs(rows, "Plans that await approval", json)


@app.command("show")
def show_plan(
    ctx: typer.Context,
    id: _Id,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show the removed and added statements of each record.")
    ] = False,
    outcome: Outcomes = None,
    json: Json = False,
) -> None:
    """Show the changes of a plan: statistics, and each changed or unpublished record."""
    settings: Settings = ctx.obj
    with harvest_context(settings) as context:
        run = _find_held_plan(id, context)
        outcomes = outcome or [outcome for outcome in Outcome if outcome not in _UNCHANGING]
        rows = (
            record_changes.diff_rows(run, context, outcomes)
            if diff
            else run_report.record_rows(run, context.ledger, outcomes)
        )
        if json:
            print(
                orjson.dumps(
                    {**run_report.run_details(run, context.ledger), "records": list(rows)}
                ).decode()
            )
            return
        print_statistics(run_report.run_details(run, context.ledger))
        if diff:
            for row in rows:
                out.print(
                    "\n".join(terminal_output.diff_lines(row)), soft_wrap=True, highlight=False
                )
        else:
            out.print(terminal_output.make_table(list(rows), f"Changes of {id}"))


@app.command()
def approve(
    ctx: typer.Context,
    id: _Id,
    override: Annotated[
        str | None,
        typer.Option(metavar="LIMIT=VALUE", help="Let one later run exceed a limit: vanished=0.6."),
    ] = None,
    until: Annotated[
        str, typer.Option(help="End of the override: a date or number of days.")
    ] = "7",
    note: Annotated[str, typer.Option(help="Reason for the audit log.")] = "",
    json: Json = False,
) -> None:
    """Approve a plan and publish its changes."""
    settings: Settings = ctx.obj
    with harvest_context(settings) as context:
        source = load_source(settings, _find_held_plan(id, context).source)
        raised = _parse_override(override, until, context.now()) if override else None
        run = plan_decisions.approve(
            context, source, id, by=current_user(), override=raised, note=note
        )
        update_status(context)
    print_runs([run_report.run_row(run)], "Approved", json)


@app.command()
def reject(
    ctx: typer.Context,
    id: _Id,
    reason: Annotated[str, typer.Option(help="Reason for the audit log.")] = "",
    json: Json = False,
) -> None:
    """Reject a plan and keep the published data."""
    settings: Settings = ctx.obj
    with harvest_context(settings) as context:
        source = load_source(settings, _find_held_plan(id, context).source)
        run = plan_decisions.reject(context, source, id, by=current_user(), reason=reason)
        update_status(context)
    print_runs([run_report.run_row(run)], "Rejected", json)


@app.command()
def undo(
    ctx: typer.Context,
    id: _Id,
    reason: Annotated[str, typer.Option(help="Reason for the audit log.")] = "",
    json: Json = False,
) -> None:
    """Undo an approval, until the next run of the source: restore what was published before."""
    settings: Settings = ctx.obj
    with harvest_context(settings) as context:
        source = load_source(settings, run_report.get_run(id, context.ledger).source)
        run = undo_run(context, source, id, by=current_user(), reason=reason)
        update_status(context)
    print_runs([run_report.run_row(run)], "Restored", json)


def _find_held_plan(id: str, context: HarvestContext) -> Run:
    run = run_report.get_run(id, context.ledger)
    if run.state is not State.HELD:
        raise PlanError(
            f"{id}: not awaiting approval (state: {run.state.value}); see: stocktake runs show {id}"
        )
    return run


def _parse_override(text: str, until: str, now: datetime) -> Override:
    """Parse LIMIT=VALUE; exit with 2 if it is malformed."""
    limit, _, value = text.partition("=")
    try:
        raised = float(value)
    except ValueError as error:
        raise typer.BadParameter(
            f"--override is {text!r}; use a limit and its value, e.g. vanished=0.6"
        ) from error
    return Override(limit, raised, _parse_until(until, now))


def _parse_until(text: str, now: datetime) -> datetime:
    """Parse a day (until its end), a time, or a number of days from *now*."""
    try:
        if text.isdigit():
            return now + timedelta(days=int(text))
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"--until is {text!r}; use a day such as 2026-03-31, or a number of days"
        ) from error
    end = time + timedelta(days=1) if len(text) <= len("2026-03-31") else time
    return end.replace(tzinfo=UTC) if end.tzinfo is None else end.astimezone(UTC)
