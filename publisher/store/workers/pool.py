"""The query workers: idle ones wait for queries, and an admission queue stands in front of them.

While other queries wait, a long-running query passes its slot to the next query in the queue and
continues in an extra worker. So a few slow queries do not block many fast ones. A very long query
continues at low CPU priority.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import structlog
from cachetools import LRUCache

from journal.tracing import open_span
from languages.translations import TranslatableText
from publisher.background import log_failure
from publisher.errors import (
    LimitError,
    MemoryLimit,
    NotReady,
    PublisherError,
    QueryError,
    QuotaExceeded,
    RowLimit,
    StoreBusy,
    StoreFailure,
    TimeLimit,
    TooManyQueries,
)
from publisher.limits import Limits
from publisher.store.process import ChildProcess, raise_nice
from publisher.store.workers.query_request import (
    MEMORY_TEXT,
    QueryRequest,
    ResponsePart,
    Truncation,
)

log = structlog.get_logger()

READER = "publisher.store.workers.reader"
LOW_PRIORITY_AFTER = 1.0  # seconds of CPU time after which a query continues at low priority
LOW_PRIORITY = 15  # nice value: a query at normal priority gets thirty times as much CPU time
INTERNAL_QUEUE = 1_000  # internal queries that may wait: as many as there may be connections
# The exit codes of the engine when it runs out of memory.
_OUT_OF_MEMORY = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL}

TIME_TEXT = TranslatableText(
    "the query was stopped at its time limit; narrow it, run it as an export, or download a dump"
)


@dataclass(eq=False, slots=True)
class Turn:
    """A query of *client* ("" is internal) that waits in *queue* or, once it is *called*, runs;
    *in_slot* until its slot is passed to another query.
    """

    queue: AdmissionQueue
    client: str
    called: asyncio.Future[None]
    in_slot: bool = True


class AdmissionQueue:
    """*size* slots for queries and a bounded queue in front of them. Internal queries have no limit
    of their own.
    """

    def __init__(self, size: int, limits: Limits) -> None:
        self._size, self._limits = size, limits
        self.running: set[Turn] = set()
        self.waiting: list[Turn] = []

    @property
    def free(self) -> int:
        return self._size - sum(turn.in_slot for turn in self.running)

    @property
    def outside(self) -> int:
        """Return the number of queries that run outside the slots."""
        return len(self.running) - sum(turn.in_slot for turn in self.running)

    async def enter(self, client: str) -> Turn:
        """Wait for a slot; raise StoreBusy if the queue is full or too slow, TooManyQueries if this
        client has too many waiting.
        """
        turn = Turn(self, client, asyncio.get_running_loop().create_future())
        if not (self.free and self._may_run(turn, self._counts())):
            self._check_limits(client)
        self.waiting.append(turn)
        self._call()
        try:
            async with asyncio.timeout(self._limits.wait):
                await turn.called
        except (TimeoutError, asyncio.CancelledError) as error:
            self.leave(turn)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise StoreBusy(
                f"all {self._size} query workers were busy for {self._limits.wait:g} seconds; try again in a moment"
            ) from error
        return turn

    def leave(self, turn: Turn) -> None:
        """Record that the query has ended, or does not wait any longer."""
        if turn in self.waiting:
            self.waiting.remove(turn)
        self.running.discard(turn)
        self._call()

    def pass_slot(self, turn: Turn) -> None:
        """Pass the slot of *turn* to the next query. Its own query continues outside the slots."""
        turn.in_slot = False
        self._call()

    def _counts(self) -> Counter[str]:
        return Counter(turn.client for turn in self.running)

    def _may_run(self, turn: Turn, running: Counter[str]) -> bool:
        each = self._limits.each
        return not turn.client or not each or running[turn.client] < each

    def _check_limits(self, client: str) -> None:
        own = sum(turn.client == client for turn in self.waiting)
        if client and self._limits.share and own >= self._limits.share:
            raise TooManyQueries(
                f"{own} queries from this address are already waiting; send fewer at once"
            )
        if len(self.waiting) >= self._limits.queue:
            raise StoreBusy(
                f"all {self._size} query workers are busy and {len(self.waiting)} queries are waiting; try again in a moment"
            )

    def _call(self) -> None:
        """Pass the free slots to waiting queries, first to the clients with the fewest running
        queries.
        """
        while self.free and self.waiting:
            running = self._counts()
            ready = [turn for turn in self.waiting if self._may_run(turn, running)]
            if not ready:
                return
            turn = min(ready, key=lambda turn: running[turn.client])
            self.waiting.remove(turn)
            self.running.add(turn)
            if not turn.called.done():  # else its client has gone, and ``leave`` frees the slot
                turn.called.set_result(None)


class Worker(ChildProcess):
    """A worker process, which has at most *memory* bytes and runs one query at a time. *late*: it
    was killed at its time limit; *slow*: its priority was lowered, so that it is replaced after its
    query.
    """

    snapshot = ""
    late = slow = False
    memory = 0

    @classmethod
    async def start(
        cls, memory: int, module: str = READER, environment: Mapping[str, str] | None = None
    ) -> Worker:
        """Start a worker that runs *module*. Raises StoreFailure."""
        worker = await cls.launch(module, environment or {}, memory)
        worker.memory = memory
        return worker

    async def ask(self, snapshot: str, request: QueryRequest | None = None) -> ResponsePart:
        """Send a query of *snapshot*, a folder, or None only to open that; return the first part
        of the response. Raises PublisherError.
        """
        self.snapshot = snapshot
        self.send((snapshot, request))
        return await self.receive()

    async def receive(self) -> ResponsePart:
        """Return the next part of the response. Raises the error that the worker reports or that
        its exit code means.
        """
        try:
            message: ResponsePart | PublisherError = await self.read()
        except (EOFError, OSError) as error:
            raise await self._exit_error() from error
        if isinstance(message, PublisherError):
            raise message
        return message

    def expire(self) -> None:
        """Kill the process because its time limit is reached."""
        self.late = True
        self.kill()

    def cpu_seconds(self) -> float:
        """Return its CPU time in seconds; on systems without the clock of a process, the time of a
        monotonic clock.

        Source: https://man7.org/linux/man-pages/man3/clock_getcpuclockid.3.html
        """
        try:
            return time.clock_gettime((~(self.process.pid or 0) << 3) | 2)
        except OSError:
            return time.monotonic()

    def lower_priority(self, nice: int) -> None:
        """Lower its CPU priority. That cannot be undone."""
        self.slow = True
        if self.process.pid:
            raise_nice(self.process.pid, nice)

    async def _exit_error(self) -> PublisherError:
        await self.exited.wait()
        if self.late:
            return TimeLimit(TIME_TEXT)
        code = self.process.exitcode
        # If its files are missing, the engine aborted because they were removed.
        if code in _OUT_OF_MEMORY and Path(self.snapshot).exists():
            return MemoryLimit(MEMORY_TEXT)
        return StoreFailure(f"a query worker exited with code {code}")


class Answer:
    """A running query and its streamed response: the *suffix* of its format, the *engine* that
    evaluates, and its bytes. It must be closed.

    *limit* is its time limit in seconds. *on_close* receives the answer and whether it was read to
    its end. After the last byte, *rows* is its number of rows, None if unknown, *truncation* is set
    if it ended early, and *marked* if its bytes say so.
    """

    def __init__(
        self,
        worker: Worker,
        limit: float,
        on_close: Callable[[Answer, bool], None] = lambda _answer, _completed: None,
    ) -> None:
        self.worker, self._limit, self._on_close = worker, limit, on_close
        self.suffix = self.engine = self.snapshot = ""
        self.rows: int | None = None
        self.truncation: Truncation | None = None
        self.marked = False
        self._part = ResponsePart()
        loop = asyncio.get_running_loop()
        self._now, self._started, self._seconds = loop.time, loop.time(), -1.0
        self.timers = {"end": loop.call_later(limit, worker.expire)}

    async def begin(self, snapshot: str, request: QueryRequest) -> None:
        """Ask the worker; return when the response begins. Raises PublisherError, and is closed
        then.
        """
        try:
            self._part = await self.worker.ask(snapshot, request)
        except BaseException as error:
            self.close(completed=isinstance(error, QueryError | RowLimit))
            if isinstance(error, PublisherError):
                error.seconds = self.seconds
            raise
        self.snapshot, self.suffix, self.engine = snapshot, self._part.suffix, self._part.engine

    @property
    def seconds(self) -> float:
        """Return the evaluation time in seconds, so far or in total once it is closed."""
        return self._now() - self._started if self._seconds < 0 else self._seconds

    async def chunks(self, *, mark: bool = False) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks of about 64 KiB. Raises LimitError if the response ends early
        at a limit.

        With *mark* that is no error after the first byte: the response ends with a mark, if its
        format allows one.
        """
        is_begun = False
        while self._seconds < 0:
            if self._part.is_last:
                self.rows, self.truncation = self._part.rows, self._part.truncation
                self.close(completed=True)
            if self._part.data:
                is_begun = True
                yield self._part.data
            try:
                if self._seconds < 0:
                    self._part = await self.worker.receive()
            except LimitError as error:
                if not (mark and is_begun):
                    raise
                reached = ("seconds", self._limit), ("memory", self.worker.memory)
                self.truncation = Truncation(*reached[not isinstance(error, TimeLimit)])
                break
        if self.truncation and not mark:
            raise RowLimit(
                f"the result has more than {self.truncation.value:.0f} rows; add LIMIT, run it as an export, or download a dump"
            )
        if self.truncation and (closing := _closing_bytes(self.suffix, self.truncation)):
            self.marked = True
            yield closing

    def close(self, *, completed: bool = False) -> None:
        """Cancel the timers and release the worker; it is killed if the response was not read to
        its end.
        """
        if self._seconds < 0:
            self._seconds = self.seconds
            for timer in self.timers.values():
                timer.cancel()
            self._on_close(self, completed)


