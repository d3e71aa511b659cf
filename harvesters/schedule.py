"""Schedules: each card's cron line, in one process; runs of one source never overlap, and what was missed is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger

from harvesters.source import Source

_GRACE = 3600  # seconds after its time that a run is still started, as after a machine's sleep
_REFRESH = 60  # seconds
_AT_ONCE = 4  # sources harvested at the same time: they mostly wait for their hosts

log = structlog.get_logger()


def plan(sources: Sequence[Source], harvest: Callable[[Source], None], refresh: Callable[[], None] | None = None) -> BlockingScheduler:
    """Give a scheduler with one job for each enabled source, coalesced; ``start()`` blocks until ``shutdown()``.

    *refresh* is called every minute, to tell how the sources fare also while none is harvested.
    """
    scheduler = BlockingScheduler(timezone="UTC", executors={"default": ThreadPoolExecutor(_AT_ONCE)})
    for source in sources:
        if source.enabled:
            trigger = CronTrigger.from_crontab(source.every, timezone="UTC")
            scheduler.add_job(
                harvest, trigger, (source,), id=source.name, name=source.title, coalesce=True, max_instances=1, misfire_grace_time=_GRACE
            )
    if refresh is not None:  # under an id that is no source's name
        scheduler.add_job(refresh, "interval", seconds=_REFRESH, id=":status", coalesce=True, misfire_grace_time=None)
    scheduler.add_listener(tell, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    return scheduler


def tell(event: JobExecutionEvent) -> None:
    """Log what was missed, or left out since the last run is still under way."""
    if event.code == EVENT_JOB_MISSED:
        log.warning("run missed", source=event.job_id, due=str(event.scheduled_run_time), cure=f"stocktake harvest {event.job_id}")
    else:
        log.warning("run left out: the last one is still under way", source=event.job_id)
