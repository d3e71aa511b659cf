"""Start bounded processes by a fork server, in some milliseconds each.

Source: https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from importlib import import_module
from multiprocessing.process import BaseProcess
from typing import Literal

# Starting a process reaps those that have ended, and would take the exit code for which another
# thread waits.
lock = threading.Lock()
_LONGEST_FOLDER = 70  # characters: the path of a socket has at most 107 bytes, its own name 32
_PAUSES = (0, 0.1, 1)  # seconds between two attempts to start a process
# An ordered set of module names. Each process would load the main module if it were not listed.
_preloaded = {"__main__": None, "stocktake": None, __name__: None}


def preload(*modules: str) -> None:
    """Load *modules* once, in the fork server. It starts with the first process; modules that are
    named after that are loaded in each process.
    """
    # The library numpy would start a thread for each processor, and threads do not survive a fork.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _preloaded.update(dict.fromkeys(modules))
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(_preloaded))


def start_method() -> Literal["forkserver", "spawn"]:
    """Return how processes are started: without a fork server if the path of its socket, in the
    folder for temporary files, would be too long.
    """
    return "forkserver" if len(tempfile.gettempdir()) <= _LONGEST_FOLDER else "spawn"


def start(process: BaseProcess) -> None:
    """Start *process*; try again if the fork server has just ended. A new one starts once the system
    has ended the old one, which takes a moment on a busy machine.
    """
    with lock:
        for pause in _PAUSES:
            try:
                process.start()
            except (EOFError, OSError):
                time.sleep(pause)
            else:
                return
        process.start()


def exit_with_parent() -> None:
    """Let this process exit when the one that started it has ended for any reason."""

    def wait() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def run_module(name: str, environment: dict[str, str], *arguments: object) -> None:
    """Call ``run`` of a module with *arguments* and *environment*, in a process that need not load
    what its parent has loaded.
    """
    os.environ.update(environment)
    import_module(name).run(*arguments)
