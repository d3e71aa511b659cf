"""Pool of query workers with idle spare workers, and the admission queue in front of it.

While other queries wait, a long-running query passes its slot to the next query in the queue and
continues in an extra worker. So a few slow queries do not block many fast ones. A very long query
continues at low CPU priority.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Coroutine
from functools import partial
from pathlib import Path

import structlog

from journal.tracing import open_span
from publisher.errors import (
    NotReady,
    PublisherError,
    QueryError,
    RowLimit,
    StoreBusy,
    TooManyQueries,
)
from publisher.limits import Limits
from publisher.store.workers.ipc_protocol import Kind
from publisher.store.workers.launchers import Launcher
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.rate_limit import RateLimiter
from publisher.store.workers.worker import READER, Answer, QueryDeadline, Worker

__all__ = ["Limits", "Pool"]

log = structlog.get_logger()


LOW_PRIORITY_AFTER = 1.0  # seconds of CPU time after which a query continues at low priority
MIN_CHECK_INTERVAL = 0.25  # seconds between two checks of its CPU time
LOW_PRIORITY = 15  # nice value: a query at normal priority gets thirty times as much CPU time


class Pool:
    """*size* workers that may run queries at the same time, and *spares* that replace workers that
    are killed.

    *launcher* starts the workers. *internal* queries keep their priority, since pages wait for
    them.
    """

    def __init__(
        self,
        size: int,
        limits: Limits,
        spares: int = 1,
        rate_limiter: RateLimiter | None = None,
        launcher: Launcher = READER,
        *,
        internal: bool = False,
    ) -> None:
        self.snapshot = ""
        self.limits = limits
        self.outcomes: Counter[str] = Counter()  # of queries: "answered", or the name of the error
        self.replaced_workers = 0
        self.queue = AdmissionQueue(size, limits)
        self._size, self._spares, self._rate_limiter = size, spares, rate_limiter
        self._launcher, self._is_internal = launcher, internal
        self._idle: deque[Worker] = deque()
        self._workers: set[Worker] = set()
        self._outside_slots: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: set[asyncio.Future[Worker]] = set()
        self._closed = False

    @property
    def _in_slots(self) -> int:
        """Return the number of workers without those whose slot was released early."""
        return len(self._workers) - len(self._outside_slots)

    async def switch_snapshot(self, snapshot: str) -> None:
        """Use *snapshot* for all following queries.

        All idle workers but one open it before it is used, one after another, so that no query
        waits for that.
        """
        ready: list[Worker] = []
        try:
            while len(self._idle) > 1:
                idle = self._idle.pop()
                if await self._open(idle, snapshot):
                    ready.append(idle)
        finally:
            self._idle.extend(reversed(ready))
        self.snapshot = snapshot
        while worker := next((item for item in self._idle if item.snapshot != snapshot), None):
            self._idle.remove(worker)
            await self._prepare(worker)
        while self._in_slots < self._size + self._spares:
            if not await self._add():
                # the snapshot is damaged: the next query starts a worker and reports the error
                return

    async def ask(
        self, request: QueryRequest, seconds: float | None = None, client: str = ""
    ) -> Answer:
        """Run *request* for *client*; return when the response begins. *seconds* may shorten the
        limit. Raises PublisherError.
        """
        try:
            with open_span("query", {"stocktake.internal": self._is_internal}):
                answer = await self._admit(
                    request, min(seconds or self.limits.seconds, self.limits.seconds), client
                )
        except PublisherError as error:
            self.outcomes[type(error).__name__] += 1
            raise
        self.outcomes["answered"] += 1
        return answer

    async def _admit(self, request: QueryRequest, seconds: float, client: str) -> Answer:
        if not self.snapshot:
            raise NotReady("no snapshot is published yet; try again in a moment")
        if self._rate_limiter:
            self._rate_limiter.admit(client)
        await self.queue.enter(client)
        return await self._run(request, seconds, client)

    async def _run(self, request: QueryRequest, seconds: float, client: str) -> Answer:
        try:
            worker = self._next_idle() or await self._start()
        except BaseException:
            self.queue.leave(client)
            raise
        loop = asyncio.get_running_loop()
        deadline = QueryDeadline(client, seconds, loop.time, partial(self._release, worker))
        deadline.timers["end"] = loop.call_later(seconds, worker.expire)
        if not self._is_internal:
            _schedule_priority_check(worker, deadline, worker.cpu_seconds(), LOW_PRIORITY_AFTER)
        self._schedule_slot_release(worker, deadline)
        try:
            await worker.open(self._snapshot_of(request))
            await worker.ask(request)
            kind, payload = await worker.frame()
            assert kind is Kind.HEAD
        except BaseException as error:
            deadline.close(isinstance(error, QueryError | RowLimit))
            if isinstance(error, PublisherError):
                error.seconds = deadline.seconds
            raise
        return Answer(payload, worker, deadline)

    def _snapshot_of(self, request: QueryRequest) -> str:
        """Return the snapshot to query: the one that the request was rewritten for, while it
        exists, else the current one.
        """
        if request.snapshot and Path(request.snapshot).is_dir():
            return request.snapshot
        if request.release is not None:
            raise NotReady(
                f"release {request.release} is no longer in the store; try again in a moment"
            )
        return self.snapshot

    def _schedule_slot_release(self, worker: Worker, deadline: QueryDeadline) -> None:
        deadline.timers["slot"] = asyncio.get_running_loop().call_later(
            self.limits.quick, self._release_slot_early, worker, deadline
        )

    def _release_slot_early(self, worker: Worker, deadline: QueryDeadline) -> None:
        if not self.queue.waiting or len(self._outside_slots) >= self.limits.slow:
            return self._schedule_slot_release(worker, deadline)
        deadline.outside_slot = True
        self._outside_slots.add(worker)
        self.queue.release_slot()
        self._start_task(self._fill())

    def _next_idle(self) -> Worker | None:
        """Return an idle worker, None if there is none; replace those that have exited."""
        while self._idle:
            worker = self._idle.popleft()
            if worker.process.returncode is None:
                return worker
            self._start_task(self._replace(worker))
        return None

    def _release(self, worker: Worker, deadline: QueryDeadline, completed: bool) -> None:
        if self._rate_limiter:
            self._rate_limiter.charge(deadline.client, deadline.seconds)
        self.queue.end_query(deadline.client)
        maximum = self._size + self._spares + self.limits.slow
        if (
            not completed
            or worker.process.returncode is not None
            or worker.late
            or worker.slow
            or len(self._workers) > maximum
        ):
            self._release_slot(deadline)
            self._retire(worker)
        elif worker.snapshot != self.snapshot:
            self._start_task(self._refresh(worker, deadline))
        else:
            self._idle.appendleft(worker)  # the one with the warmest caches is used first
            self._release_slot(deadline)
        self._outside_slots.discard(worker)

    def _release_slot(self, deadline: QueryDeadline) -> None:
        """Release the slot, unless it was released early."""
        if not deadline.outside_slot:
            self.queue.release_slot()

    def _retire(self, worker: Worker) -> None:
        self.replaced_workers += 1
        worker.kill()
        self._start_task(self._replace(worker))

    async def _refresh(self, worker: Worker, deadline: QueryDeadline) -> None:
        """Let a worker that was busy while the snapshot changed open the new one, so that the old
        one can be removed.
        """
        try:
            if await self._prepare(worker):
                self._idle.rotate()  # it has the warmest caches, and is used first
        finally:
            self._release_slot(deadline)

    async def _replace(self, worker: Worker) -> None:
        self._forget(worker)
        await worker.stop()
        await self._fill()

    def _forget(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self._outside_slots.discard(worker)

    async def _fill(self) -> None:
        if self._in_slots < self._size + self._spares:
            await self._add()

    async def _add(self) -> bool:
        return await self._prepare(await self._start())

    async def _start(self) -> Worker:
        if self._closed:
            raise NotReady("the store is being closed")
        starting = asyncio.ensure_future(Worker.start(self.limits.memory, self._launcher))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        try:
            worker = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._start_task(_abandon(starting))  # otherwise its process would never be stopped
            raise
        self._workers.add(worker)
        return worker

    async def _prepare(self, worker: Worker) -> bool:
        """Let *worker* open the snapshot and add it to the idle workers; if it fails, stop it and
        return False.
        """
        is_opened = await self._open(worker, self.snapshot)
        if is_opened:
            self._idle.append(worker)
        return is_opened

    async def _open(self, worker: Worker, snapshot: str) -> bool:
        """Let *worker* open *snapshot*; if it fails, stop it and return False."""
        try:
            await worker.open(snapshot)
        except PublisherError as error:
            log.warning(
                "query worker cannot open the snapshot", snapshot=snapshot, error=str(error)
            )
            self._forget(worker)
            await worker.stop()
            return False
        return True

    def _start_task(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop all workers, including those that are being started."""
        self._closed = True
        self._size = self._spares = 0  # no worker is added any more
        while self._tasks or self._starting:
            await asyncio.gather(*self._tasks, *self._starting, return_exceptions=True)
            await asyncio.sleep(0)  # lets waiting tasks receive their worker
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        self._workers.clear()
        self._idle.clear()


