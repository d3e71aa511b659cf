"""Processes with limits: mark their steps for their parent, call a function in one, and manage their memory.

A process is forked from one that has loaded what the calls need, in some milliseconds; see
https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods ("forkserver").
"""

from __future__ import annotations

import ctypes
import gc
import math
import multiprocessing
import os
import resource
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from harvesters.errors import CrashingReplyError, CrashLoopError, HarvestError
from journal import processes as fork_server

if TYPE_CHECKING:  # The module loads an HTTP client, which a listing of runs does not need.
    from harvesters.network.reply import Reply

# One core is left for the process that reads and writes.
DEFAULT_WORKERS = max(1, (os.cpu_count() or 1) - 1)

MEMORY_EXIT = 77  # exit code after a MemoryError
_OOM_SCORE = "1000"  # when the system runs out of memory, it kills this process first
# Seconds between two renewals of a time limit; a system call for each record is too slow.
_RENEWAL = 0.25
_MEBIBYTE = 1 << 20
_ADDRESS_BYTES = 512  # of the address of a reply
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """The limits of one step (reading a response, mapping a record, validating a batch) and of a
    run.

    *memory* is the address space in bytes beyond that of the idle process. *seconds* is processor
    time, *silence* elapsed time. The size of a response adds to all three. *crashes* is how often
    the process of one run is started again.
    """

    memory: int = 4 << 30  # the largest real responses (70 MB of JSON) need 0.6 GB
    seconds: float = 60.0  # the slowest real page (a calendar) needs 9
    silence: float = 300.0  # five times as long, since other processes need the processor, too
    crashes: int = 30  # a page of 100 records with one bad record costs about sixteen

    def memory_for(self, size: int) -> int:
        """Return the address space for a response of *size* bytes: JSON and XML take up to eight
        times their size in memory.
        """
        return self.memory + 8 * size

    def seconds_for(self, size: int) -> float:
        """Return the processor time for a response of *size* bytes."""
        return self.seconds + size / _MEBIBYTE

    def silence_for(self, size: int) -> float:
        """Return the elapsed time for a response of *size* bytes."""
        return self.silence + 5 * size / _MEBIBYTE


@dataclass(frozen=True, slots=True)
class ChildProcesses:
    """The processes in which runs collect their pages: their limits, and the function that each
    executes (``runs.collect.run_child``, unless *run* replaces it).
    """

    limits: ProcessLimits = field(default_factory=ProcessLimits)
    run: Callable[..., object] | None = None

    def __post_init__(self) -> None:
        """Load their modules in the process from which they are forked."""
        fork_server.preload("harvesters.runs.collect")


# For files that a stranger sends to the server: the largest pictures need 300 to 500 MiB and 2 s.
UPLOAD_LIMITS = ProcessLimits(memory=512 << 20, seconds=10.0, silence=30.0)


class Phase(IntEnum):
    """The activity of a process; only REQUESTING has no limit of time."""

    OTHER = 0
    REQUESTING = 1
    READING = 2
    MAPPING = 3
    VALIDATING = 4


class Marks(ctypes.Structure):
    """The last mark of a process, in memory that it shares with its parent, which can read it after
    the process has died: the number of steps so far, the phase, the digests of the last record and
    reply in hexadecimal, and the size in bytes and the address of the reply.
    """

    _fields_ = (
        ("steps", ctypes.c_uint64), ("phase", ctypes.c_uint8), ("record", ctypes.c_char * 32),
        ("reply", ctypes.c_char * 32), ("size", ctypes.c_uint64), ("address", ctypes.c_char * _ADDRESS_BYTES),
    )  # fmt: skip


