"""Queries too large to wait for: a queue of exports, and the exporter that runs them one at a time,
at low priority.

The queue is a folder; each export is a subfolder whose state file is replaced atomically. If the
server is killed, running exports are requeued at the next start. A result gets its name only when
complete.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NotRequired, cast

import structlog
from typing_extensions import TypedDict

from journal.atomic_file import replace_file
from journal.file_lock import AlreadyLockedError, FileLock
from publisher.errors import LimitError, PublisherError, StoreBusy, StoreError, TooManyQueries
from publisher.limits import Limits
from publisher.sparql.responses import media_type
from publisher.sparql.rewriting import rewrite
from publisher.store.query_service import QueryService
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.worker import Answer, Worker
from web.endpoints import Count, Instant

log = structlog.get_logger(component="exporter")

RETENTION = timedelta(days=1)  # of results
MAX_QUEUED = 50  # of all clients
MAX_PER_CLIENT = 50  # within a day
MAX_STORED_RESULTS = 10  # multiples of the largest result: limit of all results together
MAX_ATTEMPTS = 3  # an export that crashes the server is not retried for ever
NICE = 19  # lowest priority
POLL_SECONDS = 0.5  # seconds between checks of the queue's folder
POLLS_BEFORE_REREAD = 20  # checks after which the queue is read even if unchanged
PROGRESS_SECONDS = 1.0  # between progress updates
# 16 random bytes: whoever knows the id may read and delete
_ID = re.compile(r"[A-Za-z0-9_-]{22}\Z")


class ExportJson(TypedDict):
    """An export. *ahead* is its place in the queue; *result* is the path of the result once it is
    done.
    """

    id: str
    state: Literal["queued", "running", "done", "failed"]
    query: str
    requested: Instant
    ahead: NotRequired[Count]
    started: NotRequired[Instant]
    ended: NotRequired[Instant]
    expires: NotRequired[Instant]
    position: NotRequired[Count]
    rows: NotRequired[Count]
    sha256: NotRequired[str]
    reason: NotRequired[str]
    size: NotRequired[Count]
    result: NotRequired[str]
    media: NotRequired[str]


class Export(ExportJson):
    """An export as it is stored: *packed* is its QueryRequest, *suffix* the result's format. *size*
    is that of the result so far; times are ISO 8601 in UTC.
    """

    packed: str
    client: str
    tries: int
    suffix: NotRequired[str]


def is_open(export: Export) -> bool:
    """Return whether *export* is queued or running."""
    return export["state"] in ("queued", "running")


class ExportQueue:
    """The queue in *folder*; *now* returns the time."""

    def __init__(
        self, folder: Path, limits: Limits, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.folder, self._limits, self.now = folder, limits, now

    def add(self, query_request: QueryRequest, client: str) -> Export:
        """Queue a query; raises TooManyQueries if *client* has too many exports, StoreBusy if the
        queue is full.
        """
        stored = self.all()
        waiting = sum(map(is_open, stored))
        own = [is_open(export) for export in stored if export["client"] == client]
        if self._limits.exports and sum(own) >= self._limits.exports:
            raise TooManyQueries(
                f"{sum(own)} exports of your address are queued or running; wait for one, or delete it"
            )
        if self._limits.exports and len(own) >= MAX_PER_CLIENT:
            raise TooManyQueries(
                f"{len(own)} exports of your address are stored; delete those that you have downloaded"
            )
        largest = MAX_STORED_RESULTS * self._limits.export_size
        if waiting >= MAX_QUEUED or sum(export.get("size", 0) for export in stored) >= largest:
            raise StoreBusy(
                f"{waiting} exports are waiting and {len(stored) - waiting} are stored: the queue is full"
            )
        export = Export(
            id=secrets.token_urlsafe(16),
            state="queued",
            query=query_request.text,
            requested=self.timestamp(),
            packed=query_request.pack().decode(),
            client=client,
            tries=0,
        )
        (self.folder / export["id"]).mkdir(parents=True)
        self.save(export)
        os.utime(self.folder)  # the exporter watches this timestamp
        return export

    def get(self, name: str) -> Export | None:
        """Return the export *name*, None if it does not exist or was deleted."""
        file = self.folder / name / "state.json"
        if not _ID.match(name) or not file.is_file():
            return None
        return cast(Export, json.loads(file.read_text()))

    def all(self) -> list[Export]:
        """Return all exports, the oldest first."""
        exports = (self.get(path.parent.name) for path in self.folder.glob("*/state.json"))
        return sorted(filter(None, exports), key=_place)

    def save(self, export: Export) -> None:
        """Write an export's state atomically, unless it was deleted meanwhile."""
        folder = self.folder / export["id"]
        if folder.is_dir():
            replace_file(folder / "state.json", json.dumps(export))

    def delete(self, name: str) -> None:
        """Delete an export with its result."""
        if _ID.match(name):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def ahead(self, export: Export) -> int:
        """Return the number of exports that run before this one."""
        return sum(is_open(other) and _place(other) < _place(export) for other in self.all())

    def recover(self) -> None:
        """Requeue exports that were running when the server stopped."""
        for export in self.all():
            if export["state"] == "running":
                (self.folder / export["id"] / "part").unlink(missing_ok=True)
                if export["tries"] < MAX_ATTEMPTS:
                    self.save({**export, "state": "queued"})
                else:
                    self.fail(
                        export,
                        f"the server stopped {MAX_ATTEMPTS} times while this export was running",
                    )

    def fail(self, export: Export, reason: str) -> None:
        """Save the export as failed."""
        self.end({**export, "state": "failed", "reason": reason, "size": 0})

    def end(self, export: Export) -> None:
        """Save the export as ended now."""
        expires = (self.now() + RETENTION).isoformat()
        self.save({**export, "ended": self.timestamp(), "expires": expires})

    def delete_expired(self) -> None:
        """Delete exports past their retention."""
        for export in self.all():
            if "expires" in export and datetime.fromisoformat(export["expires"]) <= self.now():
                self.delete(export["id"])

    def timestamp(self) -> str:
        """Return the current time in the stored format."""
        return self.now().isoformat(timespec="microseconds")


