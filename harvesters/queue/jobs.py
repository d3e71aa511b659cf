"""Jobs: a run as it waits in the queue of Procrastinate, in the ledger's own PostgreSQL (https://procrastinate.readthedocs.io/).

A source's name is its job's lock, so that two of its jobs never run at once, and a job's due time is kept, so that however many
schedules there are each run is queued once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
import structlog
from procrastinate import App, JobContext, PsycopgConnector, exceptions
from procrastinate.jobs import Job, Status
from sqlalchemy.engine import make_url

from harvesters.errors import LedgerError, SourceLockedError
from harvesters.ledger.database import Database
from harvesters.ledger.locks import keepalive_params

HARVEST, REQUEST = "harvest", "errand"
_TABLES_LOCK = "layout of the queue"
_RETRY_SECONDS, _MAX_TRIES = 5, 40  # seconds, and how often, a job waits for a run of its source that was begun elsewhere

HarvestHandler = Callable[[str, bool, int], None]  # a source's name, whether all of it is read, and when it was due (seconds since 1970)
RequestHandler = Callable[[int, bool], None]  # its number in the ledger, and whether its job was begun before

log = structlog.get_logger()


def libpq_url(ledger: str) -> str:
    """Give the ledger's database as libpq knows it. Raises LedgerError where it is no PostgreSQL one."""
    url = make_url(ledger)
    if url.get_backend_name() != "postgresql":
        raise LedgerError("workers share a PostgreSQL ledger; set STOCKTAKE_LEDGER to one, such as postgresql+psycopg://user@host/name")
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def create_app(ledger: str, harvest: HarvestHandler = lambda *_: None, errand: RequestHandler = lambda *_: None) -> App:
    """Give the queue in the ledger's database with what is done for each of its jobs."""
    app = App(connector=PsycopgConnector(conninfo=libpq_url(ledger), kwargs=keepalive_params()))

    @app.task(name=HARVEST)
    def _harvest(source: str, full: bool = False, timestamp: int = 0, tries: int = 0) -> None:
        try:
            harvest(source, full, timestamp)
        except SourceLockedError as error:
            _defer_again(app, {"source": source, "full": full, "timestamp": timestamp, "tries": tries + 1}, error)

    @app.task(name=REQUEST, pass_context=True)
    def _errand(context: JobContext, number: int) -> None:
        errand(number, context.job.attempts > 0)

    return app


def _defer_again(app: App, job: dict[str, Any], error: SourceLockedError) -> None:
    """Queue a job anew whose source is busy; where the source's next job is queued already, that one does its work.

    Procrastinate's own retry puts the same job back, which fails where the next one is queued, and leaves the job as begun for ever.
    """
    if job["tries"] > _MAX_TRIES:
        log.error("run skipped: previous run still in progress", source=job["source"], reason=str(error))
        return
    again = app.configure_task(HARVEST, lock=job["source"], queueing_lock=job["source"], schedule_in={"seconds": _RETRY_SECONDS})
    with suppress(exceptions.AlreadyEnqueued):
        again.defer(**job)


def create_tables(app: App, ledger: Database) -> None:
    """Make the queue's tables where they are missing; whoever comes at the same time waits."""
    with ledger.advisory_lock(_TABLES_LOCK, wait=True), ledger.transaction() as connection:
        there = connection.scalar(sa.text("SELECT to_regclass('procrastinate_jobs')"))
        if there is None:
            with app.open():
                app.schema_manager.apply_schema()


@dataclass(frozen=True, slots=True)
class JobQueue:
    """Puts runs into the queue of *app*, which is open."""

    app: App
    _known: dict[str, Any] = field(default_factory=dict)

    async def enqueue_due(self, source: str, at: int) -> bool:
        """Queue the run of a source that is due *at* (seconds since 1970); False where it waits already, or was queued by another."""
        task = self.app.configure_task(HARVEST, lock=source, queueing_lock=source)
        job = task.make_new_job(source=source, timestamp=at)
        try:
            return await self.app.job_manager.defer_periodic_job(job, source, at) is not None
        except exceptions.AlreadyEnqueued:
            return False

    async def enqueue_requested(self, source: str, number: int) -> bool:
        """Queue a run that a person asked for; False where it waits already."""
        task = self.app.configure_task(REQUEST, lock=source, queueing_lock=f"errand {number}")
        try:
            await task.defer_async(number=number)
        except exceptions.AlreadyEnqueued:
            return False
        return True


async def started_jobs(app: App) -> Sequence[Job]:
    """List the jobs that workers have begun."""
    return [job for job in await app.job_manager.list_jobs_async(status=Status.DOING.value) if job.lock]


async def orphaned_jobs(app: App, silence: float) -> set[int]:
    """Return the numbers of the jobs whose worker has sent no heartbeat for *silence* seconds."""
    return {job.id for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=silence) if job.id is not None}


async def requeue_job(app: App, job: Job) -> None:
    """Put a job that lost its worker back into the queue.

    Where the source's next job is queued already the lost one is removed, since the next one goes on with the run that it left.
    """
    try:
        await app.job_manager.retry_job(job)
    except exceptions.UniqueViolation:
        await app.job_manager.finish_job(job, Status.ABORTED, delete_job=True)
