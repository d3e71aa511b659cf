"""Describe the installation: queues, workers, disk, positions and versions, keys, alerts with their rules; and its metrics for Prometheus,
from the ledger.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from http import HTTPStatus
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.engine import make_url
from starlette.responses import Response

from harvesters.admin import pages
from harvesters.admin.actions import create_key, digest, save_rules
from harvesters.admin.context import (
    AdminContext,
    ContextDep,
    FormAdministrator,
    FormFields,
    PageAdministrator,
    Reader,
    RendererDep,
    redirect,
)
from harvesters.admin.operations import perform, read_input
from harvesters.admin.pages import CONDITIONS
from harvesters.admin.schemas import key_view
from harvesters.ledger import operators, outbox
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Scope
from harvesters.notifications.alerts import EXAMPLE, RulesError, parse_rules, read_rules
from harvesters.runs.run_log import interrupted_runs, is_schedule_running
from harvesters.site import ERROR_RESPONSES, DefinitionChanged, render_errors_as_pages
from journal.journal import Journal
from web.templating import PageRenderer

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
        "versions": {
            **{name: version(name) for name in _PACKAGES},
            "Python": platform.python_version(),
        },
        "workers": workers,
        "jobs": jobs,
        "undelivered": outbox.count_undelivered(ledger),
    }


def _queue(ledger: Ledger) -> tuple[list[dict[str, Any]] | None, dict[str, int]]:
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
        {"id": id, "heartbeat": heartbeat.astimezone(UTC), "sources": sorted(sources)}
        for id, heartbeat, sources in rows
    ]
    return workers, {status: int(count) for status, count in jobs}


def _folder_size(folder: Path) -> dict[str, Any]:
    """Return the size of a folder in bytes; *partial* is whether it has more files than were added up."""
    files = list(islice(_files(folder), _MAX_FILES + 1))
    size, is_partial = sum(files[:_MAX_FILES]), len(files) > _MAX_FILES
    return {"name": folder.name, "size": size, "partial": is_partial}


def _files(folder: Path) -> Iterator[int]:
    """Yield the size of each file in *folder*, without files that are deleted meanwhile."""
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                yield (Path(root) / name).lstat().st_size
            except OSError:
                continue


routes = APIRouter(tags=["system"], responses=ERROR_RESPONSES)


@routes.get("/metrics", response_class=PlainTextResponse)
def read_metrics(key: Reader, context: ContextDep) -> PlainTextResponse:
    """Report runs by outcome, records of the last run of each source, requests, jobs, workers and
    disk use.

    Processes on several machines share the ledger, so any of them reports for all; `/metrics` has
    the figures of one server.
    """
    return PlainTextResponse(
        generate_latest(_LedgerCollector(context)), media_type=CONTENT_TYPE_LATEST
    )


@dataclass(frozen=True, slots=True)
class _LedgerCollector(Collector):
    """Compute the metrics of *context* when they are read."""

    context: AdminContext

    def collect(self) -> Iterable[Metric]:
        """Yield each metric with its samples."""
        for kind, name, text, labels, samples in _metrics(self.context):
            family = kind(name, text, labels=labels)
            for values, number in samples:
                family.add_metric(values, number)
            yield family


# A metric: its kind, name, description, labels, and the samples with the values of the labels.
_Described = tuple[
    type[CounterMetricFamily] | type[GaugeMetricFamily],
    str,
    str,
    tuple[str, ...],
    Iterable[tuple[tuple[str, ...], float]],
]


def _metrics(context: AdminContext) -> Iterator[_Described]:
    view = system_view(context)
    counted, last = context.ledger.count_runs(), context.ledger.last_runs()
    fetched = Counter[str]()
    for source, _, _, number in counted:
        fetched[source] += number
    yield from (
        (CounterMetricFamily, "stocktake_runs", "Runs of a source by their state", ("source", "state"),
         (((source, state.value), count) for source, state, count, _ in counted)),
        (CounterMetricFamily, "stocktake_records_fetched", "Records that the runs of a source received", ("source",),
         (((source,), number) for source, number in fetched.items())),
        (GaugeMetricFamily, "stocktake_last_run_records", "Records of the last run of a source by outcome", ("source", "outcome"),
         (((run.source, outcome), count) for run in last for outcome, count in run.counts.items())),
        (GaugeMetricFamily, "stocktake_last_run_end_timestamp_seconds", "When the last run of a source ended", ("source",),
         (((run.source,), run.ended.timestamp()) for run in last if run.ended)),
        (GaugeMetricFamily, "stocktake_requested_runs_waiting", "Runs that a person requested and that have not begun", (),
         [((), view["waiting"])]),
        (GaugeMetricFamily, "stocktake_invalid_definitions", "Source definitions with faults, whose sources are not harvested", (),
         [((), context.count_invalid_definitions())]),
        (GaugeMetricFamily, "stocktake_runs_in_progress", "Runs in progress", (), [((), len(view["running"]))]),
        (GaugeMetricFamily, "stocktake_notifications_undelivered", "Notifications that are not delivered yet", (),
         [((), view["undelivered"])]),
        (GaugeMetricFamily, "stocktake_disk_free_bytes", "Free bytes of the file system of the data directory", (),
         [((), view["free"])]),
        (GaugeMetricFamily, "stocktake_folder_bytes", "Bytes of a folder; of a large one, of its first files", ("folder",),
         (((folder["name"],), folder["size"]) for folder in view["folders"])),
        (GaugeMetricFamily, "stocktake_jobs", "Jobs of the queue by state", ("state",),
         (((state,), count) for state, count in view["jobs"].items())),
        (GaugeMetricFamily, "stocktake_worker_silence_seconds", "Seconds since the last heartbeat of a worker", ("worker",),
         (((str(worker["id"]),), max(0.0, (context.now() - worker["heartbeat"]).total_seconds())) for worker in view["workers"] or ())),
    )  # fmt: skip


page_routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@page_routes.get("/page/system")
def show_system(show: RendererDep, context: ContextDep) -> Response:
    """Show queues, running sources, disk, positions and versions."""
    return show("system.html", system=system_view(context), parts=pages.PARTS)


@page_routes.get("/page/keys")
def keys(show: RendererDep, user: PageAdministrator, context: ContextDep) -> Response:
    """Show the keys to administrators."""
    return render_keys_page(show, context)


def render_keys_page(
    show: PageRenderer, context: AdminContext, token: str | None = None
) -> Response:
    """Show the keys, and the *token* of one that was just created."""
    page = [key_view(key, context.now()) for key in operators.list_keys(context.ledger)]
    return show(
        "keys.html", keys=page, token=token, scopes=list(Scope), longest=operators.MAX_NAME_LENGTH
    )


@page_routes.post("/page/keys")
def make_key(
    form: FormFields, show: RendererDep, user: FormAdministrator, context: ContextDep
) -> Response:
    """Create a key and show its token once."""
    given = read_input(create_key, form)
    token = perform(context, create_key, user.key, "", given).token
    return render_keys_page(show, context, token)


_ALERTS = "/page/alerts"
_SHOWN_ALERTS = 30  # messages, and alerts that ended


@page_routes.get(_ALERTS)
def show_alerts(show: RendererDep, context: ContextDep) -> Response:
    """Show open alerts, rules, silences and the last messages."""
    try:
        text = read_rules(context.data)
    except RulesError as error:
        return _render_alerts(
            show, context, {"text": "", "digest": "", "rules": [], "faults": error.faults}
        )
    return _render_alerts(show, context, _check_rules(text, digest(text)))


def _check_rules(text: str, before: str) -> Mapping[str, Any]:
    """Return edited rules, valid ones parsed, or their faults; *before* is the digest of the text
    that was edited.
    """
    edited = {"text": text, "digest": before}
    try:
        return {**edited, "rules": parse_rules(text), "faults": []}
    except RulesError as error:
        return {**edited, "rules": [], "faults": error.faults}


def _render_alerts(
    show: PageRenderer,
    context: AdminContext,
    rules: Mapping[str, Any],
    status: HTTPStatus = HTTPStatus.OK,
    conflict: str = "",
) -> Response:
    ledger = context.ledger
    return show(
        "alerts.html",
        status,
        rules=rules,
        conflict=conflict,
        example=EXAMPLE,
        open=outbox.alerts(ledger, is_open=True),
        ended=outbox.alerts(ledger, is_open=False, limit=_SHOWN_ALERTS),
        silences=outbox.silences(ledger, context.now()),
        messages=outbox.messages(ledger, _SHOWN_ALERTS),
        channels=context.channels,
        conditions=CONDITIONS,
    )


@page_routes.post(f"{_ALERTS}/rules")
def change_rules(
    form: FormFields, show: RendererDep, user: FormAdministrator, context: ContextDep
) -> Response:
    """Save the rules if they have no fault."""
    text = form.get("text", "").replace("\r\n", "\n")
    edited = _check_rules(text, form.get("before", ""))
    if edited["faults"]:
        return _render_alerts(show, context, edited, HTTPStatus.UNPROCESSABLE_ENTITY)
    given = save_rules.input(text=text, before=edited["digest"])
    try:
        perform(context, save_rules, user.key, "", given)
    except DefinitionChanged as error:
        return _render_alerts(show, context, edited, HTTPStatus.CONFLICT, error.localized)
    return redirect(_ALERTS)
