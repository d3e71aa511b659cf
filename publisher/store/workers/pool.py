"""Pool of query workers with idle spare workers, and the admission queue in front of it.

While other queries wait, a long-running query passes its slot to the next query in the queue and
continues in an extra worker. So a few slow queries do not block many fast ones. A very long query
continues at low CPU priority.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from pathlib import Path

import structlog

from journal.tracing import open_span
from publisher.background import log_failure
from publisher.errors import NotReady, PublisherError, StoreBusy, TooManyQueries
from publisher.limits import Limits
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.rate_limit import RateLimiter
from publisher.store.workers.worker import READER, Answer, Worker

log = structlog.get_logger()


LOW_PRIORITY_AFTER = 1.0  # seconds of CPU time after which a query continues at low priority
LOW_PRIORITY = 15  # nice value: a query at normal priority gets thirty times as much CPU time


class Pool:
    """*size* workers that may run queries at the same time, and *spares* that replace workers that
    are killed.

    The workers run *module*, with *environment* beside the variables of this process. *internal*
    queries keep their priority, since pages wait for them.
    """

    def __init__(
        self,
        size: int,
        limits: Limits,
        spares: int = 1,
        rate_limiter: RateLimiter | None = None,
        module: str = READER,
        environment: Mapping[str, str] | None = None,
        *,
        internal: bool = False,
    ) -> None:
        self.snapshot = ""
        self.limits = limits
        self.outcomes: Counter[str] = Counter()  # of queries: "answered", or the name of the error
        self.replaced_workers = 0
        self.queue = AdmissionQueue(size, limits)
        self._size, self._spares, self._rate_limiter = size, spares, rate_limiter
        self._module, self._environment, self._is_internal = module, environment, internal
        self._idle: list[
            Worker
        ] = []  # the one that was used last, with the warmest caches, is last
        self._workers: set[Worker] = set()
        self._outside_slots: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._filling, self._is_closed = asyncio.Lock(), False

    async def switch_snapshot(self, snapshot: str) -> None:
        """Use *snapshot* for all following queries.

        Idle workers open it before it is used, one after another, so that no query waits for that.
        """
        for worker in list(self._idle):
            if worker in self._idle:  # no query uses it
                self._idle.remove(worker)
                await self._prepare(worker, snapshot)
        self.snapshot = snapshot
        await self._fill()

    async def ask(
        self, request: QueryRequest, seconds: float | None = None, client: str = ""
    ) -> Answer:
        """Run *request* for *client*; return when the response begins. *seconds* may shorten the
        limit. Raises PublisherError.
        """
        try:
            with open_span("query", {"stocktake.internal": self._is_internal}):
                if not self.snapshot:
                    raise NotReady("no snapshot is published yet; try again in a moment")
                if self._rate_limiter:
                    self._rate_limiter.admit(client)
                await self.queue.enter(client)
                seconds = min(seconds or self.limits.seconds, self.limits.seconds)
                answer = await self._run(request, seconds, client)
        except PublisherError as error:
            self.outcomes[type(error).__name__] += 1
            raise
        self.outcomes["answered"] += 1
        return answer

    async def _run(self, request: QueryRequest, seconds: float, client: str) -> Answer:
        try:
            snapshot = self._snapshot_of(request)
            worker = self._next_idle(snapshot) or await self._start()
        except BaseException:
            self.queue.leave(client)
            raise
        answer = Answer(worker, seconds, client, self._release)
        self._check_later(answer, worker.cpu_seconds() + LOW_PRIORITY_AFTER)
        await answer.begin(snapshot, request)
        return answer

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

    def _check_later(self, answer: Answer, low_after: float) -> None:
        answer.timers["check"] = asyncio.get_running_loop().call_later(
            self.limits.quick, self._check, answer, low_after
        )

    def _check(self, answer: Answer, low_after: float) -> None:
        """Release the slot of a query that takes long, if another waits for one, and lower its
        priority when its worker has used *low_after* seconds of CPU time.
        """
        worker = answer.worker
        has_room = len(self._outside_slots) < self.limits.slow
        if answer.in_slot and self.queue.waiting and has_room:
            answer.in_slot = False
            self._outside_slots.add(worker)
            self.queue.release_slot()
            self._start_task(self._fill())
        if not self._is_internal and not worker.slow and worker.cpu_seconds() > low_after:
            worker.lower_priority(LOW_PRIORITY)
        self._check_later(answer, low_after)

    def _next_idle(self, snapshot: str) -> Worker | None:
        """Return an idle worker, if possible one that has *snapshot* open; None if there is none."""
        for worker in [worker for worker in self._idle if worker.has_exited]:
            self._idle.remove(worker)
            self._start_task(self._replace(worker))
        self._idle.sort(key=lambda worker: worker.snapshot == snapshot)
        return self._idle.pop() if self._idle else None

    def _release(self, answer: Answer, completed: bool) -> None:
        worker = answer.worker
        if self._rate_limiter:
            self._rate_limiter.charge(answer.client, answer.seconds)
        is_reusable = completed and not (worker.has_exited or worker.late or worker.slow)
        if not is_reusable or len(self._workers) > self._size + self._spares + self.limits.slow:
            self.replaced_workers += 1
            worker.kill()
            self._start_task(self._replace(worker))
        elif worker.snapshot != self.snapshot:
            return self._start_task(self._refresh(answer))
        else:
            self._idle.append(worker)
        self._leave(answer)

    def _leave(self, answer: Answer) -> None:
        self._outside_slots.discard(answer.worker)
        self.queue.leave(answer.client, has_slot=answer.in_slot)

    async def _refresh(self, answer: Answer) -> None:
        """Let a worker that was busy while the snapshot changed open the new one, so that the old
        one can be removed.
        """
        try:
            await self._prepare(answer.worker, self.snapshot)
        finally:
            self._leave(answer)

    async def _replace(self, worker: Worker) -> None:
        await self._discard(worker)
        await self._fill()

    async def _discard(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self._outside_slots.discard(worker)
        await worker.stop()

    async def _fill(self) -> None:
        """Start the workers that are missing."""
        async with self._filling:
            while self._is_short() and await self._prepare(await self._start(), self.snapshot):
                pass  # a damaged snapshot ends it: the next query starts a worker and reports that

    def _is_short(self) -> bool:
        in_slots = len(self._workers) - len(self._outside_slots)
        return in_slots < self._size + self._spares and not self._is_closed

    async def _start(self) -> Worker:
        worker = await Worker.start(self.limits.memory, self._module, self._environment)
        self._workers.add(worker)
        if self._is_closed:
            await self._discard(worker)
            raise NotReady("the store is being closed")
        return worker

    async def _prepare(self, worker: Worker, snapshot: str) -> bool:
        """Let *worker* open *snapshot* and add it to the idle workers; if it fails, stop it and
        return False.
        """
        try:
            await worker.open(snapshot)
        except PublisherError as error:
            log.warning(
                "query worker cannot open the snapshot", snapshot=snapshot, error=str(error)
            )
            await self._discard(worker)
            return False
        self._idle.append(worker)
        return True

    def _start_task(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(log_failure)

    async def close(self) -> None:
        """Stop all workers."""
        self._is_closed = True
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        self._workers.clear()
        self._idle.clear()


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
        if not (self.free and self._may_run(client)):
            self._check_queue_limits(client)
        assigned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (client, assigned)
        self._waiting.append(entry)
        self._assign_slots()
        try:
            async with asyncio.timeout(self._limits.wait):
                await assigned
        except (TimeoutError, asyncio.CancelledError) as error:
            if entry in self._waiting:
                self._waiting.remove(entry)
            else:
                self.leave(client)  # the slot was assigned at the same moment
            if isinstance(error, asyncio.CancelledError):
                raise
            raise StoreBusy(
                f"all {self._size} query workers were busy for {self._limits.wait:g} seconds; try again in a moment"
            ) from error

    def leave(self, client: str, *, has_slot: bool = True) -> None:
        """Record that a query of *client* has ended, in a slot or outside."""
        self._running -= Counter([client])
        self.free += has_slot
        self._assign_slots()

    def release_slot(self) -> None:
        """Pass a slot to the next query. Its own query continues outside the slots."""
        self.free += 1
        self._assign_slots()

    def _may_run(self, client: str) -> bool:
        return not client or not self._limits.each or self._running[client] < self._limits.each

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
        while self.free and (
            ready := [entry for entry in self._waiting if self._may_run(entry[0])]
        ):
            first = min(ready, key=lambda entry: self._running[entry[0]])
            self._waiting.remove(first)
            client, assigned = first
            self.free -= 1
            self._running[client] += 1
            if not assigned.done():  # else its client leaves, and gives the slot back
                assigned.set_result(None)
