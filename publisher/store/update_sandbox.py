"""Temporary stores to try updates on: small, behind a key, removed after an hour, never published."""

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
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.update import Update
from publisher.store.workers.worker import Answer, QueryDeadline, Worker

MOST = 8  # stores at once: each is a process
LIFE = 3600.0  # seconds until a store is gone, however much it is used
QUADS = 200_000


class Sandbox:
    """One store and its worker process; one query or update at a time."""

    def __init__(self, folder: Path, limits: Limits, ends: float) -> None:
        self.name = folder.name
        self.ends = ends
        self.quads = 0
        self._folder, self._limits = folder, limits
        self._free = asyncio.Lock()
        self._worker: Worker | None = None

    async def ask(self, question: QueryRequest, seconds: float | None = None) -> Answer:
        """Run a query; the store is free again when the answer is closed."""
        worker, ticket = await self._take(seconds)
        try:
            await worker.ask(question)
            kind, payload = await worker.frame()
            assert kind is Kind.HEAD
        except BaseException as error:
            ticket.close(isinstance(error, QueryError))
            raise
        return Answer(payload, worker, ticket)

    async def write(self, update: Update, seconds: float | None = None) -> None:
        """Apply an update, wholly or not at all."""
        worker, ticket = await self._take(seconds)
        whole = False
        try:
            await worker.write(update)
            _, payload = await worker.frame()
            self.quads, whole = int(payload), True
        except BaseException as error:
            whole = isinstance(error, QueryError | LimitError) and worker.process.returncode is None
            raise
        finally:
            ticket.close(whole)

    async def close(self) -> None:
        """Stop the worker and delete the store."""
        if self._worker:
            await self._worker.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _take(self, seconds: float | None) -> tuple[Worker, QueryDeadline]:
        await self._free.acquire()
        try:
            worker = await self._ready()
        except BaseException:
            self._free.release()
            raise
        loop = asyncio.get_running_loop()
        ticket = QueryDeadline("", min(seconds or self._limits.seconds, self._limits.seconds), loop.time, self._give_back)
        ticket.timers["end"] = loop.call_later(ticket.limit, worker.expire)
        return worker, ticket

    async def _ready(self) -> Worker:
        worker = self._worker
        if worker is None or worker.process.returncode is not None or worker.late:
            if worker:
                await worker.stop()
            worker = self._worker = await Worker.start(self._limits.memory, "publisher.store.workers.sandbox_worker")
            await worker.open(str(self._folder))
        return worker

    def _give_back(self, ticket: QueryDeadline, whole: bool) -> None:
        if not whole and self._worker:
            self._worker.expire()
        self._free.release()


class Sandboxes:
    """The scratch stores under *folder*, by their names; what a process before this one left there is removed."""

    def __init__(self, folder: Path, limits: Limits, now: Callable[[], float] = time.time) -> None:
        self._folder, self._limits, self._now = folder, limits, now
        self._held: dict[str, Sandbox] = {}
        self._begun = False

    async def make(self) -> Sandbox:
        """Make an empty store; raise ScratchFull where there are too many."""
        if not self._begun:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._begun = True
        await self.expire()
        if len(self._held) >= MOST:
            raise ScratchFull(f"there are {MOST} scratch stores already; delete one, or wait until one is an hour old")
        folder = self._folder / secrets.token_urlsafe(12)
        folder.mkdir(parents=True)
        made = self._held[folder.name] = Sandbox(folder, self._limits, self._now() + LIFE)
        return made

    async def find(self, name: str) -> Sandbox | None:
        """Return the store *name*; None if there is none."""
        await self.expire()
        return self._held.get(name)

    async def remove(self, name: str) -> None:
        """Delete the store *name*."""
        if gone := self._held.pop(name, None):
            await gone.close()

    async def expire(self) -> None:
        """Delete stores that are too old."""
        for name in [name for name, store in self._held.items() if store.ends <= self._now()]:
            await self.remove(name)

    async def close(self) -> None:
        """Delete all stores."""
        for name in list(self._held):
            await self.remove(name)
