"""``/health``: whether the store responds, which snapshot it serves and how far it is behind the journal."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, Literal, NotRequired

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from journal import mirror_origin
from journal.errors import JournalError
from publisher.http.endpoints import Count
from publisher.pages.dependencies import ServiceDep
from publisher.store.query_service import QueryService


class ProjectionJson(TypedDict):
    """A projection of the journal: the newest entry that it has, -1 before the first, and the error that stopped it."""

    position: NotRequired[Annotated[int, Field(ge=-1)]]
    error: NotRequired[str]


class Health(TypedDict):
    """The state of this server. *position* is the newest published journal entry, *lag* the number of newer ones."""

    status: Literal["ok", "degraded", "starting", "unavailable"]
    reason: NotRequired[str]
    position: Count
    quads: Count
    lag: int
    snapshot: NotRequired[Count]
    projections: NotRequired[dict[str, ProjectionJson]]
    mirror: NotRequired[dict[str, object]]
    journal: NotRequired[dict[str, object]]
    store: NotRequired[dict[str, object]]
    sparql_store: NotRequired[dict[str, object]]
    start: NotRequired[dict[str, str]]


router = APIRouter()
_FRESH = {"Cache-Control": "no-store"}


@router.get(
    "/health",
    operation_id="health",
    summary="Report whether queries are answered and how far the store is behind the journal",
    tags=["watch"],
    response_model=Health,
    response_description="Queries are answered",
    responses={
        503: {
            "model": Health,
            "description": "The server is starting, or its store does not answer",
        }
    },
)
async def health(request: Request, service: ServiceDep) -> Response:
    """Load balancers and monitors read this."""
    snapshot, (lag, details) = service.snapshot, await _journal_state(service)
    details |= {"store": {"error": service.journal.store_error}} if service.journal.store else {}
    details |= {"sparql_store": {"error": service.store_failure}} if service.store_failure else {}
    if snapshot is None:
        starting = {
            "status": "starting",
            "reason": service.starting,
            "position": 0,
            "quads": 0,
            "lag": lag,
            **details,
        }
        return JSONResponse(starting, HTTPStatus.SERVICE_UNAVAILABLE, _FRESH)
    details |= {"reason": service.follower.reason} if service.follower.reason else {}
    if steps := await request.app.state.start.steps():
        details["start"] = {step.name: step.state.value for step in steps}
    answer = {
        "status": _status(service, details),
        "position": snapshot.position,
        "quads": snapshot.quads,
        "lag": lag,
        "snapshot": snapshot.number,
        "projections": service.follower.projections,
        **details,
    }
    return JSONResponse(
        answer, HTTPStatus.SERVICE_UNAVAILABLE if service.store_failure else HTTPStatus.OK, _FRESH
    )


async def _journal_state(service: QueryService) -> tuple[int, dict[str, Any]]:
    """Return the number of entries that are not published yet, and the state of the journal or its origin."""
    try:
        origin = mirror_origin.read(service.journal.folder)
        # An object store is checked in the background: while it is down, a response would take as long as its timeouts.
        lag = (
            service.behind
            if service.journal.store
            else await asyncio.to_thread(lambda: service.delay)
        )
    except JournalError as error:  # the snapshot is served even if the journal is damaged
        return service.behind, {"journal": {"error": str(error).replace(f"{service.data}/", "")}}
    return lag, {"mirror": asdict(origin)} if origin else {}


def _status(service: QueryService, details: dict[str, Any]) -> str:
    if service.store_failure:  # every query fails until the store responds again
        return "unavailable"
    refused = details.get("mirror", {}).get("refused")
    return "degraded" if "journal" in details or "reason" in details or refused else "ok"
