"""Call a function in a process of its own, within limits of memory and time.

The process is forked from one that has loaded what the calls need, in some milliseconds; see
https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods ("forkserver").
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from harvesters.errors import HarvestError
from harvesters.pipeline.process_limits import MEMORY_EXIT, Meter, ProcessLimits, describe_exit

T = TypeVar("T")


class BoundedCallError(HarvestError):
    """The process ended at one of its limits; the message says at which, as the end of a sentence."""


_preloaded = {"__main__": None}  # names of modules, in order


def preload(*functions: Callable[..., object]) -> None:
    """Have the modules of these functions loaded once, in the process that those of all calls are
    forked from; it starts with the first call, and what is named later is loaded in each of them.
    """
    _preloaded.update(dict.fromkeys(function.__module__ for function in functions))
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(_preloaded))


def call_bounded(
    function: Callable[..., T], *arguments: Any, limits: ProcessLimits | None = None
) -> T:
    """Return the result of ``function(*arguments)``. Function, arguments and result can be pickled.

    Raises BoundedCallError where the process ends at its limits, or the HarvestError that the
    function raises.
    """
    limits = limits or ProcessLimits()
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(theirs, limits, function, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        result: T | HarvestError = ours.recv()
    except EOFError as error:
        process.join()
        raise BoundedCallError(describe_exit(process.exitcode or 0, limits)) from error
    finally:
        ours.close()
        process.kill()
        process.join()
    if isinstance(result, HarvestError):
        raise result
    return result


def _run(
    connection: Connection,
    limits: ProcessLimits,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    meter = Meter(limits, alarm=True)
    meter.step()
    try:
        connection.send(function(*arguments))
    except HarvestError as error:
        connection.send(error)
    except MemoryError:
        os._exit(MEMORY_EXIT)
