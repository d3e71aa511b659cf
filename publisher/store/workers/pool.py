"""Pool of query workers, with warm spares that replace those that end, and the queue before it.

A question that takes long is set aside while others wait: it gives its place to the next in the line, so that a few that run away never
keep the many that are quick. One that takes very long goes on at low priority.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Coroutine, Mapping
from functools import partial
from pathlib import Path

import structlog

from publisher.errors import NotReady, PublisherError, QueryError, RowLimit, StoreBusy, TooManyQueries
from publisher.limits import Limits
from publisher.store.workers.ipc_protocol import Kind
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.rate_limit import RateLimiter
from publisher.store.workers.worker import READER, Answer, QueryDeadline, Worker

__all__ = ["Limits", "Pool"]

log = structlog.get_logger()


LONG = 1.0  # seconds of processor time after which a question goes on at low priority: beside them another reader's start is a small price
AGAIN = 0.25  # seconds at least between two looks at what it has taken
ASIDE = 15  # nice value of a question that takes long: one that is quick gets thirty times as much processor beside it


class Pool:
    """*size* readers at work at once, and *spares* that wait for one of them to be killed.

    A reader is a process of *module* with the variables *environment*. If the queries are *ours*, pages wait for them, so none
    lowers its priority.
    """

    def __init__(
        self,
        size: int,
        limits: Limits,
        spares: int = 1,
        budget: RateLimiter | None = None,
        module: str = READER,
        environment: Mapping[str, str] | None = None,
        *,
        ours: bool = False,
    ) -> None:
        self.snapshot = ""
        self.limits = limits
        self.line = AdmissionQueue(size, limits)
        self._size, self._spares, self._budget = size, spares, budget
        self._module, self._environment, self._ours = module, environment, ours
        self._idle: deque[Worker] = deque()
        self._all: set[Worker] = set()
        self._aside: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: set[asyncio.Future[Worker]] = set()
        self._closed = False

    @property
    def _crew(self) -> int:
        """Count the readers without those that were set aside."""
        return len(self._all) - len(self._aside)

    async def show(self, snapshot: str) -> None:
        """Answer from *snapshot* from now on; idle readers open it at once."""
        self.snapshot = snapshot
        waiting, self._idle = list(self._idle), deque()
        for worker in waiting:
            await self._prepare(worker)
        while self._crew < self._size + self._spares:
            if not await self._add():
                return  # a damaged snapshot: a question starts a reader, and says what is wrong

    async def ask(self, question: QueryRequest, seconds: float | None = None, client: str = "") -> Answer:
        """Put *question* of *client* to a reader; the answer begins or an error is raised. *seconds* may shorten the time limit."""
        if not self.snapshot:
            raise NotReady("no snapshot is up yet; ask again in a moment")
        if self._budget:
            self._budget.admit(client)
        await self.line.enter(client)
        return await self._begin(question, min(seconds or self.limits.seconds, self.limits.seconds), client)

    async def _begin(self, question: QueryRequest, seconds: float, client: str) -> Answer:
        try:
            worker = self._next() or await self._start()
        except BaseException:
            self.line.leave(client)
            raise
        loop = asyncio.get_running_loop()
        ticket = QueryDeadline(client, seconds, loop.time, partial(self._give_back, worker))
        ticket.timers["end"] = loop.call_later(seconds, worker.expire)
        if not self._ours:
            _step_back_later(worker, ticket, worker.spent(), LONG)
        self._look_later(worker, ticket)
        try:
            await worker.open(self._state(question))
            await worker.ask(question)
            kind, payload = await worker.frame()
            assert kind is Kind.HEAD
        except BaseException as error:
            ticket.close(isinstance(error, QueryError | RowLimit))
            if isinstance(error, PublisherError):
                error.seconds = ticket.seconds
            raise
        return Answer(payload, worker, ticket)

    def _state(self, question: QueryRequest) -> str:
        """Return the snapshot to ask: while it changes, a question that was put together from the one is not asked of the other."""
        if question.snapshot and Path(question.snapshot).is_dir():
            return question.snapshot
        if question.release is not None:
            raise NotReady(f"release {question.release} is no longer in the store; ask again in a moment")
        return self.snapshot

    def _look_later(self, worker: Worker, ticket: QueryDeadline) -> None:
        ticket.timers["aside"] = asyncio.get_running_loop().call_later(self.limits.quick, self._set_aside, worker, ticket)

    def _set_aside(self, worker: Worker, ticket: QueryDeadline) -> None:
        if not self.line.waiting or len(self._aside) >= self.limits.slow:
            return self._look_later(worker, ticket)
        ticket.aside = True
        self._aside.add(worker)
        self.line.release_temporarily()
        self._keep(self._fill())

    def _next(self) -> Worker | None:
        """Return a waiting reader; one that died while it waited is replaced."""
        while self._idle:
            worker = self._idle.popleft()
            if worker.process.returncode is None:
                return worker
            self._keep(self._replace(worker))
        return None

    def _give_back(self, worker: Worker, ticket: QueryDeadline, whole: bool) -> None:
        if self._budget:
            self._budget.charge(ticket.client, ticket.seconds)
        self.line.ended(ticket.client)
        most = self._size + self._spares + self.limits.slow
        if not whole or worker.process.returncode is not None or worker.late or worker.slow or len(self._all) > most:
            self._lend(ticket)
            self._retire(worker)
        elif worker.snapshot != self.snapshot:
            self._keep(self._refresh(worker, ticket))
        else:
            self._idle.appendleft(worker)  # the warmest first
            self._lend(ticket)
        self._aside.discard(worker)

    def _lend(self, ticket: QueryDeadline) -> None:
        """Release the place, unless it was released before."""
        if not ticket.aside:
            self.line.release_temporarily()

    def _retire(self, worker: Worker) -> None:
        worker.kill()
        self._keep(self._replace(worker))

    async def _refresh(self, worker: Worker, ticket: QueryDeadline) -> None:
        """Let a reader that was at work while the snapshot changed open the new one, so that the old one can go."""
        try:
            await self._prepare(worker)
        finally:
            self._lend(ticket)

    async def _replace(self, worker: Worker) -> None:
        self._forget(worker)
        await worker.stop()
        await self._fill()

    def _forget(self, worker: Worker) -> None:
        self._all.discard(worker)
        self._aside.discard(worker)

    async def _fill(self) -> None:
        if self._crew < self._size + self._spares:
            await self._add()

    async def _add(self) -> bool:
        return await self._prepare(await self._start())

    async def _start(self) -> Worker:
        if self._closed:
            raise NotReady("the store is being closed")
        starting = asyncio.ensure_future(Worker.start(self.limits.memory, self._module, self._environment))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        try:
            worker = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._keep(_abandon(starting))  # or its process would be left without anyone who knows it
            raise
        self._all.add(worker)
        return worker

    async def _prepare(self, worker: Worker) -> bool:
        """Let *worker* open the snapshot and wait for questions; stop it and return False if it cannot."""
        try:
            await worker.open(self.snapshot)
            self._idle.append(worker)
            return True
        except PublisherError as error:
            log.warning("query worker cannot open the snapshot", snapshot=self.snapshot, error=str(error))
            self._forget(worker)
            await worker.stop()
            return False

    def _keep(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all readers, those too that are being started for someone who asks still."""
        self._closed = True
        self._size = self._spares = 0  # none is added any more
        while self._tasks or self._starting:
            await asyncio.gather(*self._tasks, *self._starting, return_exceptions=True)
            await asyncio.sleep(0)  # who waited for one takes it
        await asyncio.gather(*(worker.stop() for worker in self._all))
        self._all.clear()
        self._idle.clear()