def _schedule_priority_check(
    worker: Worker, deadline: QueryDeadline, before: float, seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    deadline.timers["nice"] = loop.call_later(
        max(MIN_CHECK_INTERVAL, seconds), _check_priority, worker, deadline, before
    )


def _check_priority(worker: Worker, deadline: QueryDeadline, before: float) -> None:
    """Lower the priority of a worker that has used LOW_PRIORITY_AFTER seconds of CPU time; else
    check again later.
    """
    remaining = LOW_PRIORITY_AFTER - (worker.cpu_seconds() - before)
    if remaining > 0:
        return _schedule_priority_check(worker, deadline, before, remaining)
    worker.lower_priority(LOW_PRIORITY)


async def _abandon(starting: asyncio.Future[Worker]) -> None:
    await (await starting).stop()


class AdmissionQueue:
    """*size* slots for queries and a bounded queue in front of them. The client "" is internal and
    has no limit of its own.
    """

    def __init__(self, size: int, limits: Limits) -> None:
        self.free = size
        self._size, self._limits = size, limits
        self._running: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @property
    def waiting(self) -> int:
        """Count the waiting queries."""
        return len(self._waiting)

    async def enter(self, client: str) -> None:
        """Wait for a worker; raise StoreBusy if the queue is full or too slow, TooManyQueries if
        this client has too many waiting.
        """
        if self.free and self._may_run(client):
            return self._occupy(client)
        self._check_queue_limits(client)
        assigned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (client, assigned)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(self._limits.wait):
                await assigned
        except (TimeoutError, asyncio.CancelledError) as error:
            if assigned.done() and not assigned.cancelled():
                self.leave(client)  # the slot was assigned at the same moment
            else:
                self._waiting.remove(entry)
            if isinstance(error, TimeoutError):
                raise StoreBusy(
                    f"all {self._size} query workers were busy for {self._limits.wait:g} seconds; try again in a moment"
                ) from error
            raise

    def leave(self, client: str) -> None:
        """Record that a query has ended and release its slot."""
        self.end_query(client)
        self.release_slot()

    def release_slot(self) -> None:
        """Pass a slot to the next query. Its own query may continue outside the slots."""
        self.free += 1
        self._assign_slots()

    def end_query(self, client: str) -> None:
        """Record that a query of *client* has ended, in a slot or outside."""
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        self._assign_slots()

    def _may_run(self, client: str) -> bool:
        return not client or not self._limits.each or self._running[client] < self._limits.each

    def _occupy(self, client: str) -> None:
        self.free -= 1
        self._running[client] += 1

    def _check_queue_limits(self, client: str) -> None:
        own = sum(waiting_client == client for waiting_client, _ in self._waiting)
        if client and self._limits.share and own >= self._limits.share:
            raise TooManyQueries(
                f"{own} queries from this address are already waiting; send fewer at once"
            )
        if len(self._waiting) >= self._limits.queue:
            raise StoreBusy(
                f"all {self._size} query workers are busy and {len(self._waiting)} queries are waiting; try again in a moment"
            )

    def _assign_slots(self) -> None:
        """Assign the free slots to waiting queries, first to the clients with the fewest running
        queries.
        """
        while self.free:
            ready = [
                entry for entry in self._waiting if self._may_run(entry[0]) and not entry[1].done()
            ]
            if not ready:
                return
            first = min(ready, key=lambda entry: self._running[entry[0]])
            self._waiting.remove(first)
            self._occupy(first[0])
            first[1].set_result(None)
