"""Pool: readers that wait for questions, with warm spares, so that the end of one is not felt."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass

import structlog

from publisher.errors import Busy, NotReady, PublisherError, QueryError, RowLimit
from publisher.frames import Kind
from publisher.question import Question
from publisher.worker import Answer, Worker

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one question may take: seconds from its start, bytes of memory, rows; *wait* is seconds in the line before it starts."""

    seconds: float = 30.0
    memory: int = 2 << 30
    rows: int = 1_000_000
    wait: float = 20.0


class Pool:
    """*size* readers at work at once, and *spares* that wait for one of them to be killed."""

    def __init__(self, size: int, limits: Limits, spares: int = 1) -> None:
        self.generation = ""
        self.limits = limits
        self._size, self._spares = size, spares
        self._free = asyncio.Semaphore(size)
        self._idle: deque[Worker] = deque()
        self._all: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def show(self, generation: str) -> None:
        """Answer from *generation* from now on; idle readers open it at once."""
        self.generation = generation
        waiting, self._idle = list(self._idle), deque()
        for worker in waiting:
            await self._prepare(worker)
        while len(self._all) < self._size + self._spares:
            await self._add()

    async def ask(self, question: Question, seconds: float | None = None) -> Answer:
        """Put *question* to a reader; the answer begins or an error is raised. *seconds* may shorten the time limit."""
        if not self.generation:
            raise NotReady("no generation is up yet")
        try:
            async with asyncio.timeout(self.limits.wait):  # wait_for would lose the place of one who leaves just then
                await self._free.acquire()
        except TimeoutError as error:
            raise Busy(f"all {self._size} readers are at work") from error
        return await self._begin(question, min(seconds or self.limits.seconds, self.limits.seconds))

    async def _begin(self, question: Question, seconds: float) -> Answer:
        try:
            worker = self._next() or await self._start()
        except BaseException:
            self._free.release()
            raise
        timer = asyncio.get_running_loop().call_later(seconds, worker.expire)
        try:
            await worker.open(self.generation)
            await worker.ask(question)
            kind, payload = await worker.frame()
            assert kind is Kind.HEAD
        except BaseException as error:
            timer.cancel()
            self._give_back(worker, isinstance(error, QueryError | RowLimit))
            raise
        return Answer(payload.decode(), worker, self._give_back, timer)

    def _next(self) -> Worker | None:
        """Give a waiting reader; one that died while it waited is replaced."""
        while self._idle:
            worker = self._idle.popleft()
            if worker.process.returncode is None:
                return worker
            self._keep(self._replace(worker))
        return None

    def _give_back(self, worker: Worker, whole: bool) -> None:
        fit = whole and worker.process.returncode is None and not worker.late
        if not fit or len(self._all) > self._size + self._spares:
            self._free.release()
            worker.kill()
            self._keep(self._replace(worker))
        elif worker.generation != self.generation:
            self._keep(self._refresh(worker))
        else:
            self._free.release()
            self._idle.appendleft(worker)  # the warmest first

    async def _refresh(self, worker: Worker) -> None:
        """Let a reader that was at work while the generation changed open the new one, so that the old one can go."""
        try:
            await self._prepare(worker)
        finally:
            self._free.release()

    async def _replace(self, worker: Worker) -> None:
        self._all.discard(worker)
        await worker.stop()
        if len(self._all) < self._size + self._spares:
            await self._add()

    async def _add(self) -> None:
        await self._prepare(await self._start())

    async def _start(self) -> Worker:
        starting = asyncio.ensure_future(Worker.start(self.limits.memory))
        try:
            worker = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._keep(_abandon(starting))  # or its process would be left without anyone who knows it
            raise
        self._all.add(worker)
        return worker

    async def _prepare(self, worker: Worker) -> None:
        try:
            await worker.open(self.generation)
            self._idle.append(worker)
        except PublisherError as error:
            log.warning("a reader could not open a generation", generation=self.generation, error=str(error))
            self._all.discard(worker)
            await worker.stop()

    def _keep(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all readers."""
        self._size = self._spares = 0  # none is added any more
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._all))
        self._all.clear()
        self._idle.clear()


async def _abandon(starting: asyncio.Future[Worker]) -> None:
    await (await starting).stop()
