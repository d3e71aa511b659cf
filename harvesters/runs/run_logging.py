"""Attempts: one run of one source, with what the log and the status file tell of it."""

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
    source: Source, means: HarvestContext, *, full: bool = False, dry_run: bool = False, watch: ProgressCallback | None = None
) -> Plan:
    """Harvest one source; who has a *watch* sees what happens and needs no lines of the same. Raises HarvestError."""
    return _run_with_source(
        source, means, watch, lambda seen: harvest(source, means, full=full, dry_run=dry_run, watch=seen), url=source.url
    )


def remap_and_log(source: Source, means: HarvestContext, *, dry_run: bool = False, watch: ProgressCallback | None = None) -> Plan:
    """Map again what is archived of one source, and tell as ``attempt`` does."""
    return _run_with_source(source, means, watch, lambda seen: remap(source, means, dry_run=dry_run, watch=seen), of="the archive")


def _run_with_source(
    source: Source, means: HarvestContext, watch: ProgressCallback | None, deed: Callable[[ProgressCallback], Plan], **about: str
) -> Plan:
    with structlog.contextvars.bound_contextvars(source=source.name):  # for all that is logged meanwhile, a retried request above all
        return _run_and_log(source, means, watch, deed, **about)


def _run_and_log(
    source: Source, means: HarvestContext, watch: ProgressCallback | None, deed: Callable[[ProgressCallback], Plan], **about: str
) -> Plan:
    told, fenced = log.debug if watch else log.info, False
    told("run began", source=source.name, **about)
    try:
        plan = deed(watch or (lambda _: None))
        told("run ended", source=source.name, run=plan.run.id, outcome=plan.run.state.value, held=plan.hold_reason, **plan.counts)
        return plan
    except LockLostError:
        fenced = True
        raise
    finally:
        if not fenced:  # how the source fares is for the one to tell that has its lock
            update_status(means)
