"""``/health``: whether the store responds, which snapshot it serves, how far it is behind the
journal, and what is at fault; ``/metrics``, the same for Prometheus; ``/livez`` and ``/readyz`` for
an orchestrator; ``/status``: the state of each source and of the store, as a page, as JSON, and as
the status graph.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
import structlog
from fastapi import APIRouter
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from journal.errors import JournalError
from journal.store import read_origin
from publisher.errors import DamagedRelease
from publisher.pages import PagesDep, ServiceDep
from publisher.rdf import iri
from publisher.store.descriptions import (
    SourceStatus,
    count_by_state,
    describe_graph,
    serialize_description,
    source_statuses,
)
from publisher.store.query_service import QueryService, query
from publisher.store.releases import list_releases
from publisher.store.snapshots import Snapshot
from vocab.provenance import Freshness
from web.endpoints import contents, get, problems
from web.middleware import RequestMetrics
from web.respond import GRAPHS, HTML, JSON, NO_STORE, Format, GraphFormat, choose_format, respond

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


@dataclass(slots=True)
class Faults:
    """The parts that fail, with paths below *data* shortened, since the response is public."""

    data: str
    items: list[dict[str, str]] = field(default_factory=list)

    def add(self, part: str, cause: str, remedy: str) -> None:
        """Add a part that has a *cause*, as it may be published: its paths relative, and as text
        that UTF-8 can encode. *remedy* is a key of ``_REMEDIES``.
        """
        if cause:
            text = cause.replace(f"{self.data}/", "").encode(errors="replace").decode()
            self.items.append({"part": part, "cause": text, "remedy": _REMEDIES[remedy]})

    def as_json(self) -> dict[str, Any]:
        return {"faults": self.items} if self.items else {}

    async def attempt(
        self,
        part: str,
        work: Awaitable[T],
        otherwise: T,
        remedy: str = "journal",
        expected: tuple[type[Exception], ...] = (JournalError,),
    ) -> T:
        """Return the result of *work*; if it raises, whatever it is, add the part and return
        *otherwise*. *remedy*: of the *expected* errors.

        A monitor must learn what fails even if that is what nobody expected.
        """
        (result,) = await asyncio.gather(work, return_exceptions=True)
        if not isinstance(result, BaseException):
            return result
        if not isinstance(result, Exception):
            raise result
        if isinstance(result, expected):
            self.add(part, str(result), remedy)
        else:
            log.error("health check failed", part=part, exc_info=result)
            self.add(part, f"{type(result).__name__}: {result}", "unknown")
        return otherwise


router = APIRouter()
_STATE = contents(json="Health")


@router.get(
    "/health",
    operation_id="health",
    summary="Report whether queries are answered, how far the store is behind the journal, and what is at fault",
    tags=["watch"],
    response_description="Queries are answered",
    responses={
        **_STATE,
        503: {
            **_STATE[200],
            "description": "The server is starting, or its store does not answer",
        },
    },
)
async def health(request: Request, service: ServiceDep) -> Response:
    """Load balancers and monitors read this."""
    snapshot, faults = service.snapshot, Faults(str(service.data))
    lag, details = await find_faults(service, faults)
    details |= {"store": {"error": service.journal.store_error}} if service.journal.store else {}
    details |= {"sparql_store": {"error": service.store_failure}} if service.store_failure else {}
    if snapshot is None:
        details |= {"status": "starting", "reason": service.starting, **faults.as_json()}
        details |= {"position": 0, "quads": 0, "lag": lag}
        return JSONResponse(details, HTTPStatus.SERVICE_UNAVAILABLE, NO_STORE)
    awaited = _describe_unbuilt(snapshot)
    if not (awaited or request.app.state.is_warm):
        awaited = "still to be loaded: the topics that words of a search are compared with"
    if reason := service.follower.reason or awaited:
        details["reason"] = reason
    if steps := await faults.attempt("first start", request.app.state.start.steps(), []):
        details["start"] = {step["name"]: step["state"] for step in steps}
    return JSONResponse(
        {
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
            **faults.as_json(),
            **details,
        },
        HTTPStatus.SERVICE_UNAVAILABLE if service.store_failure else HTTPStatus.OK,
        NO_STORE,
    )


async def find_faults(service: QueryService, faults: Faults) -> tuple[int, dict[str, Any]]:
    """Add every part that fails, for ``/health`` and ``/metrics`` alike; return the number of
    entries that are not published yet, and the state of the journal and of its origin.
    """
    lag, snapshot, journal = service.behind, service.snapshot, service.journal
    reading = asyncio.to_thread(read_origin, journal.folder)
    origin = await faults.attempt("origin of the mirror", reading, None, "file")
    # A shared journal is checked in the background: while its store is down, a response would take
    # as long as its timeouts.
    if not journal.store:
        lag = await faults.attempt("journal", asyncio.to_thread(lambda: service.lag), lag)
    # The snapshot is served even if the journal is damaged.
    details: dict[str, Any] = (
        {"journal": {"error": faults.items[0]["cause"]}} if faults.items else {}
    )
    if origin:
        lag = max(lag, origin.head - snapshot.position if snapshot else lag)
        refused = origin.refused
        cause, remedy = (refused.reason, "refused") if refused else (origin.error, "origin")
        faults.add("origin of the mirror", cause, remedy)
        details["mirror"] = asdict(origin)
    faults.add("SPARQL store", service.store_failure, "external")
    faults.add("object store", service.journal.store_error, "shared")
    faults.add("store", service.follower.reason, "store")
    for name, state in service.follower.projections.items():
        faults.add(name, str(state.get("error", "")), "index")
    await faults.attempt(
        "releases",
        asyncio.to_thread(list_releases, service.data / "releases"),
        [],
        "release",
        (OSError, DamagedRelease),
    )
    return lag, details


def _describe_unbuilt(snapshot: Snapshot) -> str:
    """Return which indexes the store has none of yet, so that pages that need them answer 503; ""
    if it has all.
    """
    indexes = {"the search index": snapshot.text, "the facet tables": snapshot.columns}
    missing = [name for name, position in indexes.items() if position < 0]
    return f"still to be built: {', '.join(missing)}" if missing else ""


# Name, help text, names of labels, and the numbers by the values of these.
Metric = tuple[str, str, list[str], Mapping[Any, float]]

_COUNTERS = ("queries", "query_workers_replaced")


@get(
    router,
    "/metrics",
    operation_id="metrics",
    summary="Report counts, positions and times in the format of Prometheus",
    tags=["watch"],
    response_class=PlainTextResponse,
    response_description="The metrics",
)
async def metrics(request: Request, service: ServiceDep) -> Response:
    """Each projection, source and path has a line."""
    registry, rows = CollectorRegistry(), _store_metrics(service)
    faults = Faults(str(service.data))
    await find_faults(service, faults)
    if service.snapshot and not service.store_failure:
        statuses = await faults.attempt("sources", source_statuses(service), {})
        rows += _source_metrics(statuses, service.now())
    degraded = "1 if a part fails; /health has the cause and the remedy"
    for name, text, labels, samples in (
        *rows,
        ("degraded", degraded, [], {(): bool(faults.items)}),
    ):
        kind = Counter if name in _COUNTERS else Gauge
        metric = kind(f"stocktake_{name}", text, labels, registry=registry)
        for values, number in samples.items():
            (metric.labels(*values) if values else metric).inc(number)
    requests: RequestMetrics = request.app.state.request_metrics
    return Response(
        (generate_latest(registry) + generate_latest(requests.registry)),
        headers={**NO_STORE, "Content-Type": CONTENT_TYPE_LATEST},
    )


@get(
    router,
    "/livez",
    operation_id="live",
    summary="Answer 200 if the process answers requests at all; else restart it",
    tags=["watch"],
    response_class=PlainTextResponse,
    response_description="It does",
)
async def live() -> Response:
    """Nothing is checked: a damaged store is no reason to restart the server."""
    return PlainTextResponse("ok\n", headers=NO_STORE)


@get(
    router,
    "/readyz",
    operation_id="ready",
    summary="Answer 200 if queries are answered; else send no requests here",
    tags=["watch"],
    response_class=PlainTextResponse,
    response_description="Queries are answered",
    responses={503: {"description": "Nothing is loaded yet, or the store does not answer"}},
)
async def ready(service: ServiceDep) -> Response:
    """A lagging server is ready: old data are better than none."""
    reason = service.starting if service.snapshot is None else service.store_failure
    if reason:
        return PlainTextResponse(f"{reason}\n", HTTPStatus.SERVICE_UNAVAILABLE, NO_STORE)
    return PlainTextResponse("ok\n", headers=NO_STORE)


def _store_metrics(service: QueryService) -> list[Metric]:
    snapshot, failure = service.snapshot, service.store_failure
    projections = service.follower.projections.items()
    positions = {
        (name,): position
        for name, state in projections
        if isinstance(position := state.get("position"), int)
    }
    failed = {(name,): "error" in state for name, state in projections}
    outcomes = {(outcome,): count for outcome, count in service.pool.outcomes.items()}
    return [
        ("up", "1 if queries are answered", [], {(): bool(snapshot and not failure)}),
        ("lag_entries", "Journal entries that are not shown yet", [], {(): service.behind}),
        (
            "position",
            "Number of the newest journal entry that is shown",
            [],
            {(): snapshot.position if snapshot else 0},
        ),
        (
            "statements",
            "Statements in the store, without the status of sources",
            [],
            {(): snapshot.quads if snapshot else 0},
        ),
        (
            "queries_waiting",
            "Queries that wait for a worker",
            [],
            {(): len(service.pool.queue.waiting)},
        ),
        (
            "projection_position",
            "Newest journal entry of a projection",
            ["projection"],
            positions,
        ),
        (
            "projection_failed",
            "1 if a projection cannot be updated",
            ["projection"],
            failed,
        ),
        (
            "queries",
            "Queries of clients by outcome: answered, or the error",
            ["outcome"],
            outcomes,
        ),
        (
            "query_workers_replaced",
            "Query workers that were too slow, too large or gone",
            [],
            {(): service.pool.replaced_workers},
        ),
    ]


def _source_metrics(statuses: Mapping[str, SourceStatus], now: datetime) -> list[Metric]:
    rows = statuses.items()
    states = {
        (name, state.value): status.state(now) is state
        for name, status in rows
        for state in Freshness
    }
    published = {(name,): int(row.properties.get("publishedRecords", 0)) for name, row in rows}
    successes = {
        (name,): status.inputs.success.timestamp() for name, status in rows if status.inputs.success
    }
    return [
        ("source_state", "1 for the state that a source is in", ["source", "state"], states),
        ("source_records", "Published records of a source", ["source"], published),
        (
            "source_withheld",
            "Records that the last run of a source withheld",
            ["source"],
            {(name,): status.withheld or 0 for name, status in rows},
        ),
        (
            "source_last_success_timestamp_seconds",
            "When a source was last harvested",
            ["source"],
            successes,
        ),
        (
            "source_consecutive_failures",
            "Runs that failed since the last success",
            ["source"],
            {(name,): status.inputs.failures for name, status in rows},
        ),
        (
            "source_plan_waiting",
            "1 if a plan of the source waits for a person",
            ["source"],
            {(name,): "heldPlan" in status.properties for name, status in rows},
        ),
    ]


_FORMATS: dict[str, Format] = {"json": JSON, **GRAPHS, "html": HTML}
_FRESH = {"Vary": "Accept", "Cache-Control": "no-store"}  # the state depends on the clock


@get(router, "/status", include_in_schema=False)
@get(
    router,
    "/status.json",
    operation_id="status",
    summary="Report the state of every registry and of the store",
    tags=["watch"],
    response_description="The state",
    responses=contents(json="StatusJson") | problems(503),
)
async def status(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """The states are those at the time of the request."""
    suffix = "json" if request.url.path.endswith(".json") else None
    chosen_format = choose_format(request, _FORMATS, suffix)
    now, statuses = service.now(), await source_statuses(service)
    counts, origin = count_by_state(statuses, now), read_origin(service.journal.folder)
    submissions, store = await _submissions(request), await _store(service)
    content: bytes | Response
    if isinstance(chosen_format, GraphFormat):
        description = await describe_graph(service, service.iris.status)
        content = serialize_description(description, chosen_format)
    elif chosen_format is JSON:
        content = orjson.dumps(
            {
                "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                "submissions": submissions,
                "mirror": asdict(origin) if origin else None,
                "store": store,
                "states": {state.value: count for state, count in counts.items()},
                "sources": [_source(source_status, now) for source_status in statuses.values()],
            }
        )
    else:
        content = pages.page(
            "status.html",
            origin=origin,
            submissions=submissions,
            now=now,
            sources=[(item, item.state(now).value) for item in statuses.values()],
            counts=counts,
            store=store,
            formats=(JSON, *GRAPHS.values()),
        )
    return respond(request, content, chosen_format, headers=_FRESH)


async def _submissions(request: Request) -> dict[str, Any] | None:
    """Return what waits for a moderator; None where nothing can be submitted."""
    counted = await asyncio.to_thread(request.app.state.waiting_submissions)
    if counted is None:
        return None
    number, oldest = counted
    return {"waiting": number, "oldest": f"{oldest:%Y-%m-%dT%H:%M:%SZ}" if oldest else None}


async def _store(service: QueryService) -> dict[str, Any]:
    version, stored, reported = service.published, service.current.quads, None
    if version and version.run:
        rows = await service.rows(query("run-quads"), {"run": iri(service.iris.run(version.run))})
        reported = int(rows[0]["quads"].value) if rows else None
    return {
        "position": version.position if version else 0,
        "time": version.time if version else None,
        "run": version.run if version else None,
        "lag": service.lag,
        "quads": stored,
        "quads_by_account": reported,
        "agrees": None if reported is None else stored == reported,
    }


def _source(source_status: SourceStatus, now: datetime) -> dict[str, Any]:
    values = source_status.properties
    return {
        "source": source_status.name,
        "iri": source_status.iri,
        "title": source_status.title,
        "state": source_status.state(now).value,
        "last_attempt": values.get("lastAttempt"),
        "last_success": values.get("lastSuccess"),
        "consecutive_failures": source_status.inputs.failures,
        "next_due": values.get("nextDue"),
        "late_from": values.get("lateFrom"),
        "frozen_from": values.get("frozenFrom"),
        "last_full_harvest": source_status.last_full_harvest,
        "last_change": values.get("lastChange"),
        "published": int(values.get("publishedRecords", "0")),
        "vanished": int(values.get("missingRecords", "0")),
        "withheld": source_status.withheld,
        "last_run": source_status.run("lastRun"),
        "last_outcome": values.get("lastOutcome"),
        "last_reason": values.get("lastReason"),
        "held_plan": source_status.run("heldPlan"),
        "hold": values.get("hold"),
    }