class Meter:
    """The limits of this process, renewed at each step; the kernel ends the process at a limit.

    With *alarm*, SIGALRM limits elapsed time too, for processes that no parent watches.
    """

    def __init__(self, limits: ProcessLimits, *, alarm: bool = False) -> None:
        self._limits, self._alarm = limits, alarm
        # The address space that this process has mapped.
        self._idle = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE
        self._size, self._renewed = 0, -math.inf
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):  # /proc may be missing or not writable.
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
        self.set_body_size(0)
        self.stop_alarm()

    def set_body_size(self, size: int) -> None:
        """Set the limits for work on a response of *size* bytes."""
        self._size = size
        _limit(resource.RLIMIT_AS, self._idle + self._limits.memory_for(size))
        self._renew(time.monotonic())

    def step(self) -> None:
        """Begin a step: its time counts from now on."""
        now = time.monotonic()
        if now - self._renewed >= _RENEWAL:
            self._renew(now)

    def stop_alarm(self) -> None:
        """Stop the alarm while there is no work."""
        self._renewed = -math.inf
        if self._alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _renew(self, now: float) -> None:
        self._renewed = now
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        _limit(resource.RLIMIT_CPU, math.ceil(used + self._limits.seconds_for(self._size)))
        if self._alarm:
            signal.setitimer(signal.ITIMER_REAL, self._limits.silence_for(self._size))


@dataclass(slots=True)
class Steps:
    """The steps of the work on a run's pages. In a process that is watched, each renews the limits
    of *meter* and sets *marks*.

    *rejected* has the reasons by the digests of records and replies at which earlier processes
    died; *one_by_one*: records are mapped and validated one at a time.
    """

    marks: Marks | None = None
    meter: Meter | None = None
    rejected: Mapping[str, str] = field(default_factory=dict)
    one_by_one: bool = False

    def begin(self, phase: Phase, digest: str = "") -> None:
        """Begin a step; *digest* is that of the record it is about."""
        if self.marks and self.meter:
            self.meter.step()
            self.marks.steps += 1
            self.marks.phase, self.marks.record = phase, digest.encode()

    def observe(self, reply: Reply | None) -> None:
        """Begin a request (*reply* is None), or the reading of its reply. Raises CrashingReplyError
        if earlier processes died at that reply.
        """
        if self.marks is None or self.meter is None:
            return
        if reply is None:
            self.begin(Phase.REQUESTING)
            return
        size = max(len(reply.content), reply.path.stat().st_size if reply.path else 0)
        digest = blake2b(f"{reply.url} {reply.digest}".encode(), digest_size=16).hexdigest()
        self.meter.set_body_size(size)
        self.marks.reply, self.marks.size = digest.encode(), size
        self.marks.address = reply.url.encode()[:_ADDRESS_BYTES]
        self.begin(Phase.READING)
        if reason := self.rejected.get(digest):
            raise CrashingReplyError(reason)


def describe_exit(code: int, limits: ProcessLimits, size: int = 0) -> str:
    """Return why a process ended with *code*, as the end of a sentence whose subject is its
    activity.
    """
    memory = f"{limits.memory_for(size) / (1 << 30):.1f} GiB"
    known = {
        MEMORY_EXIT: f"needs more than {memory} of memory",
        -signal.SIGXCPU: f"takes more than {limits.seconds_for(size):.0f} s of processor time",
        -signal.SIGABRT: f"ends its process by SIGABRT, as libraries do at the limit of memory ({memory})",
        -signal.SIGKILL: "ends its process by SIGKILL, as the system does when memory runs out",
    }
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return known.get(code, f"ends its process {how}")


