"""Start bounded processes by a fork server, in some milliseconds each, and end a process on SIGINT or
SIGTERM.

Python runs a signal handler in the main thread only, and only when that thread runs Python code. If
the kernel delivers the signal to another thread, a main thread that waits for a lock, an event or a
queue does not wake up. And a handler that sets an event may take a lock that the main thread holds.
Neither can happen where the main thread waits for the file descriptor that receives the numbers of
signals.

Sources: https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods,
https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import sys
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


def exit_with_parent(parent: int = 0, grace: float = 0.0) -> None:
    """Let this process exit when the one that started it has ended for any reason: a process of
    multiprocessing, or the process with the id *parent*.

    With *grace* the process first receives SIGTERM and has *grace* seconds to exit by itself.
    """

    def wait() -> None:
        if starter := multiprocessing.parent_process():
            starter.join()
        else:
            while os.getppid() == parent:
                time.sleep(1)
        if grace:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(grace)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def run_module(name: str, environment: dict[str, str], *arguments: object) -> None:
    """Call ``run`` of a module with *arguments* and *environment*, in a process that need not load
    what its parent has loaded.
    """
    os.environ.update(environment)
    import_module(name).run(*arguments)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def exit_on_sigterm() -> None:
    """Exit with code 0 on SIGTERM from now on, as supervisors expect of a service that they stop.

    Without a handler the code is 143, which Kubernetes reports as an error, and the first process
    of a container ignores the signal.
    """
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))


class StopSignal:
    """Handles SIGINT and SIGTERM from its creation on. Create one in a process, and wait for it, in
    the main thread.
    """

    def __init__(self) -> None:
        self.has_arrived = False
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda _number, _frame: None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to *timeout* seconds, or without end; return whether a signal has arrived, now or
        before.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.has_arrived:
            remaining = None if deadline is None else max(deadline - time.monotonic(), 0)
            if not select.select([self._reader], [], [], remaining)[0]:
                break
            received = os.read(self._reader, 4096)  # a byte for each signal that has a handler
            self.has_arrived = any(number in received for number in _SIGNALS)
        return self.has_arrived
