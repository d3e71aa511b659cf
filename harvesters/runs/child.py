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
from dataclasses import replace
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
    enable_reduced_gc,
    write_log_line,
)
from harvesters.pipeline.worker_pool import WorkerPool
from harvesters.runs.collect import ProgressCallback
from harvesters.runs.context import HarvestContext, child_lock
from journal.journal import Journal
from vocab.iris import Iris

T = TypeVar("T")
_MAX_DEATHS = 2  # deaths at one record or reply, after which it is rejected
_MAX_UNEXPLAINED = 3  # deaths in a row that no record or reply explains, without a page in between
_BATCH = "batch"  # in place of a digest: the child died while it validated several records

log = structlog.get_logger()


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
    pool, limits = context.pool, context.children.limits
    open_pool = partial(
        WorkerPool, pool.base, pool.name, pool.workers, pool.dask, pool.record_count
    )
    network = replace(context.network, rate_limiter=None)  # type: ignore[arg-type]
    settings = (context.data, context.ledger.url, context.iris, open_pool, network)
    rejected, one_by_one = dict[str, str](), False
    deaths, unexplained = Counter[str](), 0
    while True:
        context.ledger.close()  # A fork must not inherit open connections.
        work = (function, arguments, settings, run, rejected, one_by_one)
        child = Child(limits, context.children.run or run_child, *work)
        try:
            return cast(T, child.serve(_calls(context, watch)))
        except BoundedCallError as error:
            reason = str(error)
        finally:
            child.end()
        suspect, activity = _suspect(child.marks, one_by_one=one_by_one)
        deaths[suspect] += 1
        exits, pages, run = deaths.total(), run.pages, context.ledger.run(run.id) or run
        log.warning(
            "child process exited",
            source=run.source,
            busy=activity or "nothing",
            reason=reason,
            exits=exits,
        )
        unexplained = 0 if suspect or run.pages > pages else unexplained + 1
        if exits > limits.crashes or unexplained > _MAX_UNEXPLAINED:
            raise CrashLoopError(
                f"{run.source}: the process that reads its responses has exited {exits} times in this run; "
                f"the last time, {activity or 'its own work'} {reason}; the run ends here, the responses are archived"
            )
        if suspect and suspect != _BATCH and deaths[suspect] >= _MAX_DEATHS:
            where = f"{_address(child.marks)}: " if child.marks.phase == Phase.READING else ""
            rejected[suspect] = f"{where}{Phase(child.marks.phase).name.lower()} it {reason}"
        one_by_one = one_by_one or suspect == _BATCH


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
    return str(marks.address, errors="ignore")


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


def run_child(
    parent: Parent,
    steps: Steps,
    function: Callable[..., T],
    arguments: tuple[Any, ...],
    settings: tuple[Path, str, Iris, Callable[[Steps], WorkerPool], NetworkSettings],
    run: Run,
    rejected: Mapping[str, str],
    one_by_one: bool,
) -> T:
    """Return what *function* returns with a context of its own, for the parent."""
    data, url, iris, open_pool, network = settings
    enable_reduced_gc()
    install_retry_logging()
    steps.rejected, steps.one_by_one = rejected, one_by_one
    with (
        closing(Ledger(url)) as ledger,
        child_lock(run.source, data, ledger),
        open_pool(steps) as pool,
    ):
        context = HarvestContext(
            data,
            ledger,
            Journal(data / "journal"),
            iris,
            pool,
            replace(network, rate_limiter=parent),
            now=partial(parent.call, "now"),
            check_lock=partial(parent.call, "check_lock"),
        )
        return function(context, run, partial(parent.call, "watch"), *arguments)
