"""Exporter: answers the exports, one at a time and after everyone else."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import structlog

from publisher.errors import LimitError, PublisherError, StoreError
from publisher.sparql.exports import Export, ExportQueue, ExportState
from publisher.sparql.rewriting import rewrite
from publisher.store.query_service import QueryService
from publisher.store.workers.ipc_protocol import Kind
from publisher.store.workers.query_deadline import QueryDeadline
from publisher.store.workers.worker import Answer, Worker

log = structlog.get_logger(room="exporter")

NICE = 19  # nice value: an export has what nobody else wants
POLL_SECONDS = 0.5  # seconds between looks at the queue's folder
POLLS_BEFORE_REREAD = 20  # after which the queue is read even so
PROGRESS_SECONDS = 1.0  # seconds after which its progress is told again


class Exporter:
    """Work off *exports* from *service*; of several servers over one folder, one does."""

    def __init__(self, service: QueryService, exports: ExportQueue) -> None:
        self._service, self._exports = service, exports
        self._current: tuple[str, asyncio.Task[None]] | None = None

    async def run(self) -> None:
        """Go on until cancelled; what is at work then is put back."""
        lock = await _worker_lock(self._exports.folder)
        try:
            self._exports.recover()
            while True:
                self._exports.sweep()
                seen = self._exports.changed()
                while self._service.snapshot and (export := self._exports.next()):
                    await self._one(export)
                await self._until_changed(seen)
        finally:
            lock.close()

    def stop(self, name: str) -> None:
        """End the export *name* if it is at work."""
        if self._current and self._current[0] == name:
            self._current[1].cancel()

    async def _until_changed(self, seen: int) -> None:
        """Wait for a new one, and not too long: a file system may not tell two changes apart, and results grow old."""
        for _ in range(POLLS_BEFORE_REREAD):
            await asyncio.sleep(POLL_SECONDS)
            if self._exports.changed() != seen:
                return

    async def _one(self, export: Export) -> None:
        task = asyncio.ensure_future(self._work(export))
        self._current = (export.id, task)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            if (left := self._exports.get(export.id)) and left.state is ExportState.RUNNING:
                self._exports.save(replace(left, state=ExportState.QUEUED, tries=left.tries - 1))  # it was not its fault
            raise
        finally:
            self._current = None
        if not task.cancelled():
            task.result()

    async def _work(self, export: Export) -> None:
        shown = self._service.current
        begun = replace(export, state=ExportState.RUNNING, tries=export.tries + 1, began=self._exports.stamp(), position=shown.position)
        self._exports.save(begun)
        worker = await Worker.start(self._service.limits.export_memory)
        try:
            worker.step_back(NICE)
            await worker.open(shown.path)
            await self._answer(begun, worker)
        except StoreError as error:
            log.error("export failed", error=str(error))
            self._still(begun, lambda: self._exports.fail(begun, "the store could not answer; put it again"))
        except PublisherError as error:
            reason = str(error)
            self._still(begun, lambda: self._exports.fail(begun, reason))
        finally:
            (self._exports.folder / export.id / "part").unlink(missing_ok=True)
            await worker.stop()

    async def _answer(self, export: Export, worker: Worker) -> None:
        limits, loop = self._service.limits, asyncio.get_running_loop()
        await worker.ask(await rewrite(self._service, replace(export.asks, rows=limits.export_rows)))
        ticket = QueryDeadline("", limits.export_seconds, loop.time, lambda _ticket, _whole: None)
        ticket.timers["end"] = loop.call_later(limits.export_seconds, worker.expire)
        try:
            kind, payload = await worker.frame()
            assert kind is Kind.HEAD
            await self._keep(replace(export, suffix=payload.decode()), Answer(payload.decode(), worker, ticket))
        finally:
            ticket.close(False)

    async def _keep(self, export: Export, answer: Answer) -> None:
        """Write the answer beside, and give it its name when it is whole."""
        digest, size, told = hashlib.sha256(), 0, 0.0
        part = self._exports.folder / export.id / "part"
        with part.open("wb") as file:
            async for chunk in answer.chunks():
                size += file.write(chunk)
                digest.update(chunk)
                if size > self._service.limits.export_size:
                    raise LimitError(f"the result has more than {self._service.limits.export_size} bytes; narrow the query, or take a dump")
                if answer.seconds - told > PROGRESS_SECONDS:
                    told = answer.seconds
                    self._still(export, lambda size=size: self._exports.save(replace(export, size=size)))  # type: ignore[misc]
            file.flush()
            os.fsync(file.fileno())
        self._still(export, lambda: part.replace(self._exports.result(export)))
        done = replace(export, state=ExportState.DONE, ended=self._exports.stamp(), rows=answer.rows, size=size, sha256=digest.hexdigest())
        self._still(export, lambda: self._exports.save(done))

    def _still(self, export: Export, act: Callable[[], object]) -> None:
        """Do *act* if the export was not deleted meanwhile."""
        if self._exports.get(export.id):
            act()


async def _worker_lock(folder: Path) -> TextIO:
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("w")
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        await asyncio.sleep(POLL_SECONDS)
