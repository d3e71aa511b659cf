"""Schedules: each card's cron line, in one process; runs of one source never overlap, and what was missed is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import time

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger

from harvesters.ledger.operator_actions import RunRequest
from harvesters.source import Source

_MISFIRE_GRACE = 3600  # seconds after its time that a run is still started, as after a machine's sleep
_REFRESH_INTERVAL = 60  # seconds
_REQUEST_INTERVAL = 3  # seconds between two looks for errands: who asks for a run waits for it
_CONCURRENT_REQUESTS = 2  # errands at the same time, beside what the cards' times bring
_CONCURRENT_RUNS = 4  # sources harvested at the same time: they mostly wait for their hosts

log = structlog.get_logger()

RequestHandlers = tuple[Callable[[], Sequence[RunRequest]], Callable[[RunRequest], None]]  # how they are taken up, and done


def create_scheduler(
    sources: Sequence[Source],
    harvest: Callable[[Source], None],
    refresh: Callable[[], None] | None = None,
    errands: RequestHandlers | None = None,
    waits: Callable[[Source], bool] = lambda _: False,
    go_on: Callable[[Source], None] | None = None,
) -> BlockingScheduler:
    """Give a scheduler with one job for each enabled source, coalesced; ``start()`` blocks until ``shutdown()``.

    *refresh* is called every minute, to tell how the sources fare also while none is harvested. *errands* are looked for every
    three seconds, and done beside what the cards' times bring. When a source's quiet hours end, a run of it that *waits* goes on, by
    *go_on* where that is not *harvest* itself.
    """
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # what is below, runs that are missed or left out, is logged by `tell`
    pools = {
        "default": ThreadPoolExecutor(_CONCURRENT_RUNS),
        "errands": ThreadPoolExecutor(_CONCURRENT_REQUESTS),
        "clock": ThreadPoolExecutor(1),
    }
    scheduler = BlockingScheduler(timezone="UTC", executors=pools)
    for source in sources:
        if source.enabled:
            trigger = CronTrigger.from_crontab(source.every, timezone="UTC")
            scheduler.add_job(
                harvest,
                trigger,
                (source,),
                id=source.name,
                name=source.title,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=_MISFIRE_GRACE,
            )
            if source.quiet:
                _add_resume_job(scheduler, source, source.quiet.end, lambda it: (go_on or harvest)(it) if waits(it) else None)
    if refresh is not None:  # under an id that is no source's name
        scheduler.add_job(
            refresh, "interval", seconds=_REFRESH_INTERVAL, id=":status", coalesce=True, misfire_grace_time=None, executor="clock"
        )
    if errands is not None:
        _add_request_job(scheduler, *errands)
    scheduler.add_listener(log_missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    return scheduler


def _add_resume_job(scheduler: BlockingScheduler, source: Source, end: time, harvest: Callable[[Source], None]) -> None:
    trigger = CronTrigger(hour=end.hour, minute=end.minute, timezone="UTC")
    scheduler.add_job(
        harvest, trigger, (source,), id=f":quiet-{source.name}", name=source.title, coalesce=True, misfire_grace_time=_MISFIRE_GRACE
    )


def _add_request_job(scheduler: BlockingScheduler, take: Callable[[], Sequence[RunRequest]], run: Callable[[RunRequest], None]) -> None:
    def look() -> None:
        for it in take():
            scheduler.add_job(run, args=(it,), id=f":errand-{it.id}", misfire_grace_time=None, executor="errands", replace_existing=True)

    scheduler.add_job(look, "interval", seconds=_REQUEST_INTERVAL, id=":errands", coalesce=True, misfire_grace_time=None, executor="clock")


def log_missed(event: JobExecutionEvent) -> None:
    """Log what was missed, or left out since the last run is still under way; what is no run, and comes again in a moment, is not named."""
    if event.job_id.startswith(":"):
        return
    if event.code == EVENT_JOB_MISSED:
        log.warning("run missed", source=event.job_id, due=str(event.scheduled_run_time), cure=f"stocktake harvest {event.job_id}")
    else:
        log.warning("run skipped: previous run still in progress", source=event.job_id)
