"""Collect a run's pages in a child process, within limits of memory and time.

The child reaches network, archive and ledger: it fetches, maps and stages. Its parent has the lock of the source, the rate limiter,
the clock and the progress, which the child calls through a pipe. A child that dies or stalls is started again at the last staged page,
and answers its requests from the archive first, so that no registry is asked twice. Its marks say what it was doing: a record or a
reply at which it died twice is unreadable from then on.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any, TypeVar, cast

import structlog

from harvesters import errors
from harvesters.errors import CrashLoopError, HarvestError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Run
from harvesters.network.fetch import NetworkSettings, install_retry_logging
from harvesters.pipeline.processes import (
    MEMORY_EXIT,
    Marks,
    Meter,
    Phase,
    ProcessLimits,
    Steps,
    describe_exit,
    enable_reduced_gc,
    forward_logs,
    start_process,
    wait_for,
    write_log_line,
)
from harvesters.pipeline.worker_pool import WorkerPool
from harvesters.reasons import Reason
from harvesters.runs.collect import ProgressCallback
from harvesters.runs.context import HarvestContext, child_lock
from journal.journal import Journal
from vocab.iris import Iris

T = TypeVar("T")
_POLL_INTERVAL = 0.5  # seconds between two checks that a child goes on
_MAX_DEATHS = 2  # deaths at one record or reply, after which it is rejected
_MAX_UNEXPLAINED = 3  # deaths in a row that no record or reply explains, without a page in between
_BATCH = "batch"  # in place of a digest: the child died while it validated several records

log = structlog.get_logger()


class ChildExitedError(Exception):
    """A child has exited or stalled; the message says how, as the end of a sentence."""


class ChildBugError(Exception):
    """A child ended by an error of this program."""


@dataclass(frozen=True, slots=True)
class _Job:
    """The call of a child: *function* with a context of its own, *run*, its progress and
    *arguments*. All members can be pickled.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    run: Run
    data: Path
    ledger: str
    iris: Iris
    open_pool: Callable[[Steps], WorkerPool]
    network: NetworkSettings
    rejected: Mapping[str, str] = field(default_factory=dict)
    one_by_one: bool = False


def collect(
    function: Callable[..., T],
    context: HarvestContext,
    run: Run,
    watch: ProgressCallback,
    *arguments: Any,
) -> T:
    """Return ``function(context, run, watch, *arguments)``, called in a child process if the
    context has the settings of one.

    Raises HarvestError as the function does, and CrashLoopError if the child exits too often.
    """
    if context.children is None:
        return function(context, run, watch, *arguments)
    pool = context.pool
    job = _Job(
        function,
        arguments,
        run,
        context.data,
        context.ledger.url,
        context.iris,
        partial(WorkerPool, pool.base, pool.name, pool.workers, pool.dask, pool.record_count),
        replace(context.network, rate_limiter=None),  # type: ignore[arg-type]
    )
    deaths, unexplained = Counter[str](), 0
    while True:
        context.ledger.close()  # A fork must not inherit open connections.
        child = _Child(context.children.limits, context.children.run or run_child, job)
        try:
            return cast(T, child.serve(_calls(context, watch)))
        except ChildExitedError as error:
            reason = str(error)
        finally:
            child.end()
        suspect, activity = _suspect(child.marks, one_by_one=job.one_by_one)
        deaths[suspect] += 1
        exits, run = deaths.total(), context.ledger.run(run.id) or run
        log.warning(
            "child process exited",
            source=run.source,
            busy=activity or "nothing",
            reason=reason,
            exits=exits,
        )
        unexplained = 0 if suspect or run.pages > job.run.pages else unexplained + 1
        if exits > context.children.limits.crashes or unexplained > _MAX_UNEXPLAINED:
            raise CrashLoopError(
                f"{run.source}: the process that reads its responses has exited {exits} times in this run; "
                f"the last time, {activity or 'its own work'} {reason}; the run ends here, the responses are archived"
            )
        rejected = {**job.rejected}
        if suspect and suspect != _BATCH and deaths[suspect] >= _MAX_DEATHS:
            where = f"{_address(child.marks)}: " if child.marks.phase == Phase.READING else ""
            rejected[suspect] = f"{where}{Phase(child.marks.phase).name.lower()} it {reason}"
        one_by_one = job.one_by_one or suspect == _BATCH
        job = replace(job, run=run, rejected=rejected, one_by_one=one_by_one)


def _suspect(marks: Marks, *, one_by_one: bool) -> tuple[str, str]:
    """Return the digest of the record or reply at which a child died, and what it did with it; two
    empty texts if it died at neither.
    """
    match marks.phase:
        case Phase.READING if marks.reply:
            return marks.reply.decode(), f"reading {_address(marks)}"
        case Phase.MAPPING:
            return marks.record.decode(), "mapping a record"
        case Phase.VALIDATING if one_by_one:
            return marks.record.decode(), "validating a record"
        case Phase.VALIDATING:
            return _BATCH, "validating a batch of records"
    return "", ""


def _address(marks: Marks) -> str:
    return marks.address.decode(errors="ignore")