def _step_back_later(worker: Worker, ticket: QueryDeadline, before: float, seconds: float) -> None:
    ticket.timers["nice"] = asyncio.get_running_loop().call_later(max(AGAIN, seconds), _step_back, worker, ticket, before)


def _step_back(worker: Worker, ticket: QueryDeadline, before: float) -> None:
    """Let a reader that has worked long go on at low priority; one that has mostly waited for a processor is looked at again."""
    left = LONG - (worker.spent() - before)
    if left > 0:
        return _step_back_later(worker, ticket, before, left)
    worker.step_back(ASIDE)


async def _abandon(starting: asyncio.Future[Worker]) -> None:
    await (await starting).stop()


class AdmissionQueue:
    """*size* places to work, and a short line before them; a client of "" is ourselves and has no limit of its own."""

    def __init__(self, size: int, limits: Limits) -> None:
        self.free = size
        self._size, self._limits = size, limits
        self._at_work: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @property
    def waiting(self) -> int:
        """Count the waiting queries."""
        return len(self._waiting)

    async def enter(self, client: str) -> None:
        """Wait for a worker; raise StoreBusy if the queue is full or too slow, TooManyQueries if this client has too many waiting."""
        if self.free and self._may(client):
            return self._take(client)
        self._refuse(client)
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (client, mine)
        self._waiting.append(place)
        try:
            async with asyncio.timeout(self._limits.wait):
                await mine
        except (TimeoutError, asyncio.CancelledError) as error:
            if mine.done() and not mine.cancelled():
                self.leave(client)  # the place came in the same moment
            else:
                self._waiting.remove(place)
            if isinstance(error, TimeoutError):
                raise StoreBusy(
                    f"all {self._size} readers were at work for {self._limits.wait:g} seconds; ask again in a moment"
                ) from error
            raise

    def leave(self, client: str) -> None:
        """Leave the worker to the next query."""
        self.ended(client)
        self.release_temporarily()

    def release_temporarily(self) -> None:
        """Let another have the place while this client's question goes on beside the others."""
        self.free += 1
        self._call()

    def ended(self, client: str) -> None:
        """Note that a question of *client* has ended, wherever it was at work."""
        self._at_work[client] -= 1
        if not self._at_work[client]:
            del self._at_work[client]
        self._call()

    def _may(self, client: str) -> bool:
        return not client or not self._limits.each or self._at_work[client] < self._limits.each

    def _take(self, client: str) -> None:
        self.free -= 1
        self._at_work[client] += 1

    def _refuse(self, client: str) -> None:
        own = sum(known == client for known, _ in self._waiting)
        if client and self._limits.share and own >= self._limits.share:
            raise TooManyQueries(f"{own} queries of this address wait already; ask fewer at once")
        if len(self._waiting) >= self._limits.queue:
            raise StoreBusy(f"all {self._size} readers are at work and {len(self._waiting)} queries wait; ask again in a moment")

    def _call(self) -> None:
        """Return the free workers to waiting queries."""
        while self.free:
            able = [place for place in self._waiting if self._may(place[0]) and not place[1].done()]
            if not able:
                return
            first = min(able, key=lambda place: self._at_work[place[0]])
            self._waiting.remove(first)
            self._take(first[0])
            first[1].set_result(None)
