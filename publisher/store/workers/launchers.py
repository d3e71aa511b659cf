"""Start the processes of query workers: by a command of their own, or by a fork server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import structlog

from publisher.background import log_failure
from publisher.errors import StoreFailure
from publisher.store.process import command, environment
from publisher.store.workers.fork_server import FAILED, REPORT, REQUEST, STARTED

_FORK_SERVER = "publisher.store.workers.fork_server"
# seconds for a start: many times what importing takes on a busy machine
_START_LIMIT = 120.0

log = structlog.get_logger(component="store")


class WorkerProcess(Protocol):
    """A process as ``asyncio.subprocess.Process`` describes it."""

    @property
    def pid(self) -> int:
        """Return the process id."""

    @property
    def returncode(self) -> int | None:
        """Return the exit code, minus the signal that ended it, None while it runs."""

    def send_signal(self, signal: int) -> None:
        """Send a signal."""

    def kill(self) -> None:
        """Send SIGKILL."""

    async def wait(self) -> int:
        """Wait for the end; return the exit code."""


class Launcher(Protocol):
    """Starts worker processes."""

    async def launch(self, connection: socket.socket, memory: int) -> WorkerProcess:
        """Start a worker that serves *connection* with at most *memory* bytes of address space."""


class CommandLauncher:
    """Starts each worker as a command that runs *module*."""

    def __init__(self, module: str) -> None:
        self._module = module

    async def launch(self, connection: socket.socket, memory: int) -> WorkerProcess:
        """Start a worker, as ``Launcher`` describes."""
        arguments = (str(connection.fileno()), str(memory), str(os.getpid()))
        return await _execute(self._module, connection, *arguments)


class ForkServer:
    """Starts each worker by a fork of one process that has imported *module*, with the environment
    variables *extra*. That process is started for the first worker, and again if it ends.
    """

    def __init__(self, module: str, extra: Mapping[str, str] | None = None) -> None:
        self._module, self._extra = module, extra
        self._server: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None
        self._watching: set[asyncio.Task[None]] = set()
        self._requested: deque[asyncio.Future[ForkedProcess]] = deque()
        self._running: dict[int, ForkedProcess] = {}
        self._lock = asyncio.Lock()
        self._is_closed = False

    async def launch(self, connection: socket.socket, memory: int) -> WorkerProcess:
        """Start a worker, as ``Launcher`` describes; raise StoreFailure if that fails."""
        async with self._lock:
            if self._is_closed:
                raise StoreFailure("no query worker can be started: the store is closed")
            control = self._control or await self._start()
            server = self._server
        requested: asyncio.Future[ForkedProcess] = asyncio.get_running_loop().create_future()
        self._requested.append(requested)
        try:
            socket.send_fds(control, [REQUEST.pack(memory)], [connection.fileno()])
        except OSError as error:
            self._requested.remove(requested)
            raise StoreFailure(f"no query worker can be started: {error}") from error
        try:
            async with asyncio.timeout(_START_LIMIT):
                return await requested
        except TimeoutError as error:
            if server and server.returncode is None:
                server.kill()  # another is started for the next worker
            raise StoreFailure(
                f"no query worker was started within {_START_LIMIT:g} seconds"
            ) from error

    async def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                server = await _execute(
                    _FORK_SERVER, theirs, str(theirs.fileno()), self._module, extra=self._extra
                )
            except BaseException:
                ours.close()
                raise
        reading = ours.dup()
        try:
            reports, writer = await asyncio.open_connection(sock=reading)
        except BaseException:
            ours.close()
            reading.close()
            server.kill()
            await server.wait()
            raise
        self._server, self._control = server, ours
        watching = asyncio.create_task(self._watch(server, reports, writer))
        watching.add_done_callback(log_failure)
        watching.add_done_callback(self._watching.discard)
        self._watching.add(watching)
        return ours

    async def _watch(
        self,
        server: asyncio.subprocess.Process,
        reports: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Read what the fork server reports until it ends; its workers are killed then."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self._read_report(*REPORT.unpack(await reports.readexactly(REPORT.size)))
        writer.close()
        self._close_control()
        for process in self._running.values():
            process.kill()
            process.end(1)
        self._running.clear()
        while self._requested:
            self._fail_request("the process that starts them has ended; see the log")
        if code := await server.wait():
            log.error("fork server of query workers exited", module=self._module, code=code)

    def _read_report(self, kind: bytes, pid: int, code: int) -> None:
        if kind == STARTED:
            self._running[pid] = started = ForkedProcess(pid)
            requested = self._requested.popleft()
            if not requested.done():  # else its socket is closed, so that it ends
                requested.set_result(started)
        elif kind == FAILED:
            self._fail_request(os.strerror(code))
        else:
            self._running.pop(pid).end(code)

    def _fail_request(self, reason: str) -> None:
        """Fail the oldest request, unless its client has left."""
        if not (requested := self._requested.popleft()).done():
            requested.set_exception(StoreFailure(f"no query worker can be started: {reason}"))

    def _close_control(self) -> None:
        if self._control:
            self._control.close()
            self._control = None

    async def close(self) -> None:
        """End the fork server, also one that is being started; its workers have ended."""
        async with self._lock:
            self._is_closed = True
            if self._control:
                self._control.shutdown(socket.SHUT_RDWR)
        await asyncio.gather(*self._watching, return_exceptions=True)


class ForkedProcess:
    """A worker that the fork server has started, which waits for it and reports its end."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def send_signal(self, signal: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for the end; return the exit code."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def end(self, code: int) -> None:
        """Record that it has ended with *code*."""
        self.returncode = code
        self._ended.set()


async def _execute(
    module: str,
    connection: socket.socket,
    *arguments: str,
    extra: Mapping[str, str] | None = None,
) -> asyncio.subprocess.Process:
    """Start a process of *module* that inherits *connection*."""
    return await asyncio.create_subprocess_exec(
        *command(module, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        pass_fds=[connection.fileno()],
        env=environment(extra),
        start_new_session=True,  # Ctrl-C ends this process, which ends its children
    )
