"""Schedule runs by each source's cron line. Runs of one source never overlap; missed runs are
logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from harvesters.ledger.models import RunRequest
from harvesters.source import Source

# seconds after its due time in which a run still starts, e.g. after the machine slept
_MISFIRE_GRACE = 3600
_REFRESH_INTERVAL = 60  # seconds
_REQUEST_INTERVAL = 3  # seconds between checks for run requests and for messages: people wait
_CONCURRENT_REQUESTS = 2  # requested runs at the same time, in addition to scheduled ones
_CONCURRENT_RUNS = 4  # scheduled runs at the same time: they mostly wait for their hosts
_QUIET = ":quiet-"  # before a source's name, in the id of the job when its quiet hours end

log = structlog.get_logger()

# functions that claim and execute requests
RequestHandlers = tuple[Callable[[], Sequence[RunRequest]], Callable[[RunRequest], None]]


@dataclass(frozen=True, slots=True)
class Jobs:
    """What a scheduler calls; None: nothing.

    *refresh* is called every minute to update the status file. Run requests are claimed every three
    seconds by *requests* and executed in addition to scheduled runs; *changed_sources* is called
    before, and returns all sources if a definition has changed, else None. When a source's quiet hours
    end and *is_postponed* returns True for it, *resume* (default: *harvest*) is called. *notify* is
    called every minute in a thread of its own, since mail servers may be slow, and *check_links*
    too, since web pages are, and *match*, since comparing many records takes long. *deliver* is called
    every three seconds in the thread of *notify*: people wait for the link in a mail.
    """

    harvest: Callable[[Source], None]
    refresh: Callable[[], None] | None = None
    requests: RequestHandlers | None = None
    changed_sources: Callable[[], Iterable[Source] | None] = lambda: None
    is_postponed: Callable[[Source], bool] = lambda _: False
    resume: Callable[[Source], None] | None = None
    notify: Callable[[], None] | None = None
    check_links: Callable[[], None] | None = None
    match: Callable[[], None] | None = None
    deliver: Callable[[], None] | None = None


def create_scheduler(
    sources: Iterable[Source], jobs: Jobs, overdue: Iterable[str] = ()
) -> BackgroundScheduler:
    """Return a scheduler with one job per enabled source; ``start()`` runs them in threads until
    ``shutdown()``, those of the sources named in *overdue* at once.
    """
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # `log_missed` logs missed runs
    pools = {
        "default": ThreadPoolExecutor(_CONCURRENT_RUNS),
        "requests": ThreadPoolExecutor(_CONCURRENT_REQUESTS),
        **{name: ThreadPoolExecutor(1) for name in ("clock", "notifications", "links", "identity")},
    }
    scheduler = BackgroundScheduler(timezone="UTC", executors=pools)

    _schedule_sources(scheduler, sources, jobs)
    for name in overdue:
        scheduler.modify_job(name, next_run_time=datetime.now(UTC))
    others = {"notifications": jobs.notify, "links": jobs.check_links, "identity": jobs.match}
    _add_interval_jobs(
        scheduler,
        {"status": (jobs.refresh, "clock")}
        | {name: (action, name) for name, action in others.items()},
        _REFRESH_INTERVAL,
    )
    _add_interval_jobs(
        scheduler, {"deliveries": (jobs.deliver, "notifications")}, _REQUEST_INTERVAL
    )
    if jobs.requests is not None:
        _add_request_job(scheduler, jobs, *jobs.requests)
    scheduler.add_listener(log_missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    return scheduler


def _schedule_sources(
    scheduler: BackgroundScheduler, sources: Iterable[Source], jobs: Jobs
) -> None:
    """Have a job for each enabled source, by its definition as it is now, and none for others."""

    def resume_postponed(source: Source) -> None:
        if jobs.is_postponed(source):
            (jobs.resume or jobs.harvest)(source)

    before = {job.id: job.args for job in scheduler.get_jobs()}
    enabled = {source.name: source for source in sources if source.enabled}
    for name in before:
        source = enabled.get(name.removeprefix(_QUIET))
        is_internal = name.startswith(":") and not name.startswith(_QUIET)
        if not is_internal and (source is None or (name.startswith(_QUIET) and not source.quiet)):
            scheduler.remove_job(name)
    for name, source in enabled.items():
        if before.get(name) != (source,):
            _add_harvest_job(scheduler, source, jobs.harvest)
            if source.quiet:
                _add_resume_job(scheduler, source, source.quiet.end, resume_postponed)


def _add_harvest_job(
    scheduler: BackgroundScheduler, source: Source, harvest: Callable[[Source], None]
) -> None:
    scheduler.add_job(
        harvest,
        CronTrigger.from_crontab(source.every, timezone="UTC"),
        (source,),
        id=source.name,
        name=source.title,
        coalesce=True,
        max_instances=1,
        misfire_grace_time=_MISFIRE_GRACE,
        replace_existing=True,
    )


def _add_interval_jobs(
    scheduler: BackgroundScheduler,
    jobs: Mapping[str, tuple[Callable[[], None] | None, str]],
    seconds: int,
) -> None:
    """Call each action, by its name, in its pool at an interval; the colon before the name keeps
    its id from being a source's.
    """
    for name, (action, executor) in jobs.items():
        if action is not None:
            scheduler.add_job(
                action,
                "interval",
                seconds=seconds,
                id=f":{name}",
                coalesce=True,
                misfire_grace_time=None,
                executor=executor,
            )


def _add_resume_job(
    scheduler: BackgroundScheduler, source: Source, end: time, harvest: Callable[[Source], None]
) -> None:
    trigger = CronTrigger(hour=end.hour, minute=end.minute, timezone="UTC")
    scheduler.add_job(
        harvest,
        trigger,
        (source,),
        id=f"{_QUIET}{source.name}",
        name=source.title,
        coalesce=True,
        misfire_grace_time=_MISFIRE_GRACE,
        replace_existing=True,
    )


def _add_request_job(
    scheduler: BackgroundScheduler,
    jobs: Jobs,
    take: Callable[[], Sequence[RunRequest]],
    run: Callable[[RunRequest], None],
) -> None:
    def claim() -> None:
        if (sources := jobs.changed_sources()) is not None:
            _schedule_sources(scheduler, sources, jobs)
        for request in take():
            scheduler.add_job(
                run,
                args=(request,),
                id=f":request-{request.id}",
                misfire_grace_time=None,
                executor="requests",
                replace_existing=True,
            )

    scheduler.add_job(
        claim,
        "interval",
        seconds=_REQUEST_INTERVAL,
        id=":requests",
        coalesce=True,
        misfire_grace_time=None,
        executor="clock",
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
