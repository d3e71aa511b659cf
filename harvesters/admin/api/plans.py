"""Show, approve and reject plans."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from harvesters.admin import actions, pagination, plans, records
from harvesters.admin.access.auth import ContextDep, Operator, Reader
from harvesters.admin.api.paging import Limit, add_next_link
from harvesters.admin.schemas import RunView, run_view
from harvesters.ledger.models import Outcome, State
from harvesters.problems import ERROR_RESPONSES
from harvesters.runs.plans.plan_decisions import OVERRIDABLE_LIMITS
from harvesters.site import MAX_NOTE_LENGTH
from vocab.iris import Iris

routes = APIRouter(tags=["plans"], responses=ERROR_RESPONSES)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class OverrideRequest:
    """A limit of the source to raise for one later run; it expires at *until*, a time with its
    zone.
    """

    limit: Annotated[str, Field(description=", ".join(OVERRIDABLE_LIMITS))]
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    until: datetime


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Approval:
    """Why a plan is approved, and what the source may exceed once."""

    note: Annotated[str, Field(max_length=MAX_NOTE_LENGTH)] = ""
    override: OverrideRequest | None = None


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Rejection:
    """Why a plan is rejected."""

    reason: Annotated[str, Field(max_length=MAX_NOTE_LENGTH)] = ""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Undoing:
    """Why an approval is undone."""

    reason: Annotated[str, Field(max_length=MAX_NOTE_LENGTH)] = ""


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


@routes.post("/plans/{id}/approve")
def approve(
    id: str, key: Operator, context: ContextDep, approval: Approval | None = None
) -> RunView:
    """Approve a plan and commit it; 409 if it is no longer open."""
    requested = approval.override if approval else None
    override = (
        plans.parse_override(context, requested.limit, requested.value, requested.until)
        if requested
        else None
    )
    return run_view(
        actions.approve(
            context,
            key,
            pagination.get_run(context.ledger, id),
            approval.note if approval else "",
            override,
        )
    )


@routes.post("/plans/{id}/undo")
def undo(id: str, key: Operator, context: ContextDep, undoing: Undoing | None = None) -> RunView:
    """Undo an approval until the next run of the source; 409 afterwards. Returns the run that
    restored the data.
    """
    return run_view(
        actions.undo(
            context, key, pagination.get_run(context.ledger, id), undoing.reason if undoing else ""
        )
    )


@routes.post("/plans/{id}/reject")
def reject(
    id: str, key: Operator, context: ContextDep, rejection: Rejection | None = None
) -> RunView:
    """Reject a plan; the last good data stays. 409 if it is no longer open."""
    return run_view(
        actions.reject(
            context,
            key,
            pagination.get_run(context.ledger, id),
            rejection.reason if rejection else "",
        )
    )
