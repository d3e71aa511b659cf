"""``/metrics`` for Prometheus, and ``/livez`` and ``/readyz`` for an orchestrator.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

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
from publisher.linked_data.routes.health import Faults, find_faults
from publisher.store.query_service import QueryService
from publisher.store.source_status import SourceStatus, source_statuses
from vocab.freshness import Freshness
from web.endpoints import get
from web.middleware import RequestMetrics

router = APIRouter()
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
    registry = CollectorRegistry()
    _add_store(registry, service)
    _add_queries(registry, service)
    faults = Faults(str(service.data))
    await find_faults(service, faults)
    if service.snapshot and not service.store_failure:
        statuses = await faults.attempt("sources", source_statuses(service), {})
        _add_sources(registry, statuses, service.now())
    _add_degraded(registry, faults)
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


def _add_store(registry: CollectorRegistry, service: QueryService) -> None:
    snapshot = service.snapshot
    values = {
        "stocktake_up": (
            "1 if queries are answered",
            snapshot is not None and not service.store_failure,
        ),
        "stocktake_lag_entries": ("Journal entries that are not shown yet", service.behind),
        "stocktake_position": (
            "Number of the newest journal entry that is shown",
            snapshot.position if snapshot else 0,
        ),
        "stocktake_statements": (
            "Statements in the store, without the status of sources",
            snapshot.quads if snapshot else 0,
        ),
        "stocktake_queries_waiting": ("Queries that wait for a worker", service.queries_waiting),
    }
    for name, (text, value) in values.items():
        Gauge(name, text, registry=registry).set(value)
    positions = Gauge(
        "stocktake_projection_position",
        "Newest journal entry of a projection",
        ["projection"],
        registry=registry,
    )
    failed = Gauge(
        "stocktake_projection_failed",
        "1 if a projection cannot be updated",
        ["projection"],
        registry=registry,
    )
    for name, state in service.follower.projections.items():
        if isinstance(position := state.get("position"), int):
            positions.labels(name).set(position)
        failed.labels(name).set("error" in state)


def _add_degraded(registry: CollectorRegistry, faults: Faults) -> None:
    Gauge(
        "stocktake_degraded",
        "1 if a part fails; /health has the cause and the remedy",
        registry=registry,
    ).set(bool(faults.items))


def _add_queries(registry: CollectorRegistry, service: QueryService) -> None:
    queries = Counter(
        "stocktake_queries",
        "Queries of clients by outcome: answered, or the error",
        ["outcome"],
        registry=registry,
    )
    for outcome, count in service.query_outcomes.items():
        queries.labels(outcome).inc(count)
    replaced = Counter(
        "stocktake_query_workers_replaced",
        "Query workers that were too slow, too large or gone",
        registry=registry,
    )
    replaced.inc(service.replaced_workers)


def _add_sources(
    registry: CollectorRegistry, statuses: dict[str, SourceStatus], now: datetime
) -> None:
    states = Gauge(
        "stocktake_source_state",
        "1 for the state that a source is in",
        ["source", "state"],
        registry=registry,
    )
    published = Gauge(
        "stocktake_source_records", "Published records of a source", ["source"], registry=registry
    )
    withheld = Gauge(
        "stocktake_source_withheld",
        "Records that the last run of a source withheld",
        ["source"],
        registry=registry,
    )
    success = Gauge(
        "stocktake_source_last_success_timestamp_seconds",
        "When a source was last harvested",
        ["source"],
        registry=registry,
    )
    failures = Gauge(
        "stocktake_source_consecutive_failures",
        "Runs that failed since the last success",
        ["source"],
        registry=registry,
    )
    waiting = Gauge(
        "stocktake_source_plan_waiting",
        "1 if a plan of the source waits for a person",
        ["source"],
        registry=registry,
    )
    for name, status in statuses.items():
        for state in Freshness:
            states.labels(name, state.value).set(status.state(now) is state)
        published.labels(name).set(int(status.properties.get("publishedRecords", 0)))
        withheld.labels(name).set(status.withheld or 0)
        failures.labels(name).set(status.inputs.failures)
        waiting.labels(name).set("heldPlan" in status.properties)
        if status.inputs.success:
            success.labels(name).set(status.inputs.success.timestamp())
