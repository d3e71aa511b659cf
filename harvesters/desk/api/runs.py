"""Runs: a run's account, and every record behind each of its numbers."""

from __future__ import annotations

from fastapi import APIRouter, Response

from harvesters.desk import listing, records
from harvesters.desk.api.paging import Limit, onward
from harvesters.desk.gate import Here, Reader
from harvesters.desk.views import RunView, run_view
from harvesters.ledger.account import Outcome, State

routes = APIRouter(tags=["runs"])


@routes.get("/runs")
def list_runs(
    key: Reader,
    office: Here,
    response: Response,
    limit: Limit = 50,
    source: str | None = None,
    state: State | None = None,
    after: str | None = None,
) -> listing.Runs:
    """List the runs, newest first, of one source or of all."""
    found = listing.runs(office.ledger, limit, after, source, state)
    onward(response, found.next, limit=limit, source=source, state=state.value if state else None)
    return found


@routes.get("/runs/{id}")
def show_run(id: str, key: Reader, office: Here) -> RunView:
    """Show a run's account: its numbers, and why it ended as it did."""
    return run_view(listing.run(office.ledger, id))


@routes.get("/runs/{id}/records")
def list_records(
    id: str, key: Reader, office: Here, response: Response, outcome: Outcome, limit: Limit = 50, after: int | None = None
) -> records.Records:
    """List the records behind a number of the account."""
    found = records.listed(office.ledger, listing.run(office.ledger, id), outcome, limit, after)
    onward(response, found.next, outcome=outcome.value, limit=limit)
    return found
