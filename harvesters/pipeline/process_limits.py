"""Limit a process that reads responses of a registry, and mark its steps for its parent."""

from __future__ import annotations

import math
import os
import resource
import signal
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import TYPE_CHECKING

from harvesters.errors import CrashingReplyError
from journal import fork_server

if TYPE_CHECKING:  # The module loads an HTTP client, which a listing of runs does not need.
    from harvesters.network.reply import Reply

# One core is left for the process that reads and writes.
DEFAULT_WORKERS = max(1, (os.cpu_count() or 1) - 1)

MEMORY_EXIT = 77  # exit code after a MemoryError
_OOM_SCORE = "1000"  # when the system runs out of memory, it kills this process first
# Seconds between two renewals of a time limit; a system call for each record is too slow.
_RENEWAL = 0.25
_MEBIBYTE = 1 << 20
_STEP = struct.Struct("<QB16s")  # steps, phase, digest of a record
_REPLY = struct.Struct("<16sQ512s")  # digest of a reply, size of its body, its address
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
    executes (``runs.child.run_child``, unless *run* replaces it).
    """

    limits: ProcessLimits = field(default_factory=ProcessLimits)
    run: Callable[..., None] | None = None

    def __post_init__(self) -> None:
        """Load their modules in the process from which they are forked."""
        fork_server.preload("harvesters.runs.child")


# For files that a stranger sends to the server: the largest pictures need 300 to 500 MiB and 2 s.
UPLOAD_LIMITS = ProcessLimits(memory=512 << 20, seconds=10.0, silence=30.0)


class Phase(IntEnum):
    """The activity of a process; only REQUESTING has no limit of time."""

    OTHER = 0
    REQUESTING = 1
    READING = 2
    MAPPING = 3
    VALIDATING = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """The last mark of a process: the number of steps so far, the phase, the digests of the last
    record and reply in hexadecimal, and the size in bytes and the address of the reply.
    """

    steps: int
    phase: Phase
    record: str
    reply: str
    size: int
    address: str


class Marks:
    """A few bytes of memory that a process and its parent share. The process that writes them gets
    them as an argument; its parent can read them after it has died.
    """

    def __init__(self) -> None:
        self._memory = RawArray("B", _STEP.size + _REPLY.size)
        self._steps = 0

    def set(self, phase: Phase, digest: str = "") -> None:
        """Count a step, and write its phase and the digest of its record."""
        self._steps += 1
        _STEP.pack_into(self._memory, 0, self._steps, phase, bytes.fromhex(digest))

    def set_reply(self, digest: str, size: int, address: str) -> None:
        """Write digest, size and address of the reply that is read."""
        values = (bytes.fromhex(digest), size, address.encode())
        _REPLY.pack_into(self._memory, _STEP.size, *values)

    def read(self) -> Mark:
        """Return the last mark."""
        steps, phase, record = _STEP.unpack_from(self._memory, 0)
        reply, size, address = _REPLY.unpack_from(self._memory, _STEP.size)
        text = address.rstrip(b"\0").decode(errors="ignore")
        return Mark(steps, Phase(phase), record.hex(), reply.hex(), size, text)


class Meter:
    """The limits of this process, renewed at each step; the kernel ends the process at a limit.

    With *alarm*, SIGALRM limits elapsed time too, for processes that no parent watches.
    """

    def __init__(self, limits: ProcessLimits, *, alarm: bool = False) -> None:
        self._limits, self._alarm = limits, alarm
        self._idle = address_space()
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
            self.marks.set(phase, digest)

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
        self.marks.set_reply(digest, size, reply.url)
        self.begin(Phase.READING)
        if reason := self.rejected.get(digest):
            raise CrashingReplyError(reason)


def address_space() -> int:
    """Return the bytes of address space that this process has mapped; 0 without /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE
    except OSError:
        return 0


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
    how = f"by {_signal_name(-code)}" if code < 0 else f"with exit code {code}"
    return known.get(code, f"ends its process {how}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _limit(which: int, most: int) -> None:
    """Set a soft limit, within the hard one of whoever started this program."""
    hard = resource.getrlimit(which)[1]
    resource.setrlimit(which, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
