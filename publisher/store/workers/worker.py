"""The server's side of one worker process, and the deadline of its query."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from publisher import errors
from publisher.errors import LimitError, MemoryLimit, PublisherError, QuerySyntaxError, RowLimit, StoreFailure, TimeLimit
from publisher.store.process import command, environment
from publisher.store.thread_priority import raise_nice
from publisher.store.workers.ipc_protocol import TOP, Kind, pack, read_header
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.truncation import LimitKind, Truncation, closing_bytes
from publisher.store.workers.update import Update

_TICKS = os.sysconf("SC_CLK_TCK")
READER = "publisher.store.workers.reader"
COLUMN_READER = "publisher.store.workers.column_reader"
COLUMN_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}  # or a third of the memory limit is reserved by idle threads
_OUT_OF_MEMORY = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL}  # how the engine ends when it gets no memory

_MEMORY = "the query was stopped at its memory limit; narrow it, sort or group fewer rows, put it as an export, or take a dump"


class Worker:
    """A reader process and the socket to it; one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self.memory = 0
        self.snapshot = ""
        self.late = self.slow = False
        self._stream, self._writer = stream, writer

    @classmethod
    async def start(cls, memory: int, module: str = READER, more: Mapping[str, str] | None = None) -> Worker:
        """Start a reader, or what else talks as one, with *memory* bytes at most and *more* variables.

        Its process comes last: whoever gives up while it starts leaves none behind.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            stream, writer = await asyncio.open_connection(sock=ours)
            line = command(module, str(theirs.fileno()), str(memory), str(os.getpid()))
            try:
                process = await asyncio.create_subprocess_exec(
                    *line,
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=environment(more),
                    start_new_session=True,  # Ctrl-C ends this process, which ends its children
                )
            except BaseException:
                writer.close()
                raise
        worker = cls(process, stream, writer)
        worker.memory = memory
        return worker

    async def open(self, snapshot: str) -> None:
        """Open *snapshot*, a folder, unless it is open already."""
        if snapshot != self.snapshot:
            await self._send(Kind.OPEN, snapshot.encode())
            await self.frame()
            self.snapshot = snapshot

    async def ask(self, question: QueryRequest) -> None:
        """Send a query; read the answer by ``frame``."""
        await self._send(Kind.ASK, question.pack())

    async def write(self, update: Update) -> None:
        """Send an update to a sandbox worker; read its result by ``frame``."""
        await self._send(Kind.WRITE, update.pack())

    async def frame(self) -> tuple[Kind, bytes]:
        """Return the next frame of the answer; raise the error that it tells, or that the reader's end means."""
        try:
            kind, length = read_header(await self._stream.readexactly(TOP))
            payload = await self._stream.readexactly(length) if length else b""
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise await self._ending() from error
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

    def spent(self) -> float:
        """Return the seconds of processor time that it has taken; where the system does not tell, those of the clock."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_bytes()
        except OSError:
            return time.monotonic()
        user, system = stat.rpartition(b")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS

    def step_back(self, nice: int) -> None:
        """Let the others go first from now on; there is no way back, so it ends with its question."""
        self.slow = True
        raise_nice(self.process.pid, nice)

    async def stop(self) -> None:
        """Kill the process and wait until it has ended, also when the caller is cancelled meanwhile."""
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
            raise await self._ending() from error

    async def _ending(self) -> PublisherError:
        code = await self.process.wait()
        if self.late:
            return TimeLimit("the query was stopped at its time limit; narrow it, put it as an export, or take a dump")
        if code in _OUT_OF_MEMORY:
            return MemoryLimit(_MEMORY)
        return StoreFailure(f"a reader ended with code {code}")


def parse_fault(payload: bytes) -> PublisherError:
    """Read a fault frame as the error that it names."""
    error = json.loads(payload)
    if error["reason"] == "QuerySyntaxError":
        return QuerySyntaxError(error["message"], error.get("line"), error.get("column"))
    if error["reason"] == "MemoryLimit":
        return MemoryLimit(_MEMORY)
    kind: type[PublisherError] = getattr(errors, error["reason"])
    return kind(error["message"])


class Answer:
    """An answer that begins: its format's suffix, the engine that answers, and its bytes as they come. Close it in every case.

    After the last byte, *rows* is how many it has, None where nobody counted, and *cut* tells where it ended early. *seconds* is what it
    has cost so far.
    """

    def __init__(self, head: bytes, worker: Worker, ticket: QueryDeadline) -> None:
        self.suffix, _, self.engine = head.decode().partition(" ")
        self.snapshot = worker.snapshot  # the folder of the snapshot that answers
        self.rows: int | None = None
        self.cut: Truncation | None = None
        self.marked = False  # the cut stands in the bytes too
        self._worker, self._ticket = worker, ticket
        self._sent = self._closed = False

    @property
    def seconds(self) -> float:
        """Return how many seconds its evaluation has taken so far; in all, once it is closed."""
        return self._ticket.seconds

    @property
    def client(self) -> str:
        """Return the client that asked; "" is our own pages."""
        return self._ticket.client

    async def chunks(self) -> AsyncIterator[bytes]:
        """Return the bytes in pieces of about 64 KiB; raise LimitError where the answer ends early at a limit."""
        while not self._closed:
            kind, payload = await self._worker.frame()
            if kind is Kind.END:
                self.rows = int(payload) if payload else None
                self.close(whole=True)
                if self.cut:
                    raise RowLimit(f"the answer has more than {self.cut.value:.0f} rows; add LIMIT, put it as an export, or take a dump")
            elif kind is Kind.CUT:
                self.cut = Truncation.unpack(payload)
            else:
                self._sent = True
                yield payload

    async def marked_chunks(self) -> AsyncIterator[bytes]:
        """Return the bytes in pieces; an answer that ends early ends with a mark where its format has a place for one.

        Look at *cut* and *marked* then. Raises LimitError only where not a byte has been given.
        """
        try:
            async for chunk in self.chunks():
                yield chunk
        except LimitError as error:
            self.cut = self.cut or (self._broken_off(error) if self._sent else None)
            if self.cut is None:
                raise
            mark = closing_bytes(self.suffix, self.cut)
            self.marked = mark is not None
            if mark:
                yield mark

    def _broken_off(self, error: LimitError) -> Truncation:
        if isinstance(error, TimeLimit):
            return Truncation(LimitKind.SECONDS, self._ticket.limit)
        return Truncation(LimitKind.MEMORY, self._worker.memory)

    def close(self, *, whole: bool = False) -> None:
        """Return the reader back, or end it where the answer was not read to its end."""
        if not self._closed:
            self._closed = True
            self._ticket.close(whole)


@dataclass(slots=True, eq=False)
class QueryDeadline:
    """*limit* is the seconds it may take, *now* the clock, *at_end* is called with whether the answer was read to its end.

    *aside*: it went on for so long that its place was given to another.
    """

    client: str
    limit: float
    now: Callable[[], float]
    at_end: Callable[[QueryDeadline, bool], None]
    timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    aside: bool = False
    began: float = 0.0
    ended: float | None = None

    def __post_init__(self) -> None:
        self.began = self.now()

    @property
    def seconds(self) -> float:
        """Return the seconds since it began."""
        return (self.now() if self.ended is None else self.ended) - self.began

    def close(self, whole: bool) -> None:
        """End the query and cancel its timers."""
        self.ended = self.now()
        for timer in self.timers.values():
            timer.cancel()
        self.at_end(self, whole)
