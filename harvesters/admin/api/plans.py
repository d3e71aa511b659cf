"""Show, approve and reject plans."""

from __future__ import annotations

from fastapi import APIRouter, Response

from harvesters.admin import pagination, plans, records
from harvesters.admin.access.auth import ContextDep, Reader
from harvesters.admin.api.paging import Limit, add_next_link
from harvesters.ledger.models import Outcome, State
from harvesters.problems import ERROR_RESPONSES
from vocab.iris import Iris

routes = APIRouter(tags=["plans"], responses=ERROR_RESPONSES)


@routes.get("/plans")
def list_plans(
    key: Reader,
    context: ContextDep,
    response: Response,
    limit: Limit = 50,
    source: str | None = None,
    after: str | None = None,
) -> pagination.RunPage:
    """List the plans that await approval."""
    page = pagination.list_runs(context, limit, after, source, State.HELD)
    add_next_link(response, page.next, limit=limit, source=source)
    return page


@routes.get("/plans/{id}")
def show_plan(id: str, key: Reader, context: ContextDep) -> plans.PlanView:
    """Show a plan: its changes, counted, the limits of its source, and why it awaits approval."""
    return plans.plan_view(context, pagination.get_run(context.ledger, id))


@routes.get("/plans/{id}/records")
def list_changes(
    id: str,
    key: Reader,
    context: ContextDep,
    response: Response,
    outcome: Outcome,
    limit: Limit = 50,
    after: int | None = None,
    diff: bool = True,
) -> records.Records:
    """List the records that a plan would change in one way, each with the statements that it
    removes and adds.
    """
    page = records.list_records(
        context.ledger,
        pagination.get_run(context.ledger, id),
        outcome,
        limit,
        after,
        diff=Iris(context.base) if diff else None,
    )
    add_next_link(response, page.next, outcome=outcome.value, limit=limit, diff=str(diff).lower())
    return page
