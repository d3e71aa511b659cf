"""``/health``: whether the store responds, which snapshot it serves, how far it is behind the
journal, and what is at fault.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeVar

import structlog
from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from journal import mirror_origin
from journal.errors import JournalError
from journal.mirror_origin import Origin
from publisher.dependencies import ServiceDep
from publisher.errors import DamagedRelease
from publisher.store.query_service import QueryService
from publisher.store.releases.manifest import list_releases
from publisher.store.snapshots import Snapshot
from web.endpoints import Count

log = structlog.get_logger(component="health")

T = TypeVar("T")

_REMEDIES = {
    "store": (
        "the server tries again by itself, and rebuilds damaged files; if this lasts, free disk "
        "space, check the permissions of store/, then stop the server and run stocktake verify "
        "--repair"
    ),
    "journal": "run stocktake verify, and restore the file that it names from a backup or a mirror",
    "index": (
        "it is rebuilt by itself, and tried again at growing intervals; if this lasts, free disk "
        "space or fix the permissions of store/"
    ),
    "release": "run stocktake verify, and restore the manifest from a backup or a mirror",
    "origin": (
        "the mirror tries again by itself; check the address of its origin and the network "
        "between them"
    ),
    "refused": (
        "report it to the operator of the origin; the mirror continues once the origin has the "
        "correct entry"
    ),
    "file": "run stocktake mirror with the address of the origin: it writes the file again",
    "shared": (
        "this server uses its own entries and retries the object store; check its address and the "
        "network"
    ),
    "unknown": "the log of the server has the traceback; run stocktake verify",
    "external": (
        "start the SPARQL store, or correct its address; the server tries again, and loads what "
        "is missing, by itself"
    ),
}


class ProjectionJson(TypedDict):
    """A projection of the journal: the newest entry that it has, -1 before the first, and the error
    that stopped it.
    """

    position: NotRequired[Annotated[int, Field(ge=-1)]]
    error: NotRequired[str]


class FaultJson(TypedDict):
    """A part that fails: why, and what to do."""

    part: str
    cause: str
    remedy: str


class Health(TypedDict):
    """The state of this server. *position* is the newest published journal entry, *lag* the number
    of newer ones.
    """

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
    faults: NotRequired[list[FaultJson]]


@dataclass(slots=True)
class Faults:
    """The parts that fail, with paths below *data* shortened, since the response is public."""

    data: str
    items: list[FaultJson] = field(default_factory=list)

    def add(self, part: str, cause: str, remedy: str) -> str:
        """Add a part; return *cause* as it may be published: its paths relative, and as text that
        UTF-8 can encode.
        """
        cause = cause.replace(f"{self.data}/", "").encode(errors="replace").decode()
        self.items.append({"part": part, "cause": cause, "remedy": remedy})
        return cause

    async def attempt(
        self, part: str, work: Awaitable[T], otherwise: T, remedy: str = _REMEDIES["journal"]
    ) -> T:
        """Return the result of *work*; if it raises, whatever it is, add the part and return
        *otherwise*. *remedy*: of a JournalError.

        A monitor must learn what fails even if that is what nobody expected.
        """
        (result,) = await asyncio.gather(work, return_exceptions=True)
        if not isinstance(result, BaseException):
            return result
        if isinstance(result, JournalError):
            self.add(part, str(result), remedy)
        elif isinstance(result, Exception):
            log.error("health check failed", part=part, exc_info=result)
            self.add(part, f"{type(result).__name__}: {result}", _REMEDIES["unknown"])
        else:
            raise result
        return otherwise


router = APIRouter()
_FRESH = {"Cache-Control": "no-store"}


@router.get(
    "/health",
    operation_id="health",
    summary="Report whether queries are answered, how far the store is behind the journal, and what is at fault",
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
    snapshot, faults = service.snapshot, Faults(str(service.data))
    lag, details = await find_faults(service, faults)
    details |= {"store": {"error": service.journal.store_error}} if service.journal.store else {}
    details |= {"sparql_store": {"error": service.store_failure}} if service.store_failure else {}
    if snapshot is None:
        details |= {
            "status": "starting",
            "reason": service.starting,
            "position": 0,
            "quads": 0,
            "lag": lag,
        }
        details |= {"faults": faults.items} if faults.items else {}
        return JSONResponse(details, HTTPStatus.SERVICE_UNAVAILABLE, _FRESH)
    awaited = _describe_unbuilt(snapshot)
    if not (awaited or request.app.state.is_warm):
        awaited = "still to be loaded: the topics that words of a search are compared with"
    if reason := service.follower.reason or awaited:
        details["reason"] = reason
    if steps := await faults.attempt("first start", request.app.state.start.steps(), []):
        details["start"] = {step.name: step.state for step in steps}
    answer = {
        "status": "unavailable"
        if service.store_failure
        else "degraded"
        if faults.items
        else "starting"
        if awaited
        else "ok",
        "position": snapshot.position,
        "quads": snapshot.quads,
        "lag": lag,
        "snapshot": snapshot.number,
        "projections": service.follower.projections,
        **({"faults": faults.items} if faults.items else {}),
        **details,
    }
    return JSONResponse(
        answer, HTTPStatus.SERVICE_UNAVAILABLE if service.store_failure else HTTPStatus.OK, _FRESH
    )


async def find_faults(service: QueryService, faults: Faults) -> tuple[int, dict[str, Any]]:
    """Add every part that fails, for ``/health`` and ``/metrics`` alike; return the number of
    entries that are not published yet, and the state of the journal and of its origin.
    """
    lag, details = await _journal_state(service, faults)
    _add_store_faults(service, faults)
    await asyncio.to_thread(_add_release_faults, service.data / "releases", faults)
    return lag, details


def _describe_unbuilt(snapshot: Snapshot) -> str:
    """Return which indexes the store has none of yet, so that pages that need them answer 503; ""
    if it has all.
    """
    indexes = {"the search index": snapshot.text, "the facet tables": snapshot.columns}
    missing = [name for name, position in indexes.items() if position < 0]
    return f"still to be built: {', '.join(missing)}" if missing else ""


async def _journal_state(service: QueryService, faults: Faults) -> tuple[int, dict[str, Any]]:
    """Return the number of entries that are not published yet, and the state of the journal and of
    its origin.
    """
    known, lag, snapshot = len(faults.items), service.behind, service.snapshot
    origin = await faults.attempt(
        "origin of the mirror",
        asyncio.to_thread(mirror_origin.read, service.journal.folder),
        None,
        _REMEDIES["file"],
    )
    # it is checked in the background: while it is down, a response would take as long as its
    # timeouts
    if not service.journal.store:
        lag = await faults.attempt("journal", asyncio.to_thread(lambda: service.lag), lag)
    if origin and snapshot:
        lag = max(lag, origin.head - snapshot.position)
    # The snapshot is served even if the journal is damaged.
    details: dict[str, Any] = (
        {"journal": {"error": faults.items[known]["cause"]}} if faults.items[known:] else {}
    )
    if origin:
        _add_origin_faults(origin, faults)
        details["mirror"] = asdict(origin)
    return lag, details


def _add_origin_faults(origin: Origin, faults: Faults) -> None:
    if origin.refused:
        faults.add("origin of the mirror", origin.refused.reason, _REMEDIES["refused"])
    elif origin.error:
        faults.add("origin of the mirror", origin.error, _REMEDIES["origin"])


def _add_release_faults(folder: Path, faults: Faults) -> None:
    try:
        list_releases(folder)
    except (OSError, DamagedRelease) as error:
        faults.add("releases", str(error), _REMEDIES["release"])


def _add_store_faults(service: QueryService, faults: Faults) -> None:
    """Add what keeps the store, and the projections beside it, from following the journal."""
    if service.store_failure:
        faults.add("SPARQL store", service.store_failure, _REMEDIES["external"])
    if service.journal.store_error:
        faults.add("object store", service.journal.store_error, _REMEDIES["shared"])
    if service.follower.reason:
        faults.add("store", service.follower.reason, _REMEDIES["store"])
    for name, state in service.follower.projections.items():
        if "error" in state:
            faults.add(name, str(state["error"]), _REMEDIES["index"])
