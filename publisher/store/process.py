"""Start processes of the publisher by the fork server, exchange messages with them, lower their
priority so that queries are not delayed, and run the process that updates all projections of the journal.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import multiprocessing
import os
import pickle
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

import structlog

from journal.processes import exit_with_parent, lock, preload, run_module, start, start_method
from publisher.errors import StoreFailure
from vocab.iris import Iris

log = structlog.get_logger(component="store")

FOLLOWER = "publisher.follower"
# The seconds before a restart double after each short run.
RESTART_DELAY, MAX_RESTART_DELAY = 1.0, 60.0
SHORT_RUN = 30.0  # seconds; a process that runs longer resets the delay
NICE = 5  # nice value of what writes projections; at 10 a large load waits four times as long
READ_AHEAD = 1 << 20  # bytes that are read of a message before they are asked for
_SIZE = struct.Struct("!i")  # before each message of a Connection
# Constants of <linux/prctl.h> and <malloc.h>.
_PARENT_DEATH_SIGNAL, _NAME = 1, 15
_TRIM_THRESHOLD, _ARENA_MAX = -1, -8
_UNUSED = 1_000_000  # bytes that malloc may keep unused


class ChildProcess:
    """A process that runs a module, and the pipe to it, over which both send objects."""

    def __init__(
        self, process: BaseProcess, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process, self._reader, self._writer = process, reader, writer
        self.exited = asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._record_exit)

    @classmethod
    async def launch(cls, module: str, environment: Mapping[str, str], *arguments: object) -> Self:
        """Start a process that calls ``run`` of *module* with its end of the pipe and *arguments*,
        and *environment* beside the variables of this one. Raises StoreFailure.

        If the caller is cancelled, the process ends as soon as it reads from the closed pipe.
        """
        preload(module)
        context = multiprocessing.get_context(start_method())
        ours, theirs = socket.socketpair()
        connection = Connection(theirs.detach())
        received = (module, dict(environment), connection, *arguments)
        process = context.Process(target=run_module, args=received, daemon=True)  # type: ignore[attr-defined]
        try:
            await asyncio.to_thread(_start, process, connection)
            return cls(process, *await asyncio.open_unix_connection(sock=ours, limit=READ_AHEAD))
        except (OSError, EOFError, asyncio.CancelledError) as error:
            ours.close()
            if isinstance(error, asyncio.CancelledError):
                raise
            raise StoreFailure(f"{module} cannot be started: {error}") from error

    @property
    def has_exited(self) -> bool:
        return self.exited.is_set()

    def _record_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self.process.sentinel)
        with lock:
            self.process.join()
        self.exited.set()

    def send(self, message: object) -> None:
        content = pickle.dumps(message)
        self._writer.write(_SIZE.pack(len(content)) + content)

    async def read(self) -> Any:
        """Return the next message. Raises EOFError or OSError once the process has closed the pipe."""
        (size,) = _SIZE.unpack(await self._reader.readexactly(_SIZE.size))
        return pickle.loads(await self._reader.readexactly(size))

    def kill(self) -> None:
        if not self.has_exited:
            self.process.kill()

    async def stop(self) -> None:
        """Kill the process and wait until it has exited."""
        self._writer.close()
        self.kill()
        await self.exited.wait()


def _start(process: BaseProcess, connection: Connection) -> None:
    resource_tracker.ensure_running()  # its start would unblock SIGINT again
    # Ctrl-C ends the server, which ends its children.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    with connection:
        start(process)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def configure_memory() -> None:
    """Let this process return memory to the system once it is unused. Otherwise idle threads reserve
    a third of the memory limit of a worker, and a server keeps 15 MB more.
    """
    with suppress(AttributeError, OSError):  # a libc without these options
        libc = ctypes.CDLL(None)
        libc.mallopt(_ARENA_MAX, 2)
        libc.mallopt(_TRIM_THRESHOLD, _UNUSED)


def trim_memory() -> None:
    """Return to the system what is unused between blocks in use, in some milliseconds."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def prepare_child(name: str) -> None:
    """Prepare this process, which the system lists by *name*, to share memory with the process that
    forked it, and to end with that process and with the server.
    """
    gc.freeze()  # imported objects are never collected, so that their memory stays shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the server, which ends its children
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_NAME, name.encode())
        libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    configure_memory()
    exit_with_parent()


def raise_nice(process: int, nice: int) -> None:
    """Raise the nice value of a process, and of threads that it starts, to *nice*; never lower it,
    which only root may (setpriority(2)).

    A process that was started under ``nice -n 10`` stays at 10. One that has exited is ignored.
    """
    with suppress(ProcessLookupError):
        if os.getpriority(os.PRIO_PROCESS, process) < nice:
            os.setpriority(os.PRIO_PROCESS, process, nice)


class FollowerProcess:
    """The follower of the journal in *data*, which writes the store in *store_folder*.

    *secrets*: environment variables with the URLs of an external store, None for the embedded
    store.

    *projections*: the position and error of each projection by name. *reason*: why the store does
    not follow the journal, "" while it does.
    """

    def __init__(
        self,
        data: Path,
        store_folder: Path,
        iris: Iris,
        secrets: Mapping[str, str] | None,
    ) -> None:
        self.projections: dict[str, dict[str, object]] = {}
        self.reason = ""
        self._data, self._secrets = data, secrets or {}
        self._process: ChildProcess | None = None
        places = (data / "journal", store_folder, data / "status.nq")
        self._arguments = (*places, iris.status, bool(secrets))

    async def run(self) -> None:
        """Run the process and read its reports until cancelled; then kill it."""
        delay = RESTART_DELAY
        while True:
            started = time.monotonic()
            child = await ChildProcess.launch(FOLLOWER, self._secrets, *self._arguments)
            self._process = child
            try:
                with suppress(EOFError, OSError):
                    while True:
                        self._read_report(await child.read())
                await child.exited.wait()
            finally:
                await child.stop()
            code = child.process.exitcode
            log.warning("update process exited; restarting", module=FOLLOWER, code=code)
            exited = (
                f"the follower process exited with code {code} and is being restarted; see the log"
            )
            self.reason = self.reason or exited
            is_short = time.monotonic() - started < SHORT_RUN
            delay = min(MAX_RESTART_DELAY, delay * 2) if is_short else RESTART_DELAY
            await asyncio.sleep(delay)

    def request_check(self) -> None:
        """Ask the process to verify the files of the newest snapshot and rebuild damaged ones. Does
        nothing while no process runs.
        """
        if self._process and not self._process.has_exited:
            self._process.send("check")

    def _read_report(self, report: Mapping[str, Any]) -> None:
        self.reason = self._shorten_paths(report.get("reason", self.reason))
        for name, progress in report.get("projections", {}).items():
            if "error" in progress:
                progress["error"] = self._shorten_paths(progress["error"])
            self.projections[name] = progress

    def _shorten_paths(self, reason: str) -> str:
        """Shorten file names to paths in the data folder, since the reason is public; return text
        that UTF-8 can encode.
        """
        shortened = reason.replace(f"{self._data.resolve()}/", "").replace(f"{self._data}/", "")
        return shortened.encode(errors="replace").decode()
