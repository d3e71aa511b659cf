"""Lower the priority of the engine's merging threads, so that queries are not delayed."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

NICE = 5  # nice value: a third of what a load gets beside it; at 10 a load of many files then waited 22 s for the merging, at 5 for 6 s
_TASKS = Path("/proc/self/task")
_THREADS = "rocksdb:low"  # what RocksDB calls them


def threads() -> list[int]:
    """Return the numbers of the engine's merging threads in this process; none if the system does not list threads (only Linux does)."""
    return [int(task.name) for task in _TASKS.glob("[0-9]*") if _named(task).startswith(_THREADS)]


def lower_merge_priority(nice: int = NICE) -> None:
    """Lower the priority of the merging threads that exist now, permanently; the engine starts them when it needs them."""
    for thread in threads():
        raise_nice(thread, nice)


def lower_thread_priority() -> None:
    """Lower the priority of the calling thread, permanently, and of those that it starts; does nothing if threads have none."""
    if sys.platform == "linux":
        raise_nice(threading.get_native_id(), NICE)


def raise_nice(thread: int, nice: int) -> None:
    """Raise the nice value of a thread to *nice*; never lower it, which only root may (setpriority(2)).

    A process that was started under ``nice -n 10`` stays at 10. A thread that has exited is ignored.
    """
    with suppress(ProcessLookupError):
        if os.getpriority(os.PRIO_PROCESS, thread) < nice:
            os.setpriority(os.PRIO_PROCESS, thread, nice)


def _named(task: Path) -> str:
    try:
        return (task / "comm").read_text()
    except OSError:  # it has ended
        return ""
