"""Show runs and the records behind each of their counts."""

from __future__ import annotations

from fastapi import APIRouter, Response

from harvesters.admin import pagination, records
from harvesters.admin.access.auth import ContextDep, Reader
from harvesters.admin.api.paging import Limit, add_next_link
from harvesters.admin.schemas import RunView
from harvesters.ledger import run_log
from harvesters.ledger.models import LogLine, Outcome, State
from harvesters.problems import ERROR_RESPONSES

routes = APIRouter(tags=["runs"], responses=ERROR_RESPONSES)


@routes.get("/runs")
def list_runs(
    key: Reader,
    context: ContextDep,
    response: Response,
    limit: Limit = 50,
    source: str | None = None,
    state: State | None = None,
    after: str | None = None,
) -> pagination.RunPage:
    """List the runs, newest first, of one source or of all."""
    page = pagination.list_runs(context, limit, after, source, state)
    add_next_link(
        response, page.next, limit=limit, source=source, state=state.value if state else None
    )
    return page


@routes.get("/runs/{id}")
def show_run(id: str, key: Reader, context: ContextDep) -> RunView:
    """Show a run: its counts, and why it ended as it did."""
    return pagination.run_views(context, [pagination.get_run(context.ledger, id)])[0]


@routes.get("/runs/{id}/records")
def list_records(
    id: str,
    key: Reader,
    context: ContextDep,
    response: Response,
    outcome: Outcome,
    limit: Limit = 50,
    after: int | None = None,
) -> records.Records:
    """List the records behind a count of the run."""
    page = records.list_records(
        context.ledger, pagination.get_run(context.ledger, id), outcome, limit, after
    )
    add_next_link(response, page.next, outcome=outcome.value, limit=limit)
    return page


@routes.get("/runs/{id}/log")
def show_log(
    id: str, key: Reader, context: ContextDep, limit: Limit = 50, before: int | None = None
) -> list[LogLine]:
    """Show the newest log lines of a run, newest first; *before* is the number of a line."""
    return run_log.log_lines(
        context.ledger, run=pagination.get_run(context.ledger, id).id, before=before, limit=limit
    )