def _calls(context: HarvestContext, watch: ProgressCallback) -> Mapping[str, Callable[..., Any]]:
    """Return the functions that a child calls in its parent, by name."""
    limiter = context.network.rate_limiter
    return {
        "acquire": limiter.acquire,
        "block_host": limiter.block_host,
        "check_lock": context.check_lock,
        "log": write_log_line,
        "now": context.now,
        "watch": watch,
    }


class _Child:
    """A child process; ``end`` must be called in any case."""

    def __init__(self, limits: ProcessLimits, run: Callable[..., None], job: _Job) -> None:
        self._limits, self.marks = limits, RawValue(Marks)
        # The folder is deleted with what a killed process left in it.
        self._folder = tempfile.TemporaryDirectory(prefix="stocktake-", ignore_cleanup_errors=True)
        try:
            self._process, self._connection = start_process(
                run, job, self.marks, limits, self._folder.name, daemon=False
            )
        except (OSError, EOFError) as error:
            self._folder.cleanup()
            raise CrashLoopError(
                Reason(
                    "no process that reads responses can be started: %(error)s; free some memory, then "
                    "run again",
                    error=str(error),
                )
            ) from error

    def serve(self, calls: Mapping[str, Callable[..., Any]]) -> Any:
        """Answer the calls of the child until it ends, and return its result.

        Raises what ended it: a HarvestError, ChildBugError, or ChildExitedError if it exits or makes
        no step within the limits.
        """
        while True:
            name, arguments = self._receive()
            if name == "result":
                return arguments[0]
            if name == "error":
                raise arguments[0]
            try:
                answer = False, calls[name](*arguments)
            except HarvestError as error:
                answer = True, error
            with suppress(BrokenPipeError, ConnectionResetError):  # ``_receive`` raises the error
                self._connection.send(answer)

    def _receive(self) -> tuple[str, tuple[Any, ...]]:
        steps, since = self.marks.steps, time.monotonic()
        try:
            while not self._connection.poll(_POLL_INTERVAL):
                most = self._limits.silence_for(self.marks.size)
                if self.marks.steps != steps or self.marks.phase == Phase.REQUESTING:
                    steps, since = self.marks.steps, time.monotonic()
                elif time.monotonic() - since > most:
                    raise ChildExitedError(f"does not end within {most:.0f} s")
            name, arguments = self._connection.recv()
            return name, arguments
        except (EOFError, ConnectionResetError) as error:
            code = wait_for(self._process)
            raise ChildExitedError(describe_exit(code, self._limits, self.marks.size)) from error

    def end(self) -> None:
        """Kill the process and remove its files."""
        self._process.kill()
        wait_for(self._process)
        self._connection.close()
        self._folder.cleanup()


@dataclass(frozen=True, slots=True)
class _Parent:
    """The parent, as the child calls it; also its rate limiter."""

    connection: Connection
    _lock: threading.Lock = field(default_factory=threading.Lock)  # threads of libraries log, too

    def call(self, name: str, *arguments: Any) -> Any:
        """Return the result of a function of the parent; its HarvestErrors are raised here."""
        try:
            with self._lock:
                self.connection.send((name, arguments))
                is_error, result = self.connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            sys.exit(0)  # the parent has ended
        if is_error:
            raise result
        return result

    def acquire(self, host: str, pause: float) -> None:
        self.call("acquire", host, pause)

    def block_host(self, host: str, seconds: float) -> None:
        self.call("block_host", host, seconds)


def run_child(
    connection: Connection, job: _Job, marks: Marks, limits: ProcessLimits, folder: str
) -> None:
    """Do a job for the parent at the other end of *connection*; *folder* is for temporary files."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)  # libraries must not print between the results of a command
    enable_reduced_gc()
    tempfile.tempdir = folder
    parent = _Parent(connection)
    forward_logs(partial(parent.call, "log"))
    install_retry_logging()
    steps = Steps(marks, Meter(limits), job.rejected, job.one_by_one)
    try:
        connection.send(("result", (_do(job, parent, steps),)))
    except HarvestError as error:
        connection.send(("error", (_portable(error),)))
    except MemoryError:
        os._exit(MEMORY_EXIT)
    except (SystemExit, EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the parent has ended
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        # Panics of libraries and deep recursion are caused by what was read, not by this program.
        is_bug = isinstance(error, Exception) and not isinstance(error, RecursionError)
        fault = ChildBugError(text) if is_bug else ChildExitedError(f"ends in {text}")
        fault.add_note(traceback.format_exc())
        connection.send(("error", (fault,)))
        raise
    finally:
        os._exit(0)  # The parent has the traceback.


def _do(job: _Job, parent: _Parent, steps: Steps) -> Any:
    with (
        closing(Ledger(job.ledger)) as ledger,
        child_lock(job.run.source, job.data, ledger),
        job.open_pool(steps) as pool,
    ):
        context = HarvestContext(
            job.data,
            ledger,
            Journal(job.data / "journal"),
            job.iris,
            pool,
            replace(job.network, rate_limiter=parent),
            now=partial(parent.call, "now"),
            check_lock=partial(parent.call, "check_lock"),
        )
        return job.function(context, job.run, partial(parent.call, "watch"), *job.arguments)


def _portable(error: HarvestError) -> HarvestError:
    """Return the error, or an error of its nearest base class that the parent can import."""
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return error if kind is type(error) else kind(error.reason)
