"""Report runs, requests, workers and disk use for Prometheus, from the ledger.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from harvesters.admin.auth import ContextDep, Reader
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
    counted, last = context.ledger.count_runs(), context.ledger.last_runs()
    records = Counter[str]()
    for source, _, _, number in counted:
        records[source] += number
    yield _labelled(
        CounterMetricFamily(
            "stocktake_runs", "Runs of a source by their state", labels=["source", "state"]
        ),
        (((source, state.value), count) for source, state, count, _ in counted),
    )
    yield _labelled(
        CounterMetricFamily(
            "stocktake_records_fetched",
            "Records that the runs of a source received",
            labels=["source"],
        ),
        (((source,), number) for source, number in records.items()),
    )
    yield _labelled(
        GaugeMetricFamily(
            "stocktake_last_run_records",
            "Records of the last run of a source by outcome",
            labels=["source", "outcome"],
        ),
        (((run.source, outcome), count) for run in last for outcome, count in run.counts.items()),
    )
    yield _labelled(
        GaugeMetricFamily(
            "stocktake_last_run_end_timestamp_seconds",
            "When the last run of a source ended",
            labels=["source"],
        ),
        (((run.source,), run.ended.timestamp()) for run in last if run.ended),
    )


def _system_metrics(view: Mapping[str, Any], context: AdminContext) -> Iterable[Metric]:
    figures = {
        "stocktake_requested_runs_waiting": (
            "Runs that a person requested and that have not begun",
            view["waiting"],
        ),
        "stocktake_invalid_definitions": (
            "Source definitions with faults, whose sources are not harvested",
            context.count_invalid_definitions(),
        ),
        "stocktake_runs_in_progress": (
            "Runs in progress",
            len(view["running"]),
        ),
        "stocktake_notifications_undelivered": (
            "Notifications that are not delivered yet",
            view["undelivered"],
        ),
        "stocktake_disk_free_bytes": (
            "Free bytes of the file system of the data directory",
            view["free"],
        ),
    }
    for name, (text, value) in figures.items():
        yield GaugeMetricFamily(name, text, value)
    yield _labelled(
        GaugeMetricFamily(
            "stocktake_folder_bytes",
            "Bytes of a folder; of a large one, of its first files",
            labels=["folder"],
        ),
        (((folder.name,), folder.size) for folder in view["folders"]),
    )
    yield _labelled(
        GaugeMetricFamily(
            "stocktake_jobs",
            "Jobs of the queue by state",
            labels=["state"],
        ),
        (((state,), count) for state, count in view["jobs"].items()),
    )
    silences = ((worker.id, context.now() - worker.heartbeat) for worker in view["workers"] or [])
    yield _labelled(
        GaugeMetricFamily(
            "stocktake_worker_silence_seconds",
            "Seconds since the last heartbeat of a worker",
            labels=["worker"],
        ),
        (((str(id),), max(0.0, silence.total_seconds())) for id, silence in silences),
    )


def _labelled(
    family: CounterMetricFamily | GaugeMetricFamily,
    samples: Iterable[tuple[Sequence[str], float]],
) -> Metric:
    """Return *family* with its *samples*, each the values of its labels and a number."""
    for labels, number in samples:
        family.add_metric(labels, number)
    return family
