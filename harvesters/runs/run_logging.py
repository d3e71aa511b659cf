"""Attempts: one run of one source, with what the log and the status file tell of it."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from harvesters.errors import LockLostError
from harvesters.pipeline.page_processor import Watch
from harvesters.runs.context import Means
from harvesters.runs.harvest import harvest
from harvesters.runs.plan import Plan
from harvesters.runs.remap import remap
from harvesters.runs.status_file import tell
from harvesters.source import Source

log = structlog.get_logger()


def attempt(source: Source, means: Means, *, full: bool = False, dry_run: bool = False, watch: Watch | None = None) -> Plan:
    """Harvest one source; who has a *watch* sees what happens and needs no lines of the same. Raises HarvestError."""
    return _told(source, means, watch, lambda seen: harvest(source, means, full=full, dry_run=dry_run, watch=seen), url=source.url)


def attempt_remap(source: Source, means: Means, *, dry_run: bool = False, watch: Watch | None = None) -> Plan:
    """Map again what is archived of one source, and tell as ``attempt`` does."""
    return _told(source, means, watch, lambda seen: remap(source, means, dry_run=dry_run, watch=seen), of="the archive")


def _told(source: Source, means: Means, watch: Watch | None, deed: Callable[[Watch], Plan], **about: str) -> Plan:
    with structlog.contextvars.bound_contextvars(source=source.name):  # for all that is logged meanwhile, a retried request above all
        return _logged(source, means, watch, deed, **about)


def _logged(source: Source, means: Means, watch: Watch | None, deed: Callable[[Watch], Plan], **about: str) -> Plan:
    told, fenced = log.debug if watch else log.info, False
    told("run began", source=source.name, **about)
    try:
        plan = deed(watch or (lambda _: None))
        told("run ended", source=source.name, run=plan.run.id, outcome=plan.run.state.value, held=plan.held, **plan.counts)
        return plan
    except LockLostError:
        fenced = True
        raise
    finally:
        if not fenced:  # how the source fares is for the one to tell that has its lock
            tell(means)
