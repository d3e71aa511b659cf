"""Acts: who did what, and when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from harvesters.desk import listing
from harvesters.desk.api.paging import Limit, onward
from harvesters.desk.gate import Here, Reader

routes = APIRouter(tags=["acts"])


@routes.get("/acts")
def list_acts(
    key: Reader,
    office: Here,
    response: Response,
    limit: Limit = 50,
    source: str | None = None,
    after: Annotated[int | None, Query(ge=0)] = None,
) -> listing.Acts:
    """List what persons did, newest first."""
    found = listing.acts(office.ledger, limit, after, source)
    onward(response, found.next, limit=limit, source=source)
    return found
