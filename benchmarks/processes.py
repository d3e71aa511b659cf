"""What a process and all that it starts take of processor and memory, looked up while they run
(Linux).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType

# seconds between looks: a process that ends has lost no more than these of its account
_PAUSE = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")
_ROLES = {
    "publisher.follower": "follower",
    "multiprocessing.forkserver": "readers",
    "publisher.portal.report.process": "report",
    "spawn_main": "workers",
    "resource_tracker": "workers",
    "demo": "registry",
    " harvest ": "harvester",
    "benchmarks.stages": "harvester",
    " dump": "dump",
    " serve ": "server",
    " release ": "release",
    " mirror ": "mirror",
}


@dataclass(slots=True)
class Account:
    """One process: its role, processor seconds, and its peak of memory in MB as the kernel keeps
    it.
    """

    role: str
    seconds: float = 0.0
    peak: float = 0.0


@dataclass(slots=True)
class Watch:
    """Look at the processes below this one while the context is open.

    *together* is the greatest sum, in MB, of what all but the registry held at one time, pages that
    they share counted once. The kernel counts memory page by page (14 ms for ten processes), so it
    is looked at once in *memory_interval* looks.
    """

    memory_interval: int = 20
    accounts: dict[int, Account] = field(default_factory=dict)
    together: float = 0.0
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def seconds(self) -> Mapping[str, float]:
        """Return the processor seconds by role."""
        return self._by_role(lambda old, account: old + account.seconds)

    def peaks(self) -> Mapping[str, float]:
        """Return the greatest peak of a single process by role."""
        return self._by_role(lambda old, account: max(old, account.peak))

    def _by_role(self, join: Callable[[float, Account], float]) -> Mapping[str, float]:
        results: dict[str, float] = {}
        for account in list(self.accounts.values()):
            results[account.role] = join(results.get(account.role, 0.0), account)
        return results

    def _look(self, *, memory: bool = True) -> None:
        megabytes = 0.0
        for pid in below(os.getpid()):
            with suppress(OSError, ValueError, IndexError):  # it may end at any moment
                account = self.accounts.get(pid) or Account(role(pid))
                account.seconds, account.peak = processor(pid), max(account.peak, peak(pid))
                account.role = role(pid) or account.role
                self.accounts[pid] = account
                megabytes += shared_once(pid) if memory and account.role != "registry" else 0.0
        self.together = max(self.together, megabytes)

    def _work(self) -> None:
        for number in count():
            if self._ended.wait(_PAUSE):
                return
            self._look(memory=number % self.memory_interval == 0)

    def __enter__(self) -> Watch:
        self._look()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._look()
        self._ended.set()
        if self._thread:
            self._thread.join()


def below(pid: int) -> list[int]:
    """List the processes that *pid* has started, and theirs."""
    results: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                children = [int(child) for child in (task / "children").read_text().split()]
                results += children + [other for child in children for other in below(child)]
    return results


def role(pid: int) -> str:
    """Return the role of one of our processes, by its command line."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return next((name for mark, name in _ROLES.items() if mark in words), "other" if words else "")


def processor(pid: int) -> float:
    """Return a process's seconds of processor so far, its own and the system's for it."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / _TICKS


def peak(pid: int) -> float:
    """Return the most memory that a process has held, in MB."""
    return _kibibytes(Path(f"/proc/{pid}/status").read_text(), "VmHWM:") / 1024


def peak_of_own() -> float:
    """Return the most memory that this process has held since it was last begun anew, in MB."""
    return peak(os.getpid())


def fresh_peak(pid: int | None = None) -> None:
    """Begin a process's peak of memory anew, this one's where none is named
    (https://docs.kernel.org/filesystems/proc.html, clear_refs).
    """
    with suppress(OSError):
        Path(f"/proc/{pid or os.getpid()}/clear_refs").write_text("5")


def shared_once(pid: int) -> float:
    """Return the memory that a process holds now, in MB, of each shared page only its part."""
    return _kibibytes(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss:") / 1024


def _kibibytes(text: str, name: str) -> int:
    return int(text.partition(name)[2].split()[0])


def until(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> None:
    """Wait until *done*; raise TimeoutError after *seconds*."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not done after {seconds:.0f} seconds")
        time.sleep(pause)
