"""Plans: what waits for a person; show, approve, reject."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from harvesters.desk import deeds, listing, plans, records
from harvesters.desk.api.paging import Limit, onward
from harvesters.desk.gate import Here, Operator, Reader
from harvesters.desk.views import RunView, run_view
from harvesters.ledger.account import Outcome, State
from harvesters.runs.decide import RAISABLE
from vocab.iris import Iris

routes = APIRouter(tags=["plans"])


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class OverrideWanted:
    """A limit of the source's card that is raised for one later run; it is void after *until*, a time with its zone."""

    limit: Annotated[str, Field(description=", ".join(RAISABLE))]
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    until: datetime


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Approval:
    """Why a plan is approved, and what the source may do once more."""

    note: Annotated[str, Field(max_length=deeds.NOTE)] = ""
    override: OverrideWanted | None = None


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Rejection:
    """Why a plan is rejected."""

    reason: Annotated[str, Field(max_length=deeds.NOTE)] = ""


@routes.get("/plans")
def list_plans(
    key: Reader, office: Here, response: Response, limit: Limit = 50, source: str | None = None, after: str | None = None
) -> listing.Runs:
    """List the plans that wait for a person."""
    found = listing.runs(office.ledger, limit, after, source, State.HELD)
    onward(response, found.next, limit=limit, source=source)
    return found


@routes.get("/plans/{id}")
def show_plan(id: str, key: Reader, office: Here) -> plans.PlanView:
    """Show a plan: what it would change, counted, the limits of its source, and why it waits."""
    return plans.view(office, listing.run(office.ledger, id))


@routes.get("/plans/{id}/records")
def list_changes(
    id: str, key: Reader, office: Here, response: Response, outcome: Outcome, limit: Limit = 50, after: int | None = None, diff: bool = True
) -> records.Records:
    """List the records that a plan would change in one way, each with the statements that it takes away and brings."""
    found = records.listed(office.ledger, listing.run(office.ledger, id), outcome, limit, after, diff=Iris(office.base) if diff else None)
    onward(response, found.next, outcome=outcome.value, limit=limit, diff=str(diff).lower())
    return found


@routes.post("/plans/{id}/approve")
def approve(id: str, key: Operator, office: Here, approval: Approval | None = None) -> RunView:
    """Commit a plan as it is; 409 where it is no longer open."""
    asked = approval.override if approval else None
    override = plans.override(office, asked.limit, asked.value, asked.until) if asked else None
    return run_view(deeds.approve(office, key, listing.run(office.ledger, id), approval.note if approval else "", override))


@routes.post("/plans/{id}/reject")
def reject(id: str, key: Operator, office: Here, rejection: Rejection | None = None) -> RunView:
    """Drop a plan; the last good data stays. 409 where it is no longer open."""
    return run_view(deeds.reject(office, key, listing.run(office.ledger, id), rejection.reason if rejection else ""))
