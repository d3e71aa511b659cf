"""Processes that tests start: they end with the process that started them, and their output is
stored for the report of a failure.

Source: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from waiting import wait_until

STOP = 60.0  # seconds for an orderly end
ELSEWHERE = ("oxigraph", "virtuoso")  # stores that tests start, as their parameters name them
TAIL = 20_000  # characters of output that a report shows
_SET_PDEATHSIG = 1
_FIRST_OF_CONNECTIONS = 32_768  # https://docs.kernel.org/networking/ip-sysctl.html
_PORTS = 12_000
_started: list[Process] = []


class Process(subprocess.Popen[bytes]):
    """A process that the kernel ends when the thread that started it ends, however that happens.

    Its output goes to an unnamed file unless *stdout* or *stderr* is passed. *ended_by* is the
    signal that it gets when its parent ends.
    """

    def __init__(
        self, command: Sequence[str | os.PathLike[str]], *, ended_by: str = "KILL", **settings: Any
    ) -> None:
        self._log = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - closed by `stop`
        self.title = shlex.join(map(str, command))
        streams = {"stdout": self._log, "stderr": self._log}
        super().__init__([*bound_to_parent(ended_by), *command], **{**streams, **settings})
        _started.append(self)

    def text(self) -> str:
        if self._log.closed:
            return ""
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(
            errors="replace"
        )

    def output(self) -> str:
        """Return for a report the command of the process, its state, and the end of its output."""
        state = "running" if self.poll() is None else f"ended with {self.returncode}"
        return f"[{self.title}: {state}]\n{self.text()[-TAIL:]}"

    def stop(self, sent: signal.Signals = signal.SIGTERM, within: float = STOP) -> int:
        """End the process and return its exit code.

        Raises AssertionError with its output, and kills the process, if it does not end.
        """
        try:
            if self.poll() is None:
                self.send_signal(sent)
            return self.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"did not end within {within:g} s of {sent.name}\n{self.output()}"
            ) from None
        finally:
            self.discard()

    def discard(self) -> None:
        """Kill the process if it runs, and delete its output."""
        self.kill()
        self.wait(STOP)
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                stream.close()
        self._log.close()
        if self in _started:
            _started.remove(self)


@contextmanager
def started(command: Sequence[str | os.PathLike[str]], **settings: Any) -> Iterator[Process]:
    """Start a process and stop it at the end, even if the test fails."""
    process = Process(command, **settings)
    try:
        yield process
    finally:
        process.stop()


def wait_for_url(
    url: str,
    process: Process,
    condition: Callable[[httpx.Response], bool] = lambda item: item.status_code == 200,
) -> None:
    """Wait until the response of *url* meets *condition*; fail at once if *process* has ended.

    TLS is not supported: reading the certificates for each request would take 10 ms of processor
    time.
    """

    def answers() -> bool:
        assert process.poll() is None, f"the server of {url} has ended\n{process.output()}"
        try:
            return condition(httpx.get(url, trust_env=False, verify=False, timeout=30))
        except httpx.TransportError:
            return False

    wait_until(answers, f"an answer of {url}", output=process.output)


def free_port() -> int:
    """Return a port of loopback on which nobody listens.

    The port is below those that Linux assigns to connections, one of which could take it before a
    server has started.
    """
    while True:
        port = _FIRST_OF_CONNECTIONS - 1 - secrets.randbelow(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def bound_to_parent(ended_by: str = "KILL") -> list[str]:
    """Return the words before a command that make it end with its parent."""
    return [command, "--pdeathsig", ended_by] if (command := shutil.which("setpriv")) else []


def end_with_parent(sent: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send *sent* to this process when its parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_SET_PDEATHSIG, int(sent))


def outputs() -> list[tuple[str, str]]:
    """Return title and output of each process that was started and not stopped."""
    return [(process.title, process.output()) for process in _started]


def stop_all() -> list[str]:
    """Kill each process that was started and not stopped; return their titles."""
    left = [process for process in _started if process.poll() is None]
    for process in [*_started]:
        process.discard()
    return [process.title for process in left]


def children(pid: int) -> set[int]:
    """Return the processes below *pid*, at any depth."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rpartition(")")[2].split()[1]
            )
        except (FileNotFoundError, ProcessLookupError):
            continue  # the process has ended
    descendants, ahead = set[int](), [pid]
    while ahead:
        parent = ahead.pop()
        below = [
            child
            for child, its_parent in parents.items()
            if its_parent == parent and child not in descendants
        ]
        descendants.update(below)
        ahead.extend(below)
    return descendants
