"""Control one query worker process from the server, and the query that it answers."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import signal
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from journal.fork_server import lock, preload, run_module, start, start_method
from languages.translations import TranslatableText
from publisher.errors import (
    LimitError,
    MemoryLimit,
    PublisherError,
    QueryError,
    RowLimit,
    StoreFailure,
    TimeLimit,
)
from publisher.store.thread_priority import raise_nice
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.results import (
    CHUNK_SIZE,
    PIECE_SIZE,
    End,
    Head,
    Message,
    Truncation,
    closing_bytes,
)

BUFFER_MEMORY = 1 << 20  # bytes of a response; enough for a client that reads steadily
READER = "publisher.store.workers.column_reader"
# exit codes of the engine when it runs out of memory
_OUT_OF_MEMORY = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL}

MEMORY_TEXT = TranslatableText(
    "the query was stopped at its memory limit; narrow it, sort or group fewer rows, run it as an export, "
    "or download a dump"
)
TIME_TEXT = TranslatableText(
    "the query was stopped at its time limit; narrow it, run it as an export, or download a dump"
)


class Worker:
    """A worker process and the pipe to it; it runs one query at a time."""

    def __init__(self, process: BaseProcess, connection: Connection, memory: int) -> None:
        self.process, self.memory = process, memory
        self.snapshot = ""
        self.late = self.slow = False
        self._connection = connection
        self._messages: deque[Message] = deque()
        self._exited = asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._record_exit)

    @classmethod
    async def start(
        cls, memory: int, module: str = READER, environment: Mapping[str, str] | None = None
    ) -> Worker:
        """Start a process that runs *module* with at most *memory* bytes, and *environment* beside
        the variables of this one. Raises StoreFailure.

        If the caller is cancelled, the process ends as soon as it reads from the closed pipe.
        """
        preload(module)
        context = multiprocessing.get_context(start_method())
        ours, theirs = context.Pipe()
        arguments = (module, dict(environment or {}), theirs, memory)
        process = context.Process(target=run_module, args=arguments, daemon=True)  # type: ignore[attr-defined]
        try:
            await asyncio.to_thread(_start, process, theirs)
            return cls(process, ours, memory)
        except (OSError, EOFError, asyncio.CancelledError) as error:
            ours.close()
            if isinstance(error, asyncio.CancelledError):
                raise
            raise StoreFailure(f"no query worker can be started: {error}") from error

    @property
    def has_exited(self) -> bool:
        """Return whether the process has ended."""
        return self._exited.is_set()

    def _record_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self.process.sentinel)
        with lock:
            self.process.join()
        self._exited.set()

    async def open(self, snapshot: str) -> None:
        """Open *snapshot*, a folder, unless it is open already."""
        if snapshot != self.snapshot:
            self.snapshot = snapshot
            await self.send(snapshot)
            await self.receive()

    async def send(self, message: QueryRequest | str) -> None:
        """Send a query, or the folder of the snapshot to open; read the response by ``receive``."""
        try:
            self._connection.send_bytes(pickle.dumps(message))
        except ConnectionError as error:
            raise await self._exit_error() from error

    async def receive(self) -> Message:
        """Return the next message of the response. Raises the error that the worker reports or that
        its exit code means.
        """
        try:
            while not self._messages:
                self._messages.extend(await self._read_messages())
        except (EOFError, OSError) as error:
            raise await self._exit_error() from error
        message = self._messages.popleft()
        if isinstance(message, MemoryLimit):
            raise MemoryLimit(MEMORY_TEXT)
        if isinstance(message, PublisherError):
            raise message
        return message

    async def _read_messages(self) -> list[Message]:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        pieces: list[bytes] = []
        loop.add_reader(self._connection.fileno(), readable.set)
        try:
            while not pieces or len(pieces[-1]) == PIECE_SIZE:
                await readable.wait()
                pieces.append(self._connection.recv_bytes())
                readable.clear()
        finally:
            loop.remove_reader(self._connection.fileno())
        messages: list[Message] = pickle.loads(b"".join(pieces))
        return messages

    def kill(self) -> None:
        """Kill the process."""
        if not self.has_exited:
            self.process.kill()

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
        """Lower its CPU priority. That cannot be undone, so the process is replaced after its
        query.
        """
        self.slow = True
        if self.process.pid:
            raise_nice(self.process.pid, nice)

    async def stop(self) -> None:
        """Kill the process and wait until it has exited."""
        self.kill()
        await self._exited.wait()
        self._connection.close()

    async def _exit_error(self) -> PublisherError:
        await self._exited.wait()
        if self.late:
            return TimeLimit(TIME_TEXT)
        code = self.process.exitcode
        if code in _OUT_OF_MEMORY and Path(self.snapshot).exists():
            return MemoryLimit(
                MEMORY_TEXT
            )  # else the engine aborted because its files were removed
        return StoreFailure(f"a query worker exited with code {code}")


def _start(process: BaseProcess, connection: Connection) -> None:
    resource_tracker.ensure_running()  # it would change the signal mask
    # Ctrl-C ends the server, which ends its children.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    with connection:
        start(process)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Answer:
    """A running query and its streamed response: the *suffix* of its format, the *engine* that
    evaluates, and its bytes. It must be closed.

    *limit* is its time limit in seconds. *on_close* receives the answer and whether it was read to
    its end. After the last byte, *rows* is its number of rows, None if unknown, and *truncation* is
    set if it ended early.
    """

    def __init__(
        self,
        worker: Worker,
        limit: float,
        client: str = "",
        on_close: Callable[[Answer, bool], None] = lambda _answer, _completed: None,
    ) -> None:
        self.worker, self.limit = worker, limit
        self.client = client  # key of the client that sent the query, "" for internal queries
        self.suffix = self.engine = self.snapshot = ""
        self.rows: int | None = None
        self.truncation: Truncation | None = None
        self.marked = False  # whether the bytes contain a mark of the truncation
        self.in_slot = True  # until its slot is given to another query
        self._on_close, self._sent = on_close, False
        loop = asyncio.get_running_loop()
        self._now, self._started, self._seconds = loop.time, loop.time(), -1.0
        self.timers = {"end": loop.call_later(limit, worker.expire)}

    async def begin(self, snapshot: str, request: QueryRequest) -> None:
        """Ask the worker; return when the response begins. Raises PublisherError, and is closed
        then.
        """
        try:
            await self.worker.open(snapshot)
            await self.worker.send(request)
            head = await self.worker.receive()
            assert isinstance(head, Head)
        except BaseException as error:
            self.close(completed=isinstance(error, QueryError | RowLimit))
            if isinstance(error, PublisherError):
                error.seconds = self.seconds
            raise
        self.suffix, self.engine = head
        self.snapshot = snapshot

    @property
    def seconds(self) -> float:
        """Return the evaluation time in seconds, so far or in total once it is closed."""
        return self._now() - self._started if self._seconds < 0 else self._seconds

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks of about 64 KiB. Raises LimitError if the response ends early
        at a limit.
        """
        while self._seconds < 0:
            message = await self.worker.receive()
            if isinstance(message, End):
                self.rows, self.truncation = message
                self.close(completed=True)
                if self.truncation:
                    rows = f"{self.truncation.value:.0f}"
                    raise RowLimit(
                        f"the result has more than {rows} rows; add LIMIT, run it as an export, or download a dump"
                    )
            elif isinstance(message, bytes):
                self._sent = True
                yield message

    async def marked_chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks. A truncated response ends with a mark if its format allows
        one.

        Then *truncation* and *marked* are set. Raises LimitError only if no byte was sent.
        """
        try:
            async for chunk in self.chunks():
                yield chunk
        except LimitError as error:
            if self.truncation is None:
                if not self._sent:
                    raise
                self.truncation = (
                    Truncation("seconds", self.limit)
                    if isinstance(error, TimeLimit)
                    else Truncation("memory", self.worker.memory)
                )
            if mark := closing_bytes(self.suffix, self.truncation):
                self.marked = True
                yield mark

    def close(self, *, completed: bool = False) -> None:
        """Cancel the timers and release the worker; it is killed if the response was not read to
        its end.
        """
        if self._seconds < 0:
            self._seconds = self.seconds
            for timer in self.timers.values():
                timer.cancel()
            self._on_close(self, completed)


@dataclass(slots=True)
class DiskQuota:
    """The space for the buffers of all responses, in bytes."""

    limit: int = 2 << 30
    used: int = 0


class ResponseBuffer:
    """A queue of bytes between a query and its client, so that a slow client does not occupy a
    worker. It has one producer and one consumer, and must be closed.

    Up to BUFFER_MEMORY bytes are in memory, more in a temporary file. When the quota of all
    responses is used, the query waits.
    """

    def __init__(self, quota: DiskQuota) -> None:
        self._quota = quota
        self._file = tempfile.SpooledTemporaryFile(BUFFER_MEMORY)  # noqa: SIM115 - closed by close()
        self._read = self._size = 0
        self._ended = False
        self._changed = asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        """Add *chunk*; wait while there is no space for it."""
        while self._read < self._size and self._quota.used + len(chunk) > self._quota.limit:
            self._changed.clear()
            await self._changed.wait()
        self._file.seek(self._size)
        self._file.write(chunk)
        self._size += len(chunk)
        self._quota.used += len(chunk)
        self._changed.set()

    def end(self) -> None:
        """Mark the end of the response."""
        self._ended = True
        self._changed.set()

    async def get(self) -> bytes | None:
        """Return the next bytes, None at the end."""
        while self._read == self._size:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        self._file.seek(self._read)
        chunk = self._file.read(CHUNK_SIZE)
        self._read += len(chunk)
        if self._read == self._size:  # the client has caught up
            self._empty()
        self._changed.set()
        return chunk

    def _empty(self) -> None:
        self._quota.used -= self._size
        self._read = self._size = 0
        self._file.seek(0)
        self._file.truncate()

    def close(self) -> None:
        """Delete what was not read."""
        self._empty()
        self._file.close()
