"""The process that forks query workers: it has imported the module of a worker, so that starting
one takes milliseconds and the imported code is in memory once.

For each request it receives the socket of a worker, forks, and reports the process; it reports each
worker that has ended. It ends when the server closes its socket.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Callable
from importlib import import_module
from typing import NoReturn

Run = Callable[[socket.socket, int, int], None]  # socket, memory limit in bytes, parent's pid

REQUEST = struct.Struct("!Q")  # the memory limit in bytes; the worker's socket comes with it
# STARTED, ENDED or FAILED; process id; exit code, or the error number why none was started
REPORT = struct.Struct("!cii")
STARTED, ENDED, FAILED = b"S", b"E", b"F"


def serve(control: socket.socket, run: Run) -> None:
    """Fork a worker that runs *run* for each request from *control*, until that is closed."""
    wakeup, signalled = socket.socketpair()
    wakeup.setblocking(False)
    signalled.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(signalled.fileno())
    inherited = (control, wakeup, signalled)
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(wakeup, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if wakeup in ready:
                wakeup.recv(4096)
                _report_ended(control)
            if control in ready and not _fork(control, run, inherited):
                return


def _fork(control: socket.socket, run: Run, inherited: tuple[socket.socket, ...]) -> bool:
    """Fork the worker of the next request; return False if *control* is closed."""
    request, handles, _, _ = socket.recv_fds(control, REQUEST.size, 1)
    if not request:
        return False
    connection, parent = socket.socket(fileno=handles[0]), os.getpid()
    try:
        pid = os.fork()
    except OSError as error:  # no memory, or too many processes: the other workers go on
        connection.close()
        control.sendall(REPORT.pack(FAILED, 0, error.errno or 0))
        return True
    if pid == 0:
        _become_worker(connection, REQUEST.unpack(request)[0], parent, run, inherited)
    connection.close()
    control.sendall(REPORT.pack(STARTED, pid, 0))
    return True


def _become_worker(
    connection: socket.socket,
    memory: int,
    parent: int,
    run: Run,
    inherited: tuple[socket.socket, ...],
) -> NoReturn:
    """Run a worker in this process, and end it."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for item in inherited:
        item.close()
    run(connection, memory, parent)
    sys.exit(0)


def _report_ended(control: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        control.sendall(REPORT.pack(ENDED, pid, os.waitstatus_to_exitcode(status)))


def main() -> None:
    """Serve requests. Arguments: number of the socket, name of the worker's module."""
    control = socket.socket(fileno=int(sys.argv[1]))
    run: Run = import_module(sys.argv[2]).run
    # objects of the imported modules are never collected, so that their pages stay shared
    gc.collect()
    gc.freeze()
    try:
        serve(control, run)
    except ConnectionError:  # in the fork server or a worker: the server has ended
        sys.exit(0)


if __name__ == "__main__":
    main()
