"""Worker: the server's side of one reader process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from publisher import errors
from publisher.errors import Broken, MemoryLimit, PublisherError, SyntaxFault, TimeLimit
from publisher.frames import Kind, pack, receive
from publisher.process import command, environment
from publisher.question import Question

_OUT_OF_MEMORY = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL}  # how the engine ends when it gets no memory


class Worker:
    """A reader process and the socket to it; one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self.generation = ""
        self.late = False
        self._stream, self._writer = stream, writer

    @classmethod
    async def start(cls, memory: int) -> Worker:
        """Start a reader with *memory* bytes at most."""
        ours, theirs = socket.socketpair()
        with theirs:
            line = command("publisher.reader", str(theirs.fileno()), str(memory), str(os.getpid()))
            process = await asyncio.create_subprocess_exec(
                *line, stdin=asyncio.subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environment()
            )
        stream, writer = await asyncio.open_connection(sock=ours)
        return cls(process, stream, writer)

    async def open(self, generation: str) -> None:
        """Let it open *generation*, a folder; at once where it is open."""
        if generation != self.generation:
            await self._send(Kind.OPEN, generation.encode())
            await self.frame()
            self.generation = generation

    async def ask(self, question: Question) -> None:
        """Put a question; its answer comes by ``frame``."""
        await self._send(Kind.ASK, question.pack())

    async def frame(self) -> tuple[Kind, bytes]:
        """Give the next frame of the answer; raise the error that it tells, or that the reader's end means."""
        try:
            kind, payload = await receive(self._stream)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise await self._ending() from error
        if kind is Kind.FAULT:
            raise fault(payload)
        return kind, payload

    def kill(self) -> None:
        """Kill it now."""
        if self.process.returncode is None:
            self.process.kill()

    def expire(self) -> None:
        """Kill it because its time is over."""
        self.late = True
        self.kill()

    async def stop(self) -> None:
        """Kill it and wait for its end."""
        self.kill()
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
            return TimeLimit("the query was stopped at its time limit; narrow it, or take a dump")
        if code in _OUT_OF_MEMORY:
            return MemoryLimit("the query was stopped at its memory limit; narrow it, or take a dump")
        return Broken(f"a reader ended with code {code}")


def fault(payload: bytes) -> PublisherError:
    """Read a fault frame as the error that it names."""
    told = json.loads(payload)
    if told["reason"] == "SyntaxFault":
        return SyntaxFault(told["message"], told.get("line"), told.get("column"))
    kind: type[PublisherError] = getattr(errors, told["reason"])
    return kind(told["message"])


class Answer:
    """An answer that begins: its format's suffix, and its bytes as they come. Close it in every case.

    Raises LimitError from ``chunks`` where the query passes a limit after the first byte.
    """

    def __init__(self, suffix: str, worker: Worker, give_back: Callable[[Worker, bool], None], timer: asyncio.TimerHandle) -> None:
        self.suffix = suffix
        self._worker, self._give_back, self._timer = worker, give_back, timer
        self._closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the bytes in pieces of about 64 KiB."""
        while not self._closed:
            kind, payload = await self._worker.frame()
            if kind is Kind.END:
                self.close(whole=True)
                return
            yield payload

    def close(self, *, whole: bool = False) -> None:
        """Give the reader back, or end it where the answer was not read to its end."""
        if not self._closed:
            self._closed = True
            self._timer.cancel()
            self._give_back(self._worker, whole)
