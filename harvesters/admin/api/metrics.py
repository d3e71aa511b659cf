"""Report runs, requests, workers and disk use for Prometheus, from the ledger.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from harvesters.admin.access.auth import ContextDep, Reader
from harvesters.admin.context import AdminContext
from harvesters.admin.system import system_view
from harvesters.problems import ERROR_RESPONSES

routes = APIRouter(tags=["system"], responses=ERROR_RESPONSES)


@routes.get("/metrics", response_class=PlainTextResponse)
def read_metrics(key: Reader, context: ContextDep) -> PlainTextResponse:
    """Report runs by outcome, records of the last run of each source, requests, jobs, workers and
    disk use.

    Processes on several machines share the ledger, so any of them reports for all; `/metrics` has
    the figures of one server.
    """
    registry = CollectorRegistry()
    registry.register(_LedgerCollector(context))
    return PlainTextResponse(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _LedgerCollector(Collector):
    """Compute the metrics of *context* when they are read."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    def collect(self) -> Iterable[Metric]:
        """Yield each metric with its samples."""
        yield from _run_metrics(self._context)
        yield from _system_metrics(system_view(self._context), self._context)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that nothing is computed when the collector is registered."""
        return []


def _run_metrics(context: AdminContext) -> Iterable[Metric]:
    runs = CounterMetricFamily(
        "stocktake_runs", "Runs of a source by their state", labels=["source", "state"]
    )
    fetched = CounterMetricFamily(
        "stocktake_records_fetched", "Records that the runs of a source received", labels=["source"]
    )
    totals: dict[str, int] = {}
    for source, state, count, records in context.ledger.count_runs():
        runs.add_metric([source, state.value], count)
        totals[source] = totals.get(source, 0) + records
    for source, records in totals.items():
        fetched.add_metric([source], records)
    latest = GaugeMetricFamily(
        "stocktake_last_run_records",
        "Records of the last run of a source by outcome",
        labels=["source", "outcome"],
    )
    ended = GaugeMetricFamily(
        "stocktake_last_run_end_timestamp_seconds",
        "When the last run of a source ended",
        labels=["source"],
    )
    for run in context.ledger.last_runs():
        for outcome, count in run.counts.items():
            latest.add_metric([run.source, outcome], count)
        if run.ended:
            ended.add_metric([run.source], run.ended.timestamp())
    yield from (runs, fetched, latest, ended)


def _system_metrics(view: Mapping[str, Any], context: AdminContext) -> Iterable[Metric]:
    yield GaugeMetricFamily(
        "stocktake_requested_runs_waiting",
        "Runs that a person requested and that have not begun",
        view["waiting"],
    )
    yield GaugeMetricFamily(
        "stocktake_invalid_definitions",
        "Source definitions with faults, whose sources are not harvested",
        context.count_invalid_definitions(),
    )
    yield GaugeMetricFamily("stocktake_runs_in_progress", "Runs in progress", len(view["running"]))
    yield GaugeMetricFamily(
        "stocktake_notifications_undelivered",
        "Notifications that are not delivered yet",
        view["undelivered"],
    )
    yield GaugeMetricFamily(
        "stocktake_disk_free_bytes",
        "Free bytes of the file system of the data directory",
        view["free"],
    )
    sizes = GaugeMetricFamily(
        "stocktake_folder_bytes",
        "Bytes of a folder; of a large one, of its first files",
        labels=["folder"],
    )
    for folder in view["folders"]:
        sizes.add_metric([folder.name], folder.size)
    jobs = GaugeMetricFamily("stocktake_jobs", "Jobs of the queue by state", labels=["state"])
    for state, count in view["jobs"].items():
        jobs.add_metric([state], count)
    heartbeats = GaugeMetricFamily(
        "stocktake_worker_silence_seconds",
        "Seconds since the last heartbeat of a worker",
        labels=["worker"],
    )
    for worker in view["workers"] or []:
        heartbeats.add_metric(
            [str(worker.id)], max(0.0, (context.now() - worker.heartbeat).total_seconds())
        )
    yield from (sizes, jobs, heartbeats)