def _place(export: Export) -> tuple[str, str]:
    return export["requested"], export["id"]


class Exporter:
    """Run *exports* on *service*. If several servers share a folder, one of them does."""

    def __init__(self, service: QueryService, exports: ExportQueue) -> None:
        self._service, self.exports = service, exports
        self._running: dict[str, asyncio.Task[None]] = {}  # at most one, by its id

    async def run(self) -> None:
        """Run until cancelled; a running export is requeued then."""
        folder = self.exports.folder
        lock = await _worker_lock(folder)
        try:
            self.exports.recover()
            while True:
                self.exports.delete_expired()
                changed = folder.stat().st_mtime_ns
                queued = (export for export in self.exports.all() if export["state"] == "queued")
                if self._service.snapshot and (export := next(queued, None)):
                    await self._run_one(export)
                    continue
                # timestamps of files may be too coarse, and results expire
                for _ in range(POLLS_BEFORE_REREAD):
                    await asyncio.sleep(POLL_SECONDS)
                    if folder.stat().st_mtime_ns != changed:
                        break
        finally:
            lock.close()

    def delete(self, export: Export) -> None:
        """Delete *export*; stop it if it is running."""
        self.exports.delete(export["id"])
        if task := self._running.get(export["id"]):
            task.cancel()

    async def _run_one(self, export: Export) -> None:
        task = self._running[export["id"]] = asyncio.create_task(self._execute(export))
        (failure,) = await asyncio.gather(task, return_exceptions=True)
        del self._running[export["id"]]
        if isinstance(failure, Exception):
            raise failure

    async def _execute(self, export: Export) -> None:
        limits, current = self._service.limits, self._service.current
        running: Export = {
            **export,
            "state": "running",
            "tries": export["tries"] + 1,
            "started": self.exports.timestamp(),
            "position": current.position,
            "size": 0,
        }
        self.exports.save(running)
        worker = await Worker.start(limits.export_memory)
        try:
            worker.lower_priority(NICE)
            await self._answer(running, worker, current.path)
        except asyncio.CancelledError:
            self.exports.save(export)  # does not count as an attempt
            raise
        except StoreError as error:
            log.error("export failed", error=str(error))
            self.exports.fail(running, "the store was unavailable; submit the export again")
        # the folder is missing if another server deleted the export
        except (PublisherError, FileNotFoundError) as error:
            self.exports.fail(running, str(error))
        finally:
            (self.exports.folder / export["id"] / "part").unlink(missing_ok=True)
            await worker.stop()

    async def _answer(self, export: Export, worker: Worker, snapshot: str) -> None:
        limits = self._service.limits
        query = replace(QueryRequest.unpack(export["packed"].encode()), rows=limits.export_rows)
        request = await rewrite(self._service, query)
        answer = Answer(worker, limits.export_seconds)
        try:
            await answer.begin(snapshot, request)
            await self._write_result(export, answer)
        finally:
            answer.close()

    async def _write_result(self, export: Export, answer: Answer) -> None:
        """Write the result to a temporary file, and rename it when complete."""
        digest, size, last_saved = hashlib.sha256(), 0, 0.0
        part = self.exports.folder / export["id"] / "part"
        with part.open("wb") as file:
            async for chunk in answer.chunks():
                size += file.write(chunk)
                digest.update(chunk)
                if size > self._service.limits.export_size:
                    raise LimitError(
                        f"the result is larger than {self._service.limits.export_size} bytes; narrow the query, or download a dump"
                    )
                if answer.seconds - last_saved > PROGRESS_SECONDS:
                    last_saved = answer.seconds
                    self.exports.save({**export, "size": size, "suffix": answer.suffix})
            file.flush()
            os.fsync(file.fileno())
        part.replace(part.with_name("result"))
        finished: Export = {
            **export,
            "state": "done",
            "size": size,
            "sha256": digest.hexdigest(),
            "suffix": answer.suffix,
            "media": media_type(answer.suffix),
            "result": f"/exports/{export['id']}/result",
        }
        if answer.rows is not None:
            finished["rows"] = answer.rows
        self.exports.end(finished)


async def _worker_lock(folder: Path) -> FileLock:
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        with suppress(AlreadyLockedError):
            return FileLock(folder / "lock", wait=False)
        await asyncio.sleep(POLL_SECONDS)
