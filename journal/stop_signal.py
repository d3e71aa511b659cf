"""End a process on SIGINT or SIGTERM, or wait for them in the main thread.

Python runs a signal handler in the main thread only, and only when that thread runs Python code. If
the kernel delivers the signal to another thread, a main thread that waits for a lock, an event or a
queue does not wake up. And a handler that sets an event may take a lock that the main thread holds.
Neither can happen where the main thread waits for the file descriptor that receives the numbers of
signals.

Source: https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

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
