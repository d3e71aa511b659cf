"""Control one query worker process from the server, and the deadline of its query."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from languages.translations import TranslatableText
from publisher import errors
from publisher.errors import (
    LimitError,
    MemoryLimit,
    PublisherError,
    QuerySyntaxError,
    RowLimit,
    StoreFailure,
    TimeLimit,
)
from publisher.store.thread_priority import raise_nice
from publisher.store.workers.ipc_protocol import HEADER_SIZE, Kind, pack, read_header
from publisher.store.workers.launchers import CommandLauncher, Launcher, WorkerProcess
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.truncation import LimitKind, Truncation, closing_bytes

_TICKS = os.sysconf("SC_CLK_TCK")
READER = CommandLauncher("publisher.store.workers.reader")
# exit codes of the engine when it runs out of memory
_OUT_OF_MEMORY = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL}

_MEMORY = TranslatableText(
    "the query was stopped at its memory limit; narrow it, sort or group fewer rows, run it as an export, "
    "or download a dump"
)
_TIME = TranslatableText(
    "the query was stopped at its time limit; narrow it, run it as an export, or download a dump"
)


class Worker:
    """A worker process and the socket to it; it runs one query at a time."""

    def __init__(
        self,
        process: WorkerProcess,
        stream: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        memory: int,
    ) -> None:
        self.process = process
        self.memory = memory
        self.snapshot = self._folder = ""
        self.late = self.slow = False
        self._stream, self._writer = stream, writer

    @classmethod
    async def start(cls, memory: int, launcher: Launcher = READER) -> Worker:
        """Start a process with at most *memory* bytes by *launcher*.

        The process is started last, so that a cancelled start leaves no process behind.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            stream, writer = await asyncio.open_connection(sock=ours)
            try:
                process = await launcher.launch(theirs, memory)
            except BaseException:
                writer.close()
                raise
        return cls(process, stream, writer, memory)

    async def open(self, snapshot: str) -> None:
        """Open *snapshot*, a folder, unless it is open already."""
        if snapshot != self.snapshot:
            self._folder = snapshot
            await self._send(Kind.OPEN, snapshot.encode())
            await self.frame()
            self.snapshot = snapshot

    async def ask(self, request: QueryRequest) -> None:
        """Send a query; read the answer by ``frame``."""
        await self._send(Kind.ASK, request.pack())

    async def frame(self) -> tuple[Kind, bytes]:
        """Return the next frame of the response. Raises the error that the worker reports or that
        its exit code means.
        """
        try:
            kind, length = read_header(await self._stream.readexactly(HEADER_SIZE))
            payload = await self._stream.readexactly(length) if length else b""
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise await self._exit_error() from error
        if kind is Kind.FAULT:
            raise parse_fault(payload)
        return kind, payload

    def kill(self) -> None:
        """Kill the process."""
        if self.process.returncode is None:
            self.process.kill()

    def expire(self) -> None:
        """Kill the process because its time limit is reached."""
        self.late = True
        self.kill()

    def cpu_seconds(self) -> float:
        """Return its CPU time in seconds; on systems without /proc, the time of a monotonic clock."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_bytes()
        except OSError:
            return time.monotonic()
        user, system = stat.rpartition(b")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS

    def lower_priority(self, nice: int) -> None:
        """Lower its CPU priority. That cannot be undone, so the process is replaced after its
        query.
        """
        self.slow = True
        raise_nice(self.process.pid, nice)

    async def stop(self) -> None:
        """Kill the process and wait until it has exited, even if the caller is cancelled."""
        self.kill()
        ending = asyncio.ensure_future(self._close())
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending
            raise

    async def _close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
        await self.process.wait()

    async def _send(self, kind: Kind, payload: bytes) -> None:
        try:
            self._writer.write(pack(kind, payload))
            await self._writer.drain()
        except ConnectionError as error:
            raise await self._exit_error() from error

    async def _exit_error(self) -> PublisherError:
        code = await self.process.wait()
        if self.late:
            return TimeLimit(_TIME)
        if code in _OUT_OF_MEMORY and Path(self._folder).exists():
            return MemoryLimit(_MEMORY)  # else the engine aborted because its files were removed
        return StoreFailure(f"a query worker exited with code {code}")


def parse_fault(payload: bytes) -> PublisherError:
    """Return the error that a fault frame describes."""
    error = json.loads(payload)
    if error["reason"] == "QuerySyntaxError":
        return QuerySyntaxError(error["message"], error.get("line"), error.get("column"))
    if error["reason"] == "MemoryLimit":
        return MemoryLimit(_MEMORY)
    kind: type[PublisherError] = getattr(errors, error["reason"])
    return kind(error["message"])


class Answer:
    """A streamed query response: the *suffix* of its format, the *engine* that evaluates, and its
    bytes. It must be closed.

    After the last byte, *rows* is its number of rows, None if unknown, and *truncation* is set if
    it ended early.
    """

    def __init__(self, head: bytes, worker: Worker, deadline: QueryDeadline) -> None:
        self.suffix, _, self.engine = head.decode().partition(" ")
        self.snapshot = worker.snapshot  # folder of the snapshot that is queried
        self.rows: int | None = None
        self.truncation: Truncation | None = None
        self.marked = False  # whether the bytes contain a mark of the truncation
        self._worker, self._deadline = worker, deadline
        self._sent = self._closed = False

    @property
    def seconds(self) -> float:
        """Return the evaluation time in seconds, so far or in total once it is closed."""
        return self._deadline.seconds

    @property
    def client(self) -> str:
        """Return the key of the client that sent the query, "" for internal queries."""
        return self._deadline.client

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks of about 64 KiB. Raises LimitError if the response ends early
        at a limit.
        """
        while not self._closed:
            kind, payload = await self._worker.frame()
            if kind is Kind.END:
                self.rows = int(payload) if payload else None
                self.close(completed=True)
                if self.truncation:
                    rows = f"{self.truncation.value:.0f}"
                    raise RowLimit(
                        f"the result has more than {rows} rows; add LIMIT, run it as an export, or download a dump"
                    )
            elif kind is Kind.TRUNCATED:
                self.truncation = Truncation.unpack(payload)
            else:
                self._sent = True
                yield payload

    async def marked_chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks. A truncated response ends with a mark if its format allows
        one.

        Then *truncation* and *marked* are set. Raises LimitError only if no byte was sent.
        """
        try:
            async for chunk in self.chunks():
                yield chunk
        except LimitError as error:
            self.truncation = self.truncation or (
                self._truncation_of(error) if self._sent else None
            )
            if self.truncation is None:
                raise
            mark = closing_bytes(self.suffix, self.truncation)
            self.marked = mark is not None
            if mark:
                yield mark

    def _truncation_of(self, error: LimitError) -> Truncation:
        if isinstance(error, TimeLimit):
            return Truncation(LimitKind.SECONDS, self._deadline.limit)
        return Truncation(LimitKind.MEMORY, self._worker.memory)

    def close(self, *, completed: bool = False) -> None:
        """Release the worker; kill it if the response was not read to its end."""
        if not self._closed:
            self._closed = True
            self._deadline.close(completed)


@dataclass(slots=True, eq=False)
class QueryDeadline:
    """The time limit of a running query, in seconds, by the clock *now*.

    *on_close* receives whether the response was read to its end. *outside_slot* is set if its slot
    was given to another query.
    """

    client: str
    limit: float
    now: Callable[[], float]
    on_close: Callable[[QueryDeadline, bool], None]
    timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    outside_slot: bool = False
    started_at: float = 0.0
    ended_at: float | None = None

    def __post_init__(self) -> None:
        self.started_at = self.now()

    @property
    def seconds(self) -> float:
        """Return the seconds since the start, up to the end if it has ended."""
        return (self.now() if self.ended_at is None else self.ended_at) - self.started_at

    def close(self, completed: bool) -> None:
        """End the query and cancel its timers."""
        self.ended_at = self.now()
        for timer in self.timers.values():
            timer.cancel()
        self.on_close(self, completed)
