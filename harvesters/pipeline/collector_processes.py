"""Start and end the processes that read what comes from a registry; a server forks them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog

from harvesters.errors import CrashLoopError
from harvesters.pipeline.collector import (
    NUMBER,
    exit_after,
    serve,
)
from harvesters.pipeline.process_limits import Marks, ProcessLimits, describe_exit
from harvesters.reasons import Reason

_COMMAND = (
    sys.executable,
    "-c",
    "import sys; from harvesters.pipeline.collector import serve;"
    " serve(int(sys.argv[1]), sys.argv[2])",
)
_POLL_INTERVAL = 0.5  # seconds between two looks at whether a process goes on
# Seconds that a process may take until it is ready: about one, longer on a busy machine.
_START_TIMEOUT = 120.0

log = structlog.get_logger()


class CollectorExitedError(Exception):
    """A collector process has exited; the message says why, as the end of a sentence. *foreign*: it
    was killed by somebody else.
    """

    def __init__(self, message: str, *, foreign: bool = False) -> None:
        super().__init__(message)
        self.foreign = foreign


class CollectorBugError(Exception):
    """A fault of this program in a collector process."""


class Process:
    """A collector process, forked by *fork_server*; ``end`` must be called in any case."""

    def __init__(self, fork_server: ForkServer, limits: ProcessLimits) -> None:
        self._fork_server, self._limits = fork_server, limits
        self.marks = Marks()
        self._folder = tempfile.TemporaryDirectory(prefix="stocktake-", ignore_cleanup_errors=True)
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        try:
            with theirs:
                self.id = fork_server.fork(theirs.fileno(), self.marks.descriptor)
        except BaseException:
            self._release()
            raise
        # what a killed process leaves in its folder is removed with it
        self.send((limits, self._folder.name))

    def send(self, message: object) -> None:
        """Send a message; one that cannot be delivered is noticed by ``receive``."""
        try:
            self._connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self, size: int) -> tuple[str, tuple[Any, ...]]:
        """Wait for a call; raises ExitedError where the process exits, or makes no step within the
        time for an answer of *size* bytes.
        """
        steps, since = self.marks.read().steps, time.monotonic()
        most = self._limits.silence_for(size)
        try:
            while not self._connection.poll(_POLL_INTERVAL):
                now = self.marks.read().steps
                if now != steps:
                    steps, since = now, time.monotonic()
                elif time.monotonic() - since > most:
                    raise CollectorExitedError(f"does not end within {most:.0f} s")
            name, arguments = self._connection.recv()
            return name, arguments
        except (EOFError, ConnectionResetError) as error:
            code = self._fork_server.wait(self.id)
            self.id = 0
            raise CollectorExitedError(
                describe_exit(code, self._limits, size), foreign=code == -signal.SIGKILL
            ) from error

    def end(self) -> None:
        """Kill the process and remove its files."""
        if self.id:
            os.kill(self.id, signal.SIGKILL)
            self._fork_server.wait(self.id)
        self._release()

    def _release(self) -> None:
        self._connection.close()
        self.marks.close()
        self._folder.cleanup()


class ForkServer:
    """The process that has loaded all that a collector needs, and forks one in some milliseconds;
    it reads nothing itself.

    Raises CrashLoopError, here and in every method, where it cannot be started or has exited.
    """

    def __init__(self, command: Sequence[str] | None, base: str) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(_START_TIMEOUT)
        try:
            with theirs:
                if command is None and threading.active_count() == 1:
                    self._process: subprocess.Popen[bytes] | _Fork = _Fork(
                        lambda: self._serve(theirs, base)
                    )
                else:
                    self._process = _spawn(
                        [*(command or _COMMAND), str(theirs.fileno()), base], theirs.fileno()
                    )
        except OSError as error:
            raise CrashLoopError(Reason("no_reader", {"error": str(error)})) from error

    def _serve(self, link: socket.socket, base: str) -> None:
        self._control.close()  # or this process would not see its parent's end
        with Path(os.devnull).open("r+b") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(nothing.fileno(), 1)
        serve(link.detach(), base)

    @property
    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self._process.poll() is None

    def fork(self, *descriptors: int) -> int:
        """Fork a collector with copies of these file descriptors; return its number."""
        return self._request(lambda: socket.send_fds(self._control, [b"fork"], descriptors))

    def wait(self, process: int) -> int:
        """Wait for a collector that has exited or was killed; return its exit code, negative for a
        signal.
        """
        return self._request(lambda: self._control.send(NUMBER.pack(process)))

    def _request(self, send: Callable[[], int]) -> int:
        try:
            with self._lock:
                send()
                answer = self._control.recv(NUMBER.size)
        except OSError:
            answer = b""
        if not answer:
            raise CrashLoopError(Reason("reader_parent_exited"))
        return int(NUMBER.unpack(answer)[0])

    def close(self) -> None:
        """End it; collectors that still run exit by themselves."""
        self._control.close()
        self._process.kill()
        self._process.wait()


class _Fork:
    """A fork of this process that does *work* and exits; it is used as ``subprocess.Popen`` is.

    Only a process with one thread may be forked so: another thread might hold a lock that nobody
    releases in the fork.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._code: int | None = None
        self._id = os.fork()
        if self._id == 0:
            exit_after(work)

    def poll(self) -> int | None:
        if self._code is None:
            exited, status = os.waitpid(self._id, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if exited else None
        return self._code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self._id, signal.SIGKILL)

    def wait(self) -> int:
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self._id, 0)[1])
        return self._code


def _spawn(command: Sequence[str], descriptor: int) -> subprocess.Popen[bytes]:
    """Start a new interpreter, with one thread alone: numpy, which detects languages, would start
    one for each processor.
    """
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        pass_fds=[descriptor],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


class Collectors:
    """The collector processes of a program, for data under *base*; nothing is started before the
    first run, or ``prepare``.

    They descend from a fork of this process where it has one thread, else from a new interpreter,
    or from *command* where given.
    """

    def __init__(
        self, base: str, limits: ProcessLimits | None = None, command: Sequence[str] | None = None
    ) -> None:
        self.limits = limits or ProcessLimits()
        self._base, self._command = base, command
        self._fork_server: ForkServer | None = None
        self._lock = threading.Lock()

    def prepare(self) -> ForkServer:
        """Start what collectors are forked from: at once where this process has no other threads
        yet, else that takes about a second.
        """
        with self._lock:
            if self._fork_server is None or not self._fork_server.is_alive:
                self._fork_server = ForkServer(self._command, self._base)
            return self._fork_server

    def start(self) -> Process:
        """Start a process; raises CrashLoopError where that fails."""
        return Process(self.prepare(), self.limits)

    def close(self) -> None:
        """End what waits; processes that still run exit by themselves."""
        with self._lock:
            if self._fork_server:
                self._fork_server.close()
                self._fork_server = None
