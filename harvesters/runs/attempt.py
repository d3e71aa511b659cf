"""Attempts: one run of one source, with what the log and the status file tell of it."""

from __future__ import annotations

import structlog

from harvesters.errors import FencedError
from harvesters.runs.means import Means
from harvesters.runs.plan import Plan
from harvesters.runs.run import harvest
from harvesters.runs.stage import Watch
from harvesters.runs.status import tell
from harvesters.source import Source

log = structlog.get_logger()


def attempt(source: Source, means: Means, *, full: bool = False, dry_run: bool = False, watch: Watch | None = None) -> Plan:
    """Harvest one source; who has a *watch* sees what happens and needs no lines of the same. Raises HarvestError."""
    told, fenced = log.debug if watch else log.info, False
    told("run began", source=source.name, url=source.url)
    try:
        plan = harvest(source, means, full=full, dry_run=dry_run, watch=watch or (lambda _: None))
        told("run ended", source=source.name, run=plan.run.id, outcome=plan.run.state.value, held=plan.held, **plan.counts)
        return plan
    except FencedError:
        fenced = True
        raise
    finally:
        if not fenced:  # how the source fares is for the one to tell that has its lock
            tell(means)
