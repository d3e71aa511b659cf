"""Collect a run's pages in a child process, within limits of memory and time.

The child reaches network, archive and ledger: it fetches, maps and stages. Its parent has the lock of the source, the rate limiter,
the clock and the progress, which the child calls through a pipe. A child that dies or stalls is started again at the last staged page,
and answers its requests from the archive first, so that no registry is asked twice. Its marks say what it was doing: a record or a
reply at which it died twice is unreadable from then on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import structlog

from harvesters.errors import CrashLoopError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Run
from harvesters.network.fetch import NetworkSettings, install_retry_logging
from harvesters.pipeline.processes import (
    BoundedCallError,
    Child,
    Marks,
    Parent,
    Phase,
    Steps,
    write_log_line,
)
from harvesters.pipeline.worker_pool import WorkerPool
from harvesters.reasons import Reason
from harvesters.runs.collect import ProgressCallback
from harvesters.runs.context import HarvestContext, child_lock
from journal.journal import Journal
from vocab.iris import Iris

T = TypeVar("T")
_MAX_DEATHS = 2  # deaths at one record or reply, after which it is rejected
_MAX_UNEXPLAINED = 3  # deaths in a row that no record or reply explains, without a page in between
_BATCH = "batch"  # in place of a digest: the child died while it validated several records

log = structlog.get_logger()


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
        try:
            child = Child(context.children.limits, context.children.run or run_child, job)
        except (OSError, EOFError) as error:
            raise CrashLoopError(
                Reason(
                    "no process that reads responses can be started: %(error)s; free some memory, then "
                    "run again",
                    error=str(error),
                )
            ) from error
        try:
            return cast(T, child.serve(_calls(context, watch)))
        except BoundedCallError as error:
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


def run_child(parent: Parent, steps: Steps, job: _Job) -> Any:
    """Do a job for the parent."""
    install_retry_logging()
    steps.rejected, steps.one_by_one = job.rejected, job.one_by_one
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
