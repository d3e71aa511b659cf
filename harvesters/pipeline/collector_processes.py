"""Start and end the processes that read what comes from a registry."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable
from typing import Any

from harvesters.errors import CrashLoopError
from harvesters.pipeline.bounded_call import preload, start_process, wait_for
from harvesters.pipeline.collector import run_job
from harvesters.pipeline.process_limits import Marks, ProcessLimits, describe_exit
from harvesters.reasons import Reason

_POLL_INTERVAL = 0.5  # seconds between two looks at whether a process goes on


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
    """A collector process; ``end`` must be called in any case."""

    def __init__(self, limits: ProcessLimits, run: Callable[..., None]) -> None:
        self._limits = limits
        # what a killed process leaves in its folder is removed with it
        self._folder = tempfile.TemporaryDirectory(prefix="stocktake-", ignore_cleanup_errors=True)
        try:
            self.marks = Marks()
            self._process, self._connection = start_process(
                run, self.marks, limits, self._folder.name
            )
        except (OSError, EOFError) as error:
            self._folder.cleanup()
            raise CrashLoopError(
                Reason(
                    "no process that reads responses can be started: %(error)s; free some memory, then "
                    "run again",
                    error=str(error),
                )
            ) from error

    @property
    def id(self) -> int:
        """Return its number."""
        return self._process.pid or 0

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
            code = wait_for(self._process)
            raise CollectorExitedError(
                describe_exit(code, self._limits, size), foreign=code == -signal.SIGKILL
            ) from error

    def end(self) -> None:
        """Kill the process and remove its files."""
        self._process.kill()
        wait_for(self._process)
        self._connection.close()
        self._folder.cleanup()


class Collectors:
    """The collector processes of a program; each does *run*."""

    def __init__(
        self, limits: ProcessLimits | None = None, run: Callable[..., None] = run_job
    ) -> None:
        self.limits, self._run = limits or ProcessLimits(), run
        preload(run)

    def start(self) -> Process:
        """Start a process; raises CrashLoopError where that fails."""
        return Process(self.limits, self._run)
