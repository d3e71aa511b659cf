"""Describe the installation: queues, workers, disk, positions and versions."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from harvesters.admin.context import AdminContext
from harvesters.ledger import operators, outbox
from harvesters.ledger.ledger import Ledger
from harvesters.runs.locks import interrupted_runs, is_schedule_running
from journal.journal import Journal

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
