"""Describe the installation: queues, workers, disk, positions and versions; and its metrics for Prometheus, from the ledger.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.engine import make_url
from starlette.responses import Response

from harvesters.admin import pages
from harvesters.admin.actions import create_key
from harvesters.admin.auth import (
    ContextDep,
    CurrentUser,
    FormAdministrator,
    FormFields,
    PageAdministrator,
    Reader,
    User,
)
from harvesters.admin.context import AdminContext
from harvesters.admin.operations import perform, read_input
from harvesters.admin.schemas import key_view
from harvesters.ledger import operators, outbox
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.operators import Scope
from harvesters.runs.run_log import interrupted_runs, is_schedule_running
from harvesters.site import (
    ERROR_RESPONSES,
    render_errors_as_pages,
)
from journal.journal import Journal
from web.templating import get_pages

_FOLDERS = ("archive", "journal", "store", "releases", "dumps", "exports")
_MAX_FILES = 20_000  # files a folder that are added up: the page must not wait for a large archive
_WORKERS = """
    SELECT w.id, w.last_heartbeat, coalesce(array_agg(j.lock) FILTER (WHERE j.lock IS NOT NULL), '{}')
    FROM procrastinate_workers w LEFT JOIN procrastinate_jobs j ON j.worker_id = w.id AND j.status = 'doing'
    GROUP BY w.id, w.last_heartbeat ORDER BY w.last_heartbeat DESC"""
_JOBS = """
    SELECT status::text, count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing', 'failed')
    GROUP BY 1"""
_PACKAGES = ("stocktake", "pyoxigraph", "duckdb", "tantivy", "sqlalchemy")


@dataclass(frozen=True, slots=True)
class FolderSize:
    """The size of a folder in bytes; *partial* is whether it has more files than were added up."""

    name: str
    size: int
    partial: bool


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process: its number, its last heartbeat (UTC), and the sources whose runs it
    executes.
    """

    id: int
    heartbeat: datetime
    sources: list[str]


def system_view(context: AdminContext) -> dict[str, Any]:
    """Return the state of the installation: *head* is the newest journal entry, *positions* has the
    entries that the parts of the portal show.

    *workers* is None if runs are executed by the scheduler; *jobs* counts queued jobs by state.
    """
    ledger, usage = context.ledger, shutil.disk_usage(context.data)
    runs = [run for name in ledger.sources() if (run := ledger.open_run(name))]
    interrupted = interrupted_runs(ledger, context.data, runs)
    workers, jobs = _queue(ledger)
    folders = [context.data / name for name in _FOLDERS]
    return {
        "waiting": len(operators.waiting_requests(ledger)),
        "claimed": len(operators.claimed_requests(ledger)),
        "schedule_runs": is_schedule_running(ledger, context.data),
        "running": [run for run in runs if run.id not in interrupted],
        "free": usage.free,
        "total": usage.total,
        "folders": [_folder_size(folder) for folder in folders if folder.is_dir()],
        "head": Journal(context.data / "journal").position,
        "positions": context.positions(),
        "ledger": make_url(context.url).get_backend_name(),
        "versions": dict(_versions()),
        "workers": workers,
        "jobs": jobs,
        "undelivered": outbox.count_undelivered(ledger),
    }


def _queue(ledger: Ledger) -> tuple[list[Worker] | None, dict[str, int]]:
    """Return the workers that share the ledger, the one with the newest heartbeat first, and the
    jobs that wait, are in progress or failed, counted. The tables are those of Procrastinate, see
    ``harvesters.runs.jobs``.
    """
    if not ledger.is_shared:
        return None, {}
    with ledger.transaction() as connection:
        if connection.scalar(sa.text("SELECT to_regclass('procrastinate_workers')")) is None:
            return [], {}
        rows = connection.execute(sa.text(_WORKERS)).all()
        jobs = connection.execute(sa.text(_JOBS)).all()
    workers = [
        Worker(id, heartbeat.astimezone(UTC), sorted(sources)) for id, heartbeat, sources in rows
    ]
    return workers, {status: int(count) for status, count in jobs}


def _folder_size(folder: Path) -> FolderSize:
    files = list(islice(_files(folder), _MAX_FILES + 1))
    return FolderSize(folder.name, sum(files[:_MAX_FILES]), len(files) > _MAX_FILES)


def _files(folder: Path) -> Iterator[int]:
    """Yield the size of each file in *folder*, without files that are deleted meanwhile."""
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                yield (Path(root) / name).lstat().st_size
            except OSError:
                continue


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue
    yield "Python", platform.python_version()


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


page_routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@page_routes.get("/page/system")
def show_system(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show queues, running sources, disk, positions and versions."""
    values = {"user": user, "system": system_view(context), "parts": pages.PARTS}
    return get_pages(request).render("system.html", values)


@page_routes.get("/page/keys")
def keys(request: Request, user: PageAdministrator, context: ContextDep) -> Response:
    """Show the keys to administrators."""
    return render_keys_page(request, user, context)


def render_keys_page(
    request: Request, user: User, context: AdminContext, token: str | None = None
) -> Response:
    """Show the keys, and the *token* of one that was just created."""
    page = [key_view(key, context.now()) for key in operators.list_keys(context.ledger)]
    values = {
        "keys": page,
        "token": token,
        "scopes": list(Scope),
        "longest": operators.MAX_NAME_LENGTH,
    }
    return get_pages(request).render("keys.html", {"user": user, **values})


@page_routes.post("/page/keys")
def make_key(
    form: FormFields, request: Request, user: FormAdministrator, context: ContextDep
) -> Response:
    """Create a key and show its token once."""
    given = read_input(create_key, form, context)
    token = perform(context, create_key, user.key, "", given).token
    return render_keys_page(request, user, context, token)
