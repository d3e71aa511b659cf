"""Run one source, log the start and end of the run, and update the status file."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from harvesters.errors import LockLostError
from harvesters.pipeline.page_processor import ProgressCallback
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.plan import Plan
from harvesters.runs.remap import remap
from harvesters.runs.status_file import update_status
from harvesters.source import Source

log = structlog.get_logger()


def harvest_and_log(
    source: Source,
    context: HarvestContext,
    *,
    full: bool = False,
    dry_run: bool = False,
    watch: ProgressCallback | None = None,
) -> Plan:
    """Harvest one source. With a progress callback *watch*, log at debug level. Raises HarvestError."""

    def run(progress: ProgressCallback) -> Plan:
        return harvest(source, context, full=full, dry_run=dry_run, watch=progress)

    return _run_with_source(source, context, watch, run, url=source.url)


def remap_and_log(
    source: Source,
    context: HarvestContext,
    *,
    dry_run: bool = False,
    watch: ProgressCallback | None = None,
) -> Plan:
    """Re-map the archive of one source. With a progress callback *watch*, log at debug level."""

    def run(progress: ProgressCallback) -> Plan:
        return remap(source, context, dry_run=dry_run, watch=progress)

    return _run_with_source(source, context, watch, run, input="archive")


def _run_with_source(
    source: Source,
    context: HarvestContext,
    watch: ProgressCallback | None,
    run: Callable[[ProgressCallback], Plan],
    **fields: str,
) -> Plan:
    """Run with the source's name in every log line, such as those of retried requests."""
    with structlog.contextvars.bound_contextvars(source=source.name):
        return _run_and_log(source, context, watch, run, **fields)


def _run_and_log(
    source: Source,
    context: HarvestContext,
    watch: ProgressCallback | None,
    run: Callable[[ProgressCallback], Plan],
    **fields: str,
) -> Plan:
    log_event, lock_lost = log.debug if watch else log.info, False
    log_event("run started", source=source.name, **fields)
    try:
        plan = run(watch or (lambda _: None))
        log_event(
            "run ended",
            source=source.name,
            run=plan.run.id,
            outcome=plan.run.state.value,
            held=plan.hold_reason,
            **plan.counts,
        )
        return plan
    except LockLostError:
        lock_lost = True
        raise
    finally:
        if not lock_lost:  # otherwise the process that holds the lock updates the status
            update_status(context)
