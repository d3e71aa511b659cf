"""The process that bounded processes are forked from, in some milliseconds each; see
https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods ("forkserver").
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
from importlib import import_module
from multiprocessing.process import BaseProcess
from typing import Literal

# A start looks for processes that have ended, and would take the exit code that another thread
# waits for.
lock = threading.Lock()
_LONGEST_FOLDER = 70  # characters: the path of a socket has at most 107 bytes, its own name 32
# The names of modules, in order; each process loads the main one.
_preloaded = {"__main__": None, "stocktake": None, __name__: None}


def preload(*modules: str) -> None:
    """Have these modules loaded once, in the process that all others are forked from; it starts
    with the first of them, and what is named later is loaded in each of them.
    """
    # The library numpy would start a thread for each processor, and threads do not survive a fork.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _preloaded.update(dict.fromkeys(modules))
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(_preloaded))


def start_method() -> Literal["forkserver", "spawn"]:
    """Return how processes are started: the fork server has a socket in the folder for temporary
    files.
    """
    return "forkserver" if len(tempfile.gettempdir()) <= _LONGEST_FOLDER else "spawn"


def start(process: BaseProcess) -> None:
    """Start *process*; once more if what it is forked from has just ended, which is replaced."""
    with lock:
        try:
            process.start()
        except (EOFError, OSError):
            process.start()


def run_module(name: str, environment: dict[str, str], *arguments: object) -> None:
    """Call ``run`` of a module with *arguments* and *environment*, in a process that need not load
    what its parent has loaded.
    """
    os.environ.update(environment)
    import_module(name).run(*arguments)
