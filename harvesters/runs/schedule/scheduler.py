"""Schedule runs by each source's cron line. Runs of one source never overlap; missed runs are
logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from harvesters.ledger.models import RunRequest
from harvesters.runs.jobs.local import Jobs
from harvesters.source import Source

# Seconds after its due time in which a run still starts, e.g. after the machine slept.
_MISFIRE_GRACE = 3600
_REFRESH_INTERVAL = 60  # seconds
REQUEST_INTERVAL = 3  # seconds between checks for run requests and for messages: people wait
_CONCURRENT_REQUESTS = 2  # requested runs at the same time, in addition to scheduled ones
_CONCURRENT_RUNS = 4  # scheduled runs at the same time: they mostly wait for their hosts
_QUIET = ":quiet-"  # begins the id of the job at the end of a source's quiet hours

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timer:
    """An *action* that the thread *pool* calls every *seconds*; *name* is that of its job.

    Mail servers, web pages and the comparison of many records are slow, so each kind of work has a
    pool of its own.
    """

    name: str
    pool: str
    action: Callable[[], None]
    seconds: int = _REFRESH_INTERVAL


@dataclass(frozen=True, slots=True)
class RequestWatch:
    """How run requests are claimed every three seconds, beside the runs that are due.
    *changed_sources* is called before *claim*; it returns all sources if a definition has changed,
    else None.
    """

    claim: Callable[[], Sequence[RunRequest]]
    changed_sources: Callable[[], Iterable[Source] | None] = lambda: None


def create_scheduler(
    sources: Iterable[Source],
    jobs: Jobs,
    timers: Iterable[Timer] = (),
    watch: RequestWatch | None = None,
    *,
    is_postponed: Callable[[Source], bool] = lambda _: False,
    overdue: Iterable[str] = (),
) -> BackgroundScheduler:
    """Return a scheduler with one job per enabled source; ``start()`` runs them in threads until
    ``shutdown()``, those of the sources named in *overdue* at once.

    When a source's quiet hours end and *is_postponed* returns True for it, its run is resumed.
    """
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # `log_missed` logs missed runs
    pools = {
        "default": ThreadPoolExecutor(_CONCURRENT_RUNS),
        "requests": ThreadPoolExecutor(_CONCURRENT_REQUESTS),
        **{name: ThreadPoolExecutor(1) for name in ("clock", "notifications", "links", "identity")},
    }
    scheduler = BackgroundScheduler(timezone="UTC", executors=pools)

    def resume(source: Source) -> None:
        if is_postponed(source):
            jobs.run_postponed(source)

    def claim() -> None:
        assert watch
        if (changed := watch.changed_sources()) is not None:
            _schedule_sources(scheduler, changed, jobs.run_due, resume)
        for request in watch.claim():
            scheduler.add_job(
                jobs.run_requested,
                args=(request,),
                id=f":request-{request.id}",
                misfire_grace_time=None,
                executor="requests",
                replace_existing=True,
            )

    _schedule_sources(scheduler, sources, jobs.run_due, resume)
    for name in overdue:
        scheduler.modify_job(name, next_run_time=datetime.now(UTC))
    claiming = [Timer("requests", "clock", claim, REQUEST_INTERVAL)] if watch else []
    for timer in (*timers, *claiming):
        scheduler.add_job(
            timer.action,
            "interval",
            seconds=timer.seconds,
            id=f":{timer.name}",  # No name of a source has a colon.
            coalesce=True,
            misfire_grace_time=None,
            executor=timer.pool,
        )
    scheduler.add_listener(log_missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    return scheduler


def _schedule_sources(
    scheduler: BackgroundScheduler,
    sources: Iterable[Source],
    run: Callable[[Source], None],
    resume: Callable[[Source], None],
) -> None:
    """Update the jobs: one for each enabled source by its present definition, none for others."""
    before = {job.id: job.args for job in scheduler.get_jobs()}
    enabled = {source.name: source for source in sources if source.enabled}
    for name in before:
        source = enabled.get(name.removeprefix(_QUIET))
        is_internal = name.startswith(":") and not name.startswith(_QUIET)
        if not is_internal and (source is None or (name.startswith(_QUIET) and not source.quiet)):
            scheduler.remove_job(name)
    for name, source in enabled.items():
        if before.get(name) != (source,):
            trigger = CronTrigger.from_crontab(source.every, timezone="UTC")
            _add_source_job(scheduler, name, source, run, trigger)
            if source.quiet:
                end = source.quiet.end
                trigger = CronTrigger(hour=end.hour, minute=end.minute, timezone="UTC")
                _add_source_job(scheduler, f"{_QUIET}{name}", source, resume, trigger)


def _add_source_job(
    scheduler: BackgroundScheduler,
    id: str,
    source: Source,
    action: Callable[[Source], None],
    trigger: CronTrigger,
) -> None:
    scheduler.add_job(
        action,
        trigger,
        (source,),
        id=id,
        name=source.title,
        coalesce=True,
        max_instances=1,
        misfire_grace_time=_MISFIRE_GRACE,
        replace_existing=True,
    )


def log_missed(event: JobExecutionEvent) -> None:
    """Log a missed run, or one skipped since the previous run is in progress. Ignore jobs that are
    not runs.
    """
    if event.job_id.startswith(":"):
        return
    if event.code == EVENT_JOB_MISSED:
        log.warning(
            "run missed",
            source=event.job_id,
            due=str(event.scheduled_run_time),
            action=f"stocktake harvest {event.job_id}",
        )
    else:
        log.warning("run skipped: previous run still in progress", source=event.job_id)
