"""Run one source, log the start and end of the run, and update the status file."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import islice

import structlog

from harvesters.errors import LockLostError
from harvesters.ledger.models import NOT_PUBLISHED
from harvesters.pipeline.page_processor import Progress, ProgressCallback
from harvesters.runs import run_report
from harvesters.runs.context import HarvestContext
from harvesters.runs.plan import Plan
from harvesters.runs.run import harvest, remap
from harvesters.runs.run_log import RunLog, keep_log
from harvesters.runs.status_file import update_status
from harvesters.source import Source
from journal.tracing import add_span, open_span

_MAX_REASONS = 5  # the commonest reasons why records were not published

log = structlog.get_logger()


def harvest_and_log(
    source: Source,
    context: HarvestContext,
    *,
    full: bool = False,
    dry_run: bool = False,
    watch: ProgressCallback | None = None,
) -> Plan:
    """Harvest one source. With a progress callback *watch*, log at debug level. Raises
    HarvestError.
    """
    run = partial(harvest, source, context, full=full, dry_run=dry_run)
    return _run_and_log(source, context, watch, run, is_kept=not dry_run, url=source.url)


def remap_and_log(
    source: Source,
    context: HarvestContext,
    *,
    dry_run: bool = False,
    watch: ProgressCallback | None = None,
) -> Plan:
    """Re-map the archive of one source. With a progress callback *watch*, log at debug level."""
    run = partial(remap, source, context, dry_run=dry_run)
    return _run_and_log(source, context, watch, run, is_kept=not dry_run, input="archive")


def _run_and_log(
    source: Source,
    context: HarvestContext,
    watch: ProgressCallback | None,
    run: Callable[..., Plan],
    *,
    is_kept: bool,
    **fields: str,
) -> Plan:
    """Run with the source's name in every log line, such as those of retried requests, and keep the
    lines.
    """
    lock_lost, since = False, time.time_ns()
    known = {"source": source.name, **fields}
    attributes = {f"stocktake.{name}": value for name, value in known.items()}
    with (
        structlog.contextvars.bound_contextvars(source=source.name),
        open_span(f"harvest {source.name}", attributes) as span,
        keep_log(context.ledger, source.name, is_kept=is_kept) as run_log,
    ):
        _log_event(run_log, watch, "run started", **fields)

        def show(progress: Progress) -> None:
            nonlocal since
            position = {"stocktake.page": progress.pages, "stocktake.records": progress.records}
            add_span("harvest page", since, since := time.time_ns(), position)
            if _is_round(progress.pages):
                total = (
                    {} if progress.reported_total is None else {"total": progress.reported_total}
                )
                run_log.add(
                    "info", "page stored", page=progress.pages, records=progress.records, **total
                )
            if watch:
                watch(progress)

        try:
            plan = run(watch=show)
            ended = {"run": plan.run.id, "outcome": plan.run.state.value, "held": plan.hold_reason}
            _log_failures(run_log, watch, plan, context)
            _log_event(run_log, watch, "run ended", **ended, **plan.counts)
            results = {**ended, **plan.counts}.items()
            span.set({f"stocktake.{name}": value for name, value in results if value is not None})
            return plan
        except LockLostError:
            lock_lost = True
            raise
        except Exception as error:
            run_log.add("error", "run failed", reason=str(error) or type(error).__name__)
            raise
        finally:
            if not lock_lost:  # otherwise the process that holds the lock updates the status
                update_status(context)


def _log_failures(
    run_log: RunLog, watch: ProgressCallback | None, plan: Plan, context: HarvestContext
) -> None:
    """Log the commonest reasons why records were not published, with the number of records."""
    if not any(plan.outcomes[outcome] for outcome in NOT_PUBLISHED):
        return
    reasons = run_report.failure_reasons(plan, context.ledger)
    for reason, count in islice(reasons.items(), _MAX_REASONS):
        _log_event(run_log, watch, "records not published", records=count, reason=reason)


def _log_event(
    run_log: RunLog, watch: ProgressCallback | None, event: str, **fields: str | int | None
) -> None:
    """Log an event; with a progress callback only to the log that is kept."""
    if watch:
        run_log.add("info", event, **fields)
    else:
        log.info(event, source=run_log.source, **fields)


def _is_round(page: int) -> bool:
    """Return whether the number of a page has only zeros after its first digit: 1, 2, ... 10, 20,
    ...

    >>> [page for page in range(1, 45) if _is_round(page)]
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40]
    """
    return set(str(page)[1:]) <= {"0"}
