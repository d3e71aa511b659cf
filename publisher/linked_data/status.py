"""``/status``: the state of each source and of the store, as a page, as JSON, and as the status
graph.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from journal import mirror_origin
from publisher.dependencies import PagesDep, ServiceDep
from publisher.rdf import iri
from publisher.store.descriptions import (
    SourceStatus,
    count_by_state,
    describe_graph,
    serialize_description,
    source_statuses,
)
from publisher.store.query_service import QueryService, data_version, query
from web.endpoints import contents, get, problems
from web.respond import GRAPHS, HTML, JSON, Format, GraphFormat, choose_format, respond

_FORMATS: dict[str, Format] = {"json": JSON, **GRAPHS, "html": HTML}
_FRESH = {"Vary": "Accept", "Cache-Control": "no-store"}  # the state depends on the clock


router = APIRouter()


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
    counts, origin = count_by_state(statuses, now), mirror_origin.read(service.journal.folder)
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
    version, stored, reported = data_version(service), service.current.quads, None
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
