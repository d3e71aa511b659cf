"""Call a function in a process of its own, within limits of memory and time.

The process is forked from one that has loaded what the calls need, in some milliseconds; see
https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods ("forkserver").
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from harvesters.errors import HarvestError
from harvesters.pipeline.process_limits import MEMORY_EXIT, Meter, ProcessLimits, describe_exit
from journal import fork_server

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


class BoundedCallError(HarvestError):
    """The process ended at one of its limits; the message says at which, as the end of a sentence."""


class ForwardedLine(NamedTuple):
    """A line that the process logs; its parent writes it."""

    method: str  # of the logger
    event: dict[str, int | float | str | None]


def forward_logs(send: Callable[[str, dict[str, int | float | str | None]], object]) -> None:
    """Call *send* with the method and the event of each line that this process logs: structlog
    would write them to standard output, which is for results.
    """

    def forward(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        send(
            method,
            {
                name: value if isinstance(value, int | float | None) else str(value)
                for name, value in event.items()
            },
        )
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.processors.format_exc_info, forward])


def write_log_line(method: str, event: dict[str, Any]) -> None:
    getattr(structlog.get_logger(), method)(event.pop("event"), **event)


def preload(*functions: Callable[..., object]) -> None:
    """Load the modules of these functions once, in the process from which those of all calls are
    forked.
    """
    fork_server.preload(*(function.__module__ for function in functions))


def start_process(
    run: Callable[..., object], *arguments: Any, daemon: bool = True
) -> tuple[BaseProcess, Connection]:
    """Start a process that calls *run* with a connection and *arguments*; return it, and the other
    end of the connection. It ends with this process. One that is no *daemon* may start others.
    """
    # numpy, which detects languages, would start a thread for each processor.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = multiprocessing.get_context(_start_method())
    ours, theirs = context.Pipe()
    process = context.Process(target=_begin, args=(run, theirs, *arguments), daemon=daemon)  # type: ignore[attr-defined]
    try:
        with theirs:
            fork_server.start(process)
    except BaseException:
        ours.close()
        raise
    return process, ours


def _start_method() -> str:
    # A fork of this process need not load the program again; but another thread, also one of a
    # library, might hold a lock that nobody releases in the fork.
    if len([*Path("/proc/self/task").glob("*")]) == 1:
        return "fork"
    return fork_server.start_method()


def _begin(run: Callable[..., object], *arguments: Any) -> None:
    # A fork has the files and locks of its parent, and must not have them any longer than that.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # This process must not wait for the fork server of its parent; it starts one of its own.
    forkserver._forkserver._forkserver_pid = None  # type: ignore[attr-defined]
    # No signal is sent if the parent has ended before it was asked for.
    if (parent := multiprocessing.parent_process()) and not parent.is_alive():
        os._exit(1)
    run(*arguments)


def wait_for(process: BaseProcess) -> int:
    """Wait for the end of a process of ``start_process``; return its exit code, negative for a
    signal.
    """
    with fork_server.lock:
        process.join()
    return process.exitcode or 0


def call_bounded(
    function: Callable[..., T], *arguments: Any, limits: ProcessLimits | None = None
) -> T:
    """Return the result of ``function(*arguments)``; all three must be picklable.

    Raises BoundedCallError if the process ends at its limits, or the HarvestError of the function.
    """
    limits = limits or ProcessLimits()
    process, ours = start_process(_run, limits, function, arguments)
    try:
        while isinstance(result := ours.recv(), ForwardedLine):
            write_log_line(*result)
    except (EOFError, ConnectionResetError) as error:
        raise BoundedCallError(describe_exit(wait_for(process), limits)) from error
    finally:
        ours.close()
        process.kill()
        wait_for(process)
    if isinstance(result, HarvestError):
        raise result
    return cast(T, result)


def _run(
    connection: Connection,
    limits: ProcessLimits,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    forward_logs(lambda method, event: connection.send(ForwardedLine(method, event)))
    Meter(limits, alarm=True).step()
    try:
        connection.send(function(*arguments))
    except HarvestError as error:
        connection.send(error)
    except MemoryError:
        os._exit(MEMORY_EXIT)