def _closing_bytes(suffix: str, truncation: Truncation) -> bytes:
    """Return the bytes that close and mark a document of the format *suffix* after a whole row; b""
    if the format has no mark.

    >>> _closing_bytes("json", Truncation("rows", 2))
    b']},"truncated":{"rows": 2}}'
    """
    mark = f"stocktake-truncated {truncation.field}"
    marks = {
        "json": f']}},"truncated":{json.dumps({truncation.limit: truncation.value})}}}',
        "xml": f"</results><?{mark}?></sparql>",
        "ttl": f"# {mark}\n",
        "nt": f"# {mark}\n",
        # At other limits the serializer has not closed the document.
        "rdf": f"<?{mark}?>\n" if truncation.limit == "rows" else "",
    }
    return marks.get(suffix, "").encode()


class Pool:
    """*size* workers that run the queries of clients, and those of pages, which are internal.

    The workers run *module*, with *environment* beside the variables of this process. Internal
    queries have slots of their own, for which more workers are started while clients use all, and
    they keep their priority, since pages wait for them.
    """

    def __init__(
        self,
        size: int,
        limits: Limits,
        rate_limiter: RateLimiter | None = None,
        module: str = READER,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        # *_newest* is the snapshot that idle workers have open, also while it is not used yet.
        self.snapshot, self._newest, self.limits = "", "", limits
        self.outcomes: Counter[str] = Counter()  # of clients: "answered", or the name of the error
        self.replaced_workers = 0
        self.queue = AdmissionQueue(size, limits)
        internal = replace(limits, queue=max(limits.queue, INTERNAL_QUEUE))
        self._internal_queue = AdmissionQueue(size, internal)
        self._size, self._rate_limiter = size, rate_limiter
        self._module, self._environment = module, environment
        # The worker that was used last, with the warmest caches, is last.
        self._idle: list[Worker] = []
        self._workers: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._filling, self._is_closed = asyncio.Lock(), False

    async def switch_snapshot(self, snapshot: str) -> None:
        """Use *snapshot* for all following queries.

        Idle workers open it before it is used, one after another, so that no query waits for that.
        """
        self._newest = snapshot
        for worker in list(self._idle):
            if worker in self._idle:  # no query uses it
                self._idle.remove(worker)
                await self._prepare(worker)
        self.snapshot = snapshot
        await self._fill()

    async def ask(
        self, request: QueryRequest, seconds: float | None = None, client: str = ""
    ) -> Answer:
        """Run *request* for *client* ("" is internal); return when the response begins. *seconds*
        may shorten the limit. Raises PublisherError.
        """
        queue = self.queue if client else self._internal_queue
        try:
            with open_span("query", {"stocktake.internal": not client}):
                if not self.snapshot:
                    raise NotReady("no snapshot is published yet; try again in a moment")
                if self._rate_limiter:
                    self._rate_limiter.admit(client)
                turn = await queue.enter(client)
                answer = await self._run(turn, request, seconds)
        except PublisherError as error:
            self.outcomes.update([type(error).__name__] if client else ())
            raise
        self.outcomes.update(["answered"] if client else ())
        return answer

    async def _run(self, turn: Turn, request: QueryRequest, seconds: float | None) -> Answer:
        try:
            snapshot = self._snapshot_of(request)
            worker = self._next_idle(snapshot) or await self._start()
        except BaseException:
            turn.queue.leave(turn)
            raise

        def release(answer: Answer, completed: bool) -> None:
            if self._rate_limiter:
                self._rate_limiter.charge(turn.client, answer.seconds)
            self._release(worker, turn, completed)

        limit = min(seconds or self.limits.seconds, self.limits.seconds)
        answer = Answer(worker, limit, release)
        self._check_later(answer, turn, worker.cpu_seconds() + LOW_PRIORITY_AFTER)
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

    def _check_later(self, answer: Answer, turn: Turn, low_after: float) -> None:
        answer.timers["check"] = asyncio.get_running_loop().call_later(
            self.limits.quick, self._check, answer, turn, low_after
        )

    def _check(self, answer: Answer, turn: Turn, low_after: float) -> None:
        """Pass on the slot of a query that takes long, if another waits for one, and lower its
        priority when its worker has used *low_after* seconds of CPU time.
        """
        worker = answer.worker
        queue = turn.queue
        if turn.in_slot and queue.waiting and queue.outside < self.limits.slow:
            queue.pass_slot(turn)
            self._start_task(self._fill())
        if turn.client and not worker.slow and worker.cpu_seconds() > low_after:
            worker.lower_priority(LOW_PRIORITY)
        self._check_later(answer, turn, low_after)

    def _next_idle(self, snapshot: str) -> Worker | None:
        """Return an idle worker, if possible one that has *snapshot* open; None if there is none."""
        for worker in [worker for worker in self._idle if worker.has_exited]:
            self._idle.remove(worker)
            self._start_task(self._replace(worker))
        self._idle.sort(key=lambda worker: worker.snapshot == snapshot)
        return self._idle.pop() if self._idle else None

    def _release(self, worker: Worker, turn: Turn, completed: bool) -> None:
        is_reusable = completed and not (worker.has_exited or worker.late or worker.slow)
        if not is_reusable or len(self._workers) > self._size + self.limits.slow:
            self.replaced_workers += 1
            worker.kill()
            self._start_task(self._replace(worker))
        elif worker.snapshot != self._newest:
            return self._start_task(self._refresh(worker, turn))
        else:
            self._idle.append(worker)
        turn.queue.leave(turn)

    async def _refresh(self, worker: Worker, turn: Turn) -> None:
        """Let a worker that was busy while the snapshot changed open the new one, so that the old
        one can be removed.
        """
        try:
            await self._prepare(worker)
        finally:
            turn.queue.leave(turn)

    async def _replace(self, worker: Worker) -> None:
        await self._discard(worker)
        await self._fill()

    async def _fill(self) -> None:
        async with self._filling:
            while (
                not self._is_closed
                and len(self._workers) - self.queue.outside - self._internal_queue.outside
                < self._size
                and await self._prepare(await self._start())
            ):
                pass  # a damaged snapshot ends it: the next query starts a worker and reports that

    async def _discard(self, worker: Worker) -> None:
        self._workers.discard(worker)
        await worker.stop()

    async def _start(self) -> Worker:
        worker = await Worker.start(self.limits.memory, self._module, self._environment)
        self._workers.add(worker)
        if self._is_closed:
            await self._discard(worker)
            raise NotReady("the store is being closed")
        return worker

    async def _prepare(self, worker: Worker) -> bool:
        """Let *worker* open the newest snapshot, also if that changes meanwhile, and add it to the
        idle workers; if it fails, stop it and return False.
        """
        try:
            while worker.snapshot != self._newest:
                await worker.ask(self._newest)
        except PublisherError as error:
            log.warning(
                "query worker cannot open the snapshot", snapshot=worker.snapshot, error=str(error)
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
        self._is_closed = True
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        self._workers.clear()
        self._idle.clear()


_NAME = "query-seconds"
_MAX_CLIENTS = 100_000  # clients that are remembered, those that asked last


class RateLimiter:
    """The token buckets of all clients; *now* returns the seconds of a monotonic clock.

    The cost of a query is known when it has ended, so a client may start one while anything is
    left, and may overdraw.
    """

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        self._quota, self._window, self._now = limits.budget, limits.window, now
        # By client: the seconds used, and the time of that balance.
        self._balances: LRUCache[str, tuple[float, float]] = LRUCache(_MAX_CLIENTS)

    def remaining(self, client: str) -> float | None:
        """Return the seconds that a client has left, below 0 if overdrawn; None if there is no
        budget, or for internal queries.
        """
        if not self._quota or not client:
            return None
        used, since = self._balances.get(client, (0.0, 0.0))
        return self._quota - max(0.0, used - (self._now() - since) * self._quota / self._window)

    def headers(self, client: str) -> dict[str, str]:
        """Return the headers of the IETF draft, none if there is no budget:
        https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (10).
        """
        left = self.remaining(client)
        if left is None:
            return {}
        full = ceil((self._quota - left) * self._window / self._quota)
        return {
            "RateLimit-Policy": f'"{_NAME}";q={self._quota:.0f};w={self._window:.0f};qu="seconds"',
            "RateLimit": f'"{_NAME}";r={max(0, int(left))};t={full}',
        }

    def admit(self, client: str) -> None:
        """Raise QuotaExceeded if nothing is left."""
        left = self.remaining(client)
        if left is not None and left <= 0:
            wait = max(1, ceil((1 - left) * self._window / self._quota))
            raise QuotaExceeded(
                f"this address has used its {self._quota:g} seconds of evaluation time; try again in {wait} seconds, "
                "repeat an earlier query unchanged (a cached response costs nothing), or run the query as an export",
                wait,
            )

    def charge(self, client: str, seconds: float) -> None:
        """Take *seconds* from a client's bucket."""
        left = self.remaining(client)
        if left is not None:
            self._balances[client] = self._quota - left + seconds, self._now()
