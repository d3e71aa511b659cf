"""Run the queued exports one at a time, at low priority."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from journal.file_lock import AlreadyLockedError, FileLock
from publisher.errors import LimitError, PublisherError, StoreError
from publisher.sparql.exports import Export, ExportQueue, ExportState
from publisher.sparql.rewriting import rewrite
from publisher.store.query_service import QueryService
from publisher.store.workers.ipc_protocol import Kind
from publisher.store.workers.worker import Answer, QueryDeadline, Worker

log = structlog.get_logger(component="exporter")

NICE = 19  # lowest priority
POLL_SECONDS = 0.5  # seconds between checks of the queue's folder
POLLS_BEFORE_REREAD = 20  # checks after which the queue is read even if unchanged
PROGRESS_SECONDS = 1.0  # between progress updates


class Exporter:
    """Run *exports* on *service*. If several servers share a folder, one of them does."""

    def __init__(self, service: QueryService, exports: ExportQueue) -> None:
        self._service, self.exports = service, exports
        self._current: tuple[str, asyncio.Task[None]] | None = None

    async def run(self) -> None:
        """Run until cancelled; a running export is requeued then."""
        lock = await _worker_lock(self.exports.folder)
        try:
            self.exports.recover()
            while True:
                self.exports.delete_expired()
                seen = self.exports.changed()
                while self._service.snapshot and (export := self.exports.next()):
                    await self._run_one(export)
                await self._wait_for_change(seen)
        finally:
            lock.close()

    def delete(self, export: Export) -> None:
        """Delete *export*; stop it if it is running."""
        self.exports.delete(export.id)
        if self._current and self._current[0] == export.id:
            self._current[1].cancel()

    async def _wait_for_change(self, seen: int) -> None:
        """Wait for a new export, for a limited time: file timestamps may be too coarse, and results
        expire.
        """
        for _ in range(POLLS_BEFORE_REREAD):
            await asyncio.sleep(POLL_SECONDS)
            if self.exports.changed() != seen:
                return

    async def _run_one(self, export: Export) -> None:
        task = asyncio.ensure_future(self._execute(export))
        self._current = (export.id, task)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            if (
                unfinished := self.exports.get(export.id)
            ) and unfinished.state is ExportState.RUNNING:
                # does not count as an attempt
                self.exports.save(
                    replace(unfinished, state=ExportState.QUEUED, tries=unfinished.tries - 1)
                )
            raise
        finally:
            self._current = None
        if not task.cancelled():
            task.result()

    async def _execute(self, export: Export) -> None:
        current = self._service.current
        running = replace(
            export,
            state=ExportState.RUNNING,
            tries=export.tries + 1,
            started=self.exports.timestamp(),
            position=current.position,
        )
        self.exports.save(running)
        worker = await Worker.start(self._service.limits.export_memory)
        try:
            worker.lower_priority(NICE)
            await worker.open(current.path)
            await self._answer(running, worker)
        except StoreError as error:
            log.error("export failed", error=str(error))
            self._unless_deleted(
                running,
                lambda: self.exports.fail(
                    running, "the store was unavailable; submit the export again"
                ),
            )
        except PublisherError as error:
            reason = str(error)
            self._unless_deleted(running, lambda: self.exports.fail(running, reason))
        finally:
            (self.exports.folder / export.id / "part").unlink(missing_ok=True)
            await worker.stop()

    async def _answer(self, export: Export, worker: Worker) -> None:
        limits, loop = self._service.limits, asyncio.get_running_loop()
        await worker.ask(
            await rewrite(self._service, replace(export.query, rows=limits.export_rows))
        )
        deadline = QueryDeadline(
            "", limits.export_seconds, loop.time, lambda _deadline, _completed: None
        )
        deadline.timers["end"] = loop.call_later(limits.export_seconds, worker.expire)
        try:
            kind, payload = await worker.frame()
            assert kind is Kind.HEAD
            answer = Answer(payload, worker, deadline)
            await self._write_result(replace(export, suffix=answer.suffix), answer)
        finally:
            deadline.close(False)

    async def _write_result(self, export: Export, answer: Answer) -> None:
        """Write the result to a temporary file, and rename it when complete."""
        digest, size, last_saved = hashlib.sha256(), 0, 0.0
        part = self.exports.folder / export.id / "part"
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
                    self._unless_deleted(
                        export,
                        lambda size=size: self.exports.save(replace(export, size=size)),  # type: ignore[misc]
                    )
            file.flush()
            os.fsync(file.fileno())
        self._unless_deleted(export, lambda: part.replace(self.exports.result(export)))
        finished = replace(
            export,
            state=ExportState.DONE,
            ended=self.exports.timestamp(),
            rows=answer.rows,
            size=size,
            sha256=digest.hexdigest(),
        )
        self._unless_deleted(export, lambda: self.exports.save(finished))

    def _unless_deleted(self, export: Export, act: Callable[[], object]) -> None:
        """Call *act* unless the export was deleted meanwhile."""
        if self.exports.get(export.id):
            act()


async def _worker_lock(folder: Path) -> FileLock:
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        with suppress(AlreadyLockedError):
            return FileLock(folder / "lock", wait=False)
        await asyncio.sleep(POLL_SECONDS)
