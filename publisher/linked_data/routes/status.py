"""``/status``: the state of each source and of the store, as a page, as JSON, and as the status
graph.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import NamedTuple

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from journal import mirror_origin
from journal.mirror_origin import Origin
from publisher.dependencies import PagesDep, ServiceDep
from publisher.rdf.results import iri
from publisher.store.descriptions import describe_graph, serialize_description
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.source_status import (
    DataVersion,
    SourceStatus,
    count_by_state,
    data_version,
    source_statuses,
)
from web.endpoints import Count, Instant, WebAddress, get, problems
from web.formats import GRAPHS, HTML, JSON, Format, GraphFormat
from web.respond import choose_format, respond

_FORMATS: dict[str, Format] = {"json": JSON, **GRAPHS, "html": HTML}
_FRESH = {"Vary": "Accept", "Cache-Control": "no-store"}  # the state depends on the clock


class StoreJson(TypedDict):
    """The RDF store: its position in the journal, and its quads as counted and as the newest run
    reports them.
    """

    position: Count
    time: Instant | None
    run: str | None
    lag: int
    quads: Count
    quads_by_account: Count | None
    agrees: bool | None


class SourceJson(TypedDict):
    """The state of a registry."""

    source: str
    iri: WebAddress
    title: str | None
    state: str
    last_attempt: str | None
    last_success: str | None
    consecutive_failures: Count
    next_due: str | None
    late_from: str | None
    frozen_from: str | None
    last_full_harvest: str | None
    last_change: str | None
    published: Count
    vanished: Count
    withheld: Count | None
    last_run: str | None
    last_outcome: str | None
    last_reason: str | None
    held_plan: str | None
    hold: str | None


class SubmissionsJson(TypedDict):
    """How many submissions wait for a moderator, and since when the oldest does."""

    waiting: Count
    oldest: Instant | None


class StatusJson(TypedDict):
    """The state of all registries and of the store; *submissions* is None where nothing can be
    submitted.
    """

    at: Instant
    submissions: SubmissionsJson | None
    mirror: dict[str, object] | None
    store: StoreJson
    states: dict[str, Count]
    sources: list[SourceJson]


class QuadTotals(NamedTuple):
    """The number of quads in the store, and that reported by the newest run; None if no run reports
    it.
    """

    stored: int
    reported: int | None

    @property
    def agrees(self) -> bool | None:
        """Return whether both are equal, None if unknown."""
        return None if self.reported is None else self.stored == self.reported


router = APIRouter()


@get(router, "/status", include_in_schema=False)
@get(
    router,
    "/status.json",
    operation_id="status",
    summary="Report the state of every registry and of the store",
    tags=["watch"],
    response_model=StatusJson,
    response_description="The state",
    responses=problems(503),
)
async def status(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """The states are those at the time of the request."""
    suffix = "json" if request.url.path.endswith(".json") else None
    chosen_format = choose_format(request, _FORMATS, suffix)
    if isinstance(chosen_format, GraphFormat):
        description = await describe_graph(service, service.iris.status)
        content = serialize_description(description, chosen_format)
        return respond(request, content, chosen_format, headers=_FRESH)
    now = service.now()
    statuses = await source_statuses(service)
    version = data_version(service)
    quads = await _quad_totals(service)
    origin = mirror_origin.read(service.journal.folder)
    submissions = await _submissions(request)
    if chosen_format is JSON:
        body = _json(service, now, statuses, version, quads, origin, submissions)
        return respond(request, orjson.dumps(body), JSON, headers=_FRESH)
    page = pages.page(
        "status.html",
        origin=origin,
        submissions=submissions,
        now=now,
        sources=[
            (source_status, source_status.state(now).value) for source_status in statuses.values()
        ],
        counts=count_by_state(statuses, now),
        lag=service.lag,
        quads=quads,
        formats=(JSON, *GRAPHS.values()),
    )
    return respond(request, page, HTML, headers=_FRESH)


async def _submissions(request: Request) -> SubmissionsJson | None:
    """Return what waits for a moderator; None where nothing can be submitted."""
    counted = await asyncio.to_thread(request.app.state.waiting_submissions)
    if counted is None:
        return None
    number, oldest = counted
    return {"waiting": number, "oldest": f"{oldest:%Y-%m-%dT%H:%M:%SZ}" if oldest else None}


async def _quad_totals(service: QueryService) -> QuadTotals:
    version = data_version(service)
    rows = (
        await service.rows(query("run-quads"), {"run": iri(service.iris.run(version.run))})
        if version and version.run
        else []
    )
    return QuadTotals(service.current.quads, int(rows[0]["quads"].value) if rows else None)


def _json(
    service: QueryService,
    now: datetime,
    statuses: dict[str, SourceStatus],
    version: DataVersion | None,
    quads: QuadTotals,
    origin: Origin | None,
    submissions: SubmissionsJson | None,
) -> StatusJson:
    store: StoreJson = {
        "position": version.position if version else 0,
        "time": version.time if version else None,
        "run": version.run if version else None,
        "lag": service.lag,
        "quads": quads.stored,
        "quads_by_account": quads.reported,
        "agrees": quads.agrees,
    }
    sources = [_source(source_status, now) for source_status in statuses.values()]
    counts = {state.value: count for state, count in count_by_state(statuses, now).items()}
    mirror = asdict(origin) if origin else None
    return {
        "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "submissions": submissions,
        "mirror": mirror,
        "store": store,
        "states": counts,
        "sources": sources,
    }


def _source(source_status: SourceStatus, now: datetime) -> SourceJson:
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