def _limit(which: int, most: int) -> None:
    """Set a soft limit, within the hard one of whoever started this program."""
    hard = resource.getrlimit(which)[1]
    resource.setrlimit(which, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


# ---- calls

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
_POLL_INTERVAL = 0.5  # seconds between two checks that a child goes on


class BoundedCallError(HarvestError):
    """The process has exited or stalled; the message says how, as the end of a sentence."""


class ChildBugError(Exception):
    """A child ended by an error of this program."""


def write_log_line(method: str, event: dict[str, Any]) -> None:
    getattr(structlog.get_logger(), method)(event.pop("event"), **event)


def preload(*functions: Callable[..., object]) -> None:
    """Load the modules of these functions once, in the process from which those of all calls are
    forked.
    """
    fork_server.preload(*(function.__module__ for function in functions))


def start_process(run: Callable[..., object], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Start a process that calls *run* with a connection and *arguments*; return it, and the other
    end of the connection. It ends with this process, and may start others.
    """
    # numpy, which detects languages, would start a thread for each processor.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = multiprocessing.get_context(_start_method())
    ours, theirs = context.Pipe()
    process = context.Process(target=_begin, args=(run, theirs, *arguments), daemon=False)  # type: ignore[attr-defined]
    try:
        with theirs:
            fork_server.start(process)
    except BaseException:
        ours.close()
        raise
    return process, ours


def _start_method() -> str:
    # A fork of this process need not load the program again; but another thread, also one of a
    # library, might hold a lock that nobody releases in the fork.
    if len([*Path("/proc/self/task").glob("*")]) == 1:
        return "fork"
    return fork_server.start_method()


def _begin(run: Callable[..., object], *arguments: Any) -> None:
    # A fork has the files and locks of its parent, and must not have them any longer than that.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # This process must not wait for the fork server of its parent; it starts one of its own.
    forkserver._forkserver._forkserver_pid = None  # type: ignore[attr-defined]
    # No signal is sent if the parent has ended before it was asked for.
    if (parent := multiprocessing.parent_process()) and not parent.is_alive():
        os._exit(1)
    run(*arguments)


def wait_for(process: BaseProcess) -> int:
    """Wait for the end of a process of ``start_process``; return its exit code, negative for a
    signal.
    """
    with fork_server.lock:
        process.join()
    return process.exitcode or 0


class Child:
    """A process that calls *function* with its ``Parent``, its ``Steps`` and *arguments*, within
    *limits*; ``end`` must be called in any case. Raises CrashLoopError if none can be started.
    """

    def __init__(
        self, limits: ProcessLimits, function: Callable[..., object], *arguments: Any
    ) -> None:
        self._limits, self.marks = limits, RawValue(Marks)
        # The folder is deleted with what a killed process left in it.
        self._folder = tempfile.TemporaryDirectory(prefix="stocktake-", ignore_cleanup_errors=True)
        try:
            self._process, self._connection = start_process(
                _run, self.marks, limits, self._folder.name, function, arguments
            )
        except (OSError, EOFError) as error:
            self._folder.cleanup()
            raise CrashLoopError(
                "no process that reads responses can be started: %(error)s; free some memory, then "
                "run again",
                error=str(error),
            ) from error

    def serve(self, calls: Mapping[str, Callable[..., Any]]) -> Any:
        """Answer the calls of the child until it ends, and return its result.

        Raises what ended it: a HarvestError, ChildBugError, or BoundedCallError if it exits or makes
        no step within the limits.
        """
        while True:
            name, arguments = self._receive()
            if name == "result":
                return arguments[0]
            if name == "error":
                raise arguments[0]
            try:
                answer = False, calls[name](*arguments)
            except HarvestError as error:
                answer = True, error
            with suppress(BrokenPipeError, ConnectionResetError):  # ``_receive`` raises the error
                self._connection.send(answer)

    def _receive(self) -> tuple[str, tuple[Any, ...]]:
        steps, since = self.marks.steps, time.monotonic()
        try:
            while not self._connection.poll(_POLL_INTERVAL):
                most = self._limits.silence_for(self.marks.size)
                if self.marks.steps != steps or self.marks.phase == Phase.REQUESTING:
                    steps, since = self.marks.steps, time.monotonic()
                elif time.monotonic() - since > most:
                    raise BoundedCallError(f"does not end within {most:.0f} s")
            name, arguments = self._connection.recv()
            return name, arguments
        except (EOFError, ConnectionResetError) as error:
            code = wait_for(self._process)
            raise BoundedCallError(describe_exit(code, self._limits, self.marks.size)) from error

    def end(self) -> None:
        """Kill the process and remove its files."""
        self._process.kill()
        wait_for(self._process)
        self._connection.close()
        self._folder.cleanup()


@dataclass(frozen=True, slots=True)
class Parent:
    """The parent of this process, as the child calls it; also its rate limiter."""

    connection: Connection
    _lock: threading.Lock = field(default_factory=threading.Lock)  # threads of libraries log, too

    def call(self, name: str, *arguments: Any) -> Any:
        """Return the result of a function of the parent; its HarvestErrors are raised here."""
        try:
            with self._lock:
                self.connection.send((name, arguments))
                is_error, result = self.connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            os._exit(0)  # the parent has ended
        if is_error:
            raise result
        return result

    def acquire(self, host: str, pause: float) -> None:
        self.call("acquire", host, pause)

    def block_host(self, host: str, seconds: float) -> None:
        self.call("block_host", host, seconds)

    def forward(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Let the parent write a line of the log: structlog would write it to standard output, which
        is for results.
        """
        values = {
            name: value if isinstance(value, int | float | None) else str(value)
            for name, value in event.items()
        }
        self.call("log", method, values)
        raise structlog.DropEvent


def _run(
    connection: Connection,
    marks: Marks,
    limits: ProcessLimits,
    folder: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    """Call *function* for the parent at the other end of *connection*; *folder* is for temporary
    files.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)  # libraries must not print between the results of a command
    tempfile.tempdir = folder
    parent = Parent(connection)
    structlog.configure(processors=[structlog.processors.format_exc_info, parent.forward])
    try:
        result = function(parent, Steps(marks, Meter(limits)), *arguments)
        connection.send(("result", (result,)))
    except HarvestError as error:
        connection.send(("error", (error,)))
    except MemoryError:
        os._exit(MEMORY_EXIT)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the parent has ended
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        # Panics of libraries and deep recursion are caused by what was read, not by this program.
        is_bug = isinstance(error, Exception) and not isinstance(error, RecursionError)
        fault = ChildBugError(text) if is_bug else BoundedCallError(f"ends in {text}")
        fault.add_note(traceback.format_exc())
        connection.send(("error", (fault,)))
        raise
    finally:
        os._exit(0)  # The parent has the traceback.


def call_bounded(
    function: Callable[..., T], *arguments: Any, limits: ProcessLimits | None = None
) -> T:
    """Return the result of ``function(*arguments)``; all three must be picklable.

    Raises BoundedCallError if the process ends at its limits or by a bug, or the HarvestError of the
    function.
    """
    child = Child(limits or ProcessLimits(), _call, function, *arguments)
    try:
        return cast(T, child.serve({"log": write_log_line}))
    except ChildBugError as error:
        raise BoundedCallError(f"ends in {error}") from error
    finally:
        child.end()


def _call(_parent: Parent, steps: Steps, function: Callable[..., T], *arguments: Any) -> T:
    steps.begin(Phase.OTHER)
    return function(*arguments)


# ---- memory of a process that reads records

# New objects between two collections: the records of a page have no cycles, and looking for some
# took up to a fifth of the time.
_GC_THRESHOLD = 50_000
# A block of more bytes is allocated by itself, and returned to the system when it is freed. The C
# library would raise this size to that of the largest freed block, up to 32 MB.
_OWN_BLOCK = 1 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def enable_reduced_gc() -> None:
    """Collect after every fifty thousand new objects, without the objects that exist now, until this
    process ends.
    """
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 20)
    _return_freed_blocks()


def _return_freed_blocks() -> None:
    """Fix the thresholds of malloc, which only glibc has.

    Source: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _OWN_BLOCK)
