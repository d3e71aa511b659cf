"""Limits of a process that reads what came from a registry, and the marks by which its parent
learns what it was doing.
"""

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

if TYPE_CHECKING:  # it loads an HTTP client, which a listing of runs does not need
    from harvesters.network.reply import Reply

# processes; one core is left for the one that reads and writes
DEFAULT_WORKERS = max(1, (os.cpu_count() or 1) - 1)

MEMORY_EXIT = 77  # exit code of a process that met a MemoryError
_OOM_SCORE = "1000"  # when the system itself runs out of memory, this process goes first
# seconds between two renewals of a time limit: a system call for each record would cost more than
# it is worth
_RENEWAL = 0.25
_MEBIBYTE = 1 << 20
_STEP = struct.Struct("<QB16s")  # steps, phase, digest of a record
_REPLY = struct.Struct("<16sQ512s")  # digest of a reply, size of its body, its address
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What one step (reading an answer, mapping a record, validating a batch) may take, and what a
    run may.

    *memory* is the address space in bytes beyond what the idle process has. *seconds* is processor
    time, *silence* elapsed time. An answer adds to all three by its size. *crashes* is how often
    the process of one run is started again.
    """

    memory: int = 4 << 30  # as for a trial; the largest real answers (70 MB of JSON) need 0.6 GB
    seconds: float = 60.0  # the slowest real page (a calendar) needs 9
    silence: float = 300.0  # five times as long, since other processes need the processor too
    crashes: int = 30  # a page of 100 records with one bad record costs about sixteen

    def memory_for(self, size: int) -> int:
        """Return the address space for an answer of *size* bytes: JSON and XML take up to eight
        times their size in memory.
        """
        return self.memory + 8 * size

    def seconds_for(self, size: int) -> float:
        """Return the processor time for an answer of *size* bytes."""
        return self.seconds + size / _MEBIBYTE

    def silence_for(self, size: int) -> float:
        """Return the elapsed time for an answer of *size* bytes."""
        return self.silence + 5 * size / _MEBIBYTE


@dataclass(frozen=True, slots=True)
class ChildProcesses:
    """The processes in which runs collect their pages: their limits, and what each executes
    (``runs.child.run_child``, unless *run* replaces it).
    """

    limits: ProcessLimits = field(default_factory=ProcessLimits)
    run: Callable[..., None] | None = None

    def __post_init__(self) -> None:
        """Have the process that they are forked from load what they need."""
        fork_server.preload("harvesters.runs.child")


# For what a stranger sends to the server: the largest pictures need 300 to 500 MiB, and 2 s.
UPLOAD_LIMITS = ProcessLimits(memory=512 << 20, seconds=10.0, silence=30.0)


class Phase(IntEnum):
    """What the process is doing."""

    OTHER = 0
    REQUESTING = 1  # which takes as long as its registry asks for
    READING = 2  # the last reply
    MAPPING = 3  # a record
    VALIDATING = 4  # a batch of records, or one of them where they are worked on one at a time


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
    """A few bytes of memory that a process and its parent share; the parent reads them after the
    process has died, too. It is an argument of the process that writes them.
    """

    def __init__(self) -> None:
        self._memory = RawArray("B", _STEP.size + _REPLY.size)
        self._steps = 0

    def set(self, phase: Phase, digest: str = "") -> None:
        """Count a step and write what it is about."""
        self._steps += 1
        _STEP.pack_into(self._memory, 0, self._steps, phase, bytes.fromhex(digest))

    def set_reply(self, digest: str, size: int, address: str) -> None:
        """Write which reply is read."""
        values = (bytes.fromhex(digest), size, address.encode())
        _REPLY.pack_into(self._memory, _STEP.size, *values)

    def read(self) -> Mark:
        """Return the last mark."""
        steps, phase, record = _STEP.unpack_from(self._memory, 0)
        reply, size, address = _REPLY.unpack_from(self._memory, _STEP.size)
        text = address.rstrip(b"\0").decode(errors="ignore")
        return Mark(steps, Phase(phase), record.hex(), reply.hex(), size, text)


class Meter:
    """The limits of this process, renewed at each step; the kernel ends the process at a limit,
    whatever code runs.

    With an *alarm* elapsed time is limited by SIGALRM too, for processes that no parent watches.
    """

    def __init__(self, limits: ProcessLimits, *, alarm: bool = False) -> None:
        self._limits, self._alarm = limits, alarm
        self._idle = address_space()
        self._size, self._renewed = 0, -math.inf
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):  # where /proc is not mounted or not ours to write
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
        self.set_body_size(0)
        self.stop_alarm()

    def set_body_size(self, size: int) -> None:
        """Set the limits for work on an answer of *size* bytes."""
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

    *rejected* are the digests of the records and replies at which an earlier process died, with the
    reasons; *one_by_one*: records are mapped and validated one at a time.
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
        """Begin a request, or the reading of its reply. Raises CrashingReplyError if that ended
        earlier processes.
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
    """Return the bytes of address space that this process has mapped; 0 where /proc does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE
    except OSError:
        return 0


def describe_exit(code: int, limits: ProcessLimits, size: int = 0) -> str:
    """Return why a process ended with *code*, as the end of a sentence that begins with what it was
    doing.
    """
    gibibytes = limits.memory_for(size) / (1 << 30)
    if code == MEMORY_EXIT:
        return f"needs more than {gibibytes:.1f} GiB of memory"
    if code == -signal.SIGXCPU:
        return f"takes more than {limits.seconds_for(size):.0f} s of processor time"
    if code == -signal.SIGABRT:
        return f"ends its process by SIGABRT, as libraries do at the limit of memory ({gibibytes:.1f} GiB)"
    if code == -signal.SIGKILL:
        return "ends its process by SIGKILL, as the system does when memory runs out"
    if code < 0:
        return f"ends its process by {_signal_name(-code)}"
    return f"ends its process with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _limit(which: int, most: int) -> None:
    """Set a soft limit, within the hard one of whoever started this program."""
    hard = resource.getrlimit(which)[1]
    resource.setrlimit(which, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
