"""Lower the priority of the engine's merging threads, so that queries are not delayed."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

NICE = 5  # nice value; at 10 a large load waited 22 s for the merging threads, at 5 it waited 6 s
_TASKS = Path("/proc/self/task")
_THREADS = "rocksdb:low"  # their name in RocksDB


def threads() -> list[int]:
    """Return the numbers of the engine's merging threads in this process; none if the system does
    not list threads (only Linux does).
    """
    return [
        int(task.name) for task in _TASKS.glob("[0-9]*") if _thread_name(task).startswith(_THREADS)
    ]


def lower_merge_priority(nice: int = NICE) -> None:
    """Lower the priority of the existing merging threads permanently. Call it after each load,
    since the engine starts them on demand.
    """
    for thread in threads():
        raise_nice(thread, nice)


def lower_thread_priority() -> None:
    """Lower the priority of the calling thread, permanently, and of threads that it starts. Does
    nothing except on Linux.
    """
    if sys.platform == "linux":
        raise_nice(threading.get_native_id(), NICE)


def raise_nice(thread: int, nice: int) -> None:
    """Raise the nice value of a thread to *nice*; never lower it, which only root may
    (setpriority(2)).

    A process that was started under ``nice -n 10`` stays at 10. A thread that has exited is
    ignored.
    """
    with suppress(ProcessLookupError):
        if os.getpriority(os.PRIO_PROCESS, thread) < nice:
            os.setpriority(os.PRIO_PROCESS, thread, nice)


def _thread_name(task: Path) -> str:
    try:
        return (task / "comm").read_text()
    except OSError:  # the thread has exited
        return ""
