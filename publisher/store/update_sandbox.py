"""Temporary stores to try SPARQL updates on: small, protected by a key, deleted after an hour,
never published.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from publisher.errors import LimitError, QueryError, ScratchFull
from publisher.limits import Limits
from publisher.store.workers.ipc_protocol import Kind
from publisher.store.workers.launchers import CommandLauncher
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.update import Update
from publisher.store.workers.worker import Answer, QueryDeadline, Worker

MAX_SANDBOXES = 8  # each has a process
LIFETIME = 3600.0  # seconds from creation to deletion, whether a store is in use or not
MAX_QUADS = 200_000  # per store
_SANDBOX_WORKER = CommandLauncher("publisher.store.workers.sandbox_worker")


class Sandbox:
    """One store and its worker process; one query or update at a time."""

    def __init__(self, folder: Path, limits: Limits, expires_at: float) -> None:
        self.name = folder.name
        self.expires_at = expires_at
        self.quads = 0
        self._folder, self._limits = folder, limits
        self._lock = asyncio.Lock()
        self._worker: Worker | None = None

    async def ask(self, request: QueryRequest, seconds: float | None = None) -> Answer:
        """Run a query; the store is locked until the answer is closed."""
        worker, deadline = await self._acquire(seconds)
        try:
            await worker.ask(request)
            kind, payload = await worker.frame()
            assert kind is Kind.HEAD
        except BaseException as error:
            deadline.close(isinstance(error, QueryError))
            raise
        return Answer(payload, worker, deadline)

    async def write(self, update: Update, seconds: float | None = None) -> None:
        """Apply an update atomically."""
        worker, deadline = await self._acquire(seconds)
        completed = False
        try:
            await worker.write(update)
            _, payload = await worker.frame()
            self.quads, completed = int(payload), True
        except BaseException as error:
            completed = (
                isinstance(error, QueryError | LimitError) and worker.process.returncode is None
            )
            raise
        finally:
            deadline.close(completed)

    async def close(self) -> None:
        """Stop the worker and delete the store."""
        if self._worker:
            await self._worker.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _acquire(self, seconds: float | None) -> tuple[Worker, QueryDeadline]:
        await self._lock.acquire()
        try:
            worker = await self._running_worker()
        except BaseException:
            self._lock.release()
            raise
        loop = asyncio.get_running_loop()
        deadline = QueryDeadline(
            "", min(seconds or self._limits.seconds, self._limits.seconds), loop.time, self._release
        )
        deadline.timers["end"] = loop.call_later(deadline.limit, worker.expire)
        return worker, deadline

    async def _running_worker(self) -> Worker:
        worker = self._worker
        if worker is None or worker.process.returncode is not None or worker.late:
            if worker:
                await worker.stop()
            worker = self._worker = await Worker.start(self._limits.memory, _SANDBOX_WORKER)
            await worker.open(str(self._folder))
        return worker

    def _release(self, deadline: QueryDeadline, completed: bool) -> None:
        if not completed and self._worker:
            self._worker.expire()
        self._lock.release()


class Sandboxes:
    """The sandboxes under *folder* by name. Those of an earlier process are removed."""

    def __init__(self, folder: Path, limits: Limits, now: Callable[[], float] = time.time) -> None:
        self._folder, self._limits, self._now = folder, limits, now
        self._sandboxes: dict[str, Sandbox] = {}
        self._is_cleared = False

    async def create(self) -> Sandbox:
        """Create an empty store. Raises ScratchFull if there are too many."""
        if not self._is_cleared:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._is_cleared = True
        await self.expire()
        if len(self._sandboxes) >= MAX_SANDBOXES:
            raise ScratchFull(
                f"there are {MAX_SANDBOXES} scratch stores already; delete one, or wait until one is an hour old"
            )
        folder = self._folder / secrets.token_urlsafe(12)
        folder.mkdir(parents=True)
        sandbox = self._sandboxes[folder.name] = Sandbox(
            folder, self._limits, self._now() + LIFETIME
        )
        return sandbox

    async def find(self, name: str) -> Sandbox | None:
        """Return the store *name*; None if there is none."""
        await self.expire()
        return self._sandboxes.get(name)

    async def remove(self, name: str) -> None:
        """Delete the store *name*."""
        if sandbox := self._sandboxes.pop(name, None):
            await sandbox.close()

    async def expire(self) -> None:
        """Delete stores that are older than LIFETIME."""
        for name in [
            name for name, store in self._sandboxes.items() if store.expires_at <= self._now()
        ]:
            await self.remove(name)

    async def close(self) -> None:
        """Delete all stores."""
        for name in list(self._sandboxes):
            await self.remove(name)
