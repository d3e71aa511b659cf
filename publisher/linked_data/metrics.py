"""``/metrics`` for Prometheus, and ``/livez`` and ``/readyz`` for an orchestrator.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from publisher.dependencies import ServiceDep
from publisher.linked_data.health import Faults, find_faults
from publisher.store.query_service import QueryService
from publisher.store.source_status import SourceStatus, source_statuses
from vocab.freshness import Freshness
from web.endpoints import get
from web.middleware import RequestMetrics

# Name, help text, names of labels, and the numbers by the values of these.
Metric = tuple[str, str, list[str], Mapping[Any, float]]

router = APIRouter()
_COUNTERS = ("queries", "query_workers_replaced")
_FRESH = {"Cache-Control": "no-store"}


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
    content = generate_latest(registry) + generate_latest(requests.registry)
    return Response(content, headers={**_FRESH, "Content-Type": CONTENT_TYPE_LATEST})


@get(
    router,
    "/livez",
    operation_id="live",
    summary="Answer if the process answers requests at all; else restart it",
    tags=["watch"],
    response_class=PlainTextResponse,
    response_description="It does",
)
async def live() -> Response:
    """Nothing is checked: a damaged store is no reason to restart the server."""
    return PlainTextResponse("ok\n", headers=_FRESH)


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
        return PlainTextResponse(f"{reason}\n", HTTPStatus.SERVICE_UNAVAILABLE, _FRESH)
    return PlainTextResponse("ok\n", headers=_FRESH)


def _store_metrics(service: QueryService) -> list[Metric]:
    snapshot, failure = service.snapshot, service.store_failure
    projections = service.follower.projections.items()
    positions = {
        (name,): position
        for name, state in projections
        if isinstance(position := state.get("position"), int)
    }
    failed = {(name,): "error" in state for name, state in projections}
    outcomes = {(outcome,): count for outcome, count in service.public_pool.outcomes.items()}
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
            {(): len(service.public_pool.queue.waiting)},
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
            {
                (): sum(
                    pool.replaced_workers for pool in (service.public_pool, service.internal_pool)
                )
            },
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
