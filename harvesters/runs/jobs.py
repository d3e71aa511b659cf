"""Start the runs of sources: by each source's cron line, or when a person requests one.

Runs of one source never overlap; missed runs are logged. ``LocalJobs`` executes them in this
process; with a shared ledger, ``workers.QueuedJobs`` queues them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from harvesters.errors import HarvestError, SourceLockedError
from harvesters.ledger import operators
from harvesters.ledger.models import ENDED_STATES, Run, RunRequest, State
from harvesters.runs.context import HarvestContext
from harvesters.runs.plan import Plan
from harvesters.source import Source
from journal.errors import JournalError
from journal.outage import Outage


class Jobs(Protocol):
    """Starts the runs of sources when APScheduler says that they are due."""

    def prepare(self) -> None:
        """Requeue the requests that a process had claimed when it died."""

    def run_due(self, source: Source) -> None:
        """Run a source that is due now, unless it is retired."""

    def run_postponed(self, source: Source) -> None:
        """Resume a run that quiet hours postponed."""

    def run_requested(self, request: RunRequest) -> None:
        """Run what a person requested, and store the result."""


@dataclass(frozen=True, slots=True)
class LocalJobs:
    """Runs sources here: with *run* if they are due, with *harvest* (source, full) on request."""

    context: HarvestContext
    sources: Iterable[Source]
    run: Callable[[Source], object]
    harvest: Callable[[Source, bool], Plan]

    def prepare(self) -> None:
        """Close run requests whose run completed, and requeue the rest."""
        ledger = self.context.ledger
        for request in operators.claimed_requests(ledger):
            if run := find_run(request, self.context):
                operators.complete_request(ledger, request.id, run.id)
        operators.requeue_all(ledger)

    def run_due(self, source: Source) -> None:
        if not self.context.ledger.is_retired(source.name):
            self.run(source)

    run_postponed = run_due

    def run_requested(self, request: RunRequest) -> None:
        """Run what a person requested, and store the result.

        While another run of the source is in progress, the request is requeued.
        """
        execute_request(request, self.sources, self.context, self.harvest)


def find_run(request: RunRequest, context: HarvestContext) -> Run | None:
    """Return the run that a claimed request started, if it ended without completing the request."""
    last = context.ledger.last_run(request.source, ENDED_STATES, full_only=request.full)
    return last if last and request.claimed and last.started >= request.claimed else None


def claim_requests(context: HarvestContext, outage: Outage | None = None) -> list[RunRequest]:
    """Claim the waiting requests, each for one caller only; return none if the ledger cannot be
    read.

    *outage* counts the failures of a caller that polls.
    """
    outage = outage or Outage("cannot read run requests", "run requests are readable again")
    ledger, now = context.ledger, context.now()
    try:
        waiting = operators.waiting_requests(ledger)
        claimed = [item for item in waiting if operators.claim(ledger, item.id, now)]
    except HarvestError as error:
        outage.failed(str(error))
        return []
    outage.over()
    return claimed


def execute_request(
    request: RunRequest,
    sources: Iterable[Source],
    context: HarvestContext,
    harvest: Callable[[Source, bool], Plan],
) -> None:
    """Execute a request with *harvest* (source, full) and store its result, as ``LocalJobs``."""
    ledger = context.ledger
    source = next((source for source in sources if source.name == request.source), None)
    if source is None:
        operators.complete_request(
            ledger, request.id, f"no source definition for {request.source!r}"
        )
        return
    try:
        result = harvest(source, request.full).run.id
    except SourceLockedError:
        operators.requeue(ledger, request.id)
        return
    except (HarvestError, JournalError) as error:
        last = ledger.last_run(request.source, [State.FAILED, State.COMMITTING])
        is_of_request = last is not None and last.started >= request.requested
        result = last.id if last and is_of_request else str(error)
    operators.complete_request(ledger, request.id, result)


# ---- the schedule

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


def create_scheduler(
    sources: Iterable[Source],
    jobs: Jobs,
    timers: Iterable[Timer] = (),
    *,
    claim: Callable[[], Sequence[RunRequest]] | None = None,
    changed_sources: Callable[[], Iterable[Source] | None] = lambda: None,
    is_postponed: Callable[[Source], bool] = lambda _: False,
    overdue: Iterable[str] = (),
) -> BackgroundScheduler:
    """Return a scheduler with one job per enabled source; ``start()`` runs them in threads until
    ``shutdown()``, those of the sources named in *overdue* at once.

    *claim* returns the run requests to execute, and is called every three seconds. Before it,
    *changed_sources* is called, which returns all sources if a definition has changed, else None.
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

    def run_requests() -> None:
        if (changed := changed_sources()) is not None:
            _schedule_sources(scheduler, changed, jobs.run_due, resume)
        for request in claim() if claim else ():
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
    claiming = [Timer("requests", "clock", run_requests, REQUEST_INTERVAL)] if claim else []
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
