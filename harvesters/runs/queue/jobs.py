"""Queue runs as jobs of Procrastinate in the ledger's PostgreSQL database
(https://procrastinate.readthedocs.io/).

A source's name is the lock of its jobs, so that two of them never run at once. A job's due time is
stored, so that several schedulers queue each run once.
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

HARVEST, REQUEST = "harvest", "run_request"
_TABLES_LOCK = "layout of the queue"
# seconds and number of retries while another run of the source is in progress
_RETRY_SECONDS = 5
_MAX_TRIES = 40

# source, whether a full harvest, due time (seconds since 1970)
HarvestHandler = Callable[[str, bool, int], None]
RequestHandler = Callable[[int, bool], None]  # request id, and whether its job was started before

log = structlog.get_logger()


def libpq_url(ledger: str) -> str:
    """Return the libpq URL of the ledger's database. Raises LedgerError if it is not PostgreSQL."""
    url = make_url(ledger)
    if url.get_backend_name() != "postgresql":
        raise LedgerError(
            "workers share a PostgreSQL ledger; set STOCKTAKE_LEDGER to one, such as postgresql+psycopg://user@host/name"
        )
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def create_app(
    ledger: str,
    harvest: HarvestHandler = lambda *_: None,
    request: RequestHandler = lambda *_: None,
) -> App:
    """Return the queue in the ledger's database, with the handlers of its jobs."""
    app = App(connector=PsycopgConnector(conninfo=libpq_url(ledger), kwargs=keepalive_params()))

    @app.task(name=HARVEST)
    def _harvest(source: str, full: bool = False, timestamp: int = 0, tries: int = 0) -> None:
        try:
            harvest(source, full, timestamp)
        except SourceLockedError as error:
            _defer_again(
                app,
                {"source": source, "full": full, "timestamp": timestamp, "tries": tries + 1},
                error,
            )

    @app.task(name=REQUEST, pass_context=True)
    def _run_request(context: JobContext, number: int) -> None:
        request(number, context.job.attempts > 0)

    return app


def _defer_again(app: App, job: dict[str, Any], error: SourceLockedError) -> None:
    """Queue a job again whose source is locked, unless the source's next job is queued already.

    Procrastinate's own retry requeues the same job, which fails if the next one is queued, and
    leaves the job started forever.
    """
    if job["tries"] > _MAX_TRIES:
        log.error(
            "run skipped: previous run still in progress", source=job["source"], reason=str(error)
        )
        return
    again = app.configure_task(
        HARVEST,
        lock=job["source"],
        queueing_lock=job["source"],
        schedule_in={"seconds": _RETRY_SECONDS},
    )
    with suppress(exceptions.AlreadyEnqueued):
        again.defer(**job)


def create_tables(app: App, ledger: Database) -> None:
    """Create missing tables of the queue, under a lock."""
    with ledger.advisory_lock(_TABLES_LOCK, wait=True), ledger.transaction() as connection:
        table = connection.scalar(sa.text("SELECT to_regclass('procrastinate_jobs')"))
        if table is None:
            with app.open():
                app.schema_manager.apply_schema()


@dataclass(frozen=True, slots=True)
class JobQueue:
    """The queue of *app*, which is open."""

    app: App
    _known: dict[str, Any] = field(default_factory=dict)

    async def enqueue_due(self, source: str, at: int) -> bool:
        """Queue the run of a source that is due *at* (seconds since 1970); return False if it is
        queued already.
        """
        task = self.app.configure_task(HARVEST, lock=source, queueing_lock=source)
        job = task.make_new_job(source=source, timestamp=at)
        try:
            return await self.app.job_manager.defer_periodic_job(job, source, at) is not None
        except exceptions.AlreadyEnqueued:
            return False

    async def enqueue_requested(self, source: str, number: int) -> bool:
        """Queue a run that a person requested; return False if it is queued already."""
        task = self.app.configure_task(REQUEST, lock=source, queueing_lock=f"run request {number}")
        try:
            await task.defer_async(number=number)
        except exceptions.AlreadyEnqueued:
            return False
        return True


async def started_jobs(app: App) -> Sequence[Job]:
    """Return the jobs that workers have started."""
    return [
        job for job in await app.job_manager.list_jobs_async(status=Status.DOING.value) if job.lock
    ]


async def orphaned_jobs(app: App, silence: float) -> set[int]:
    """Return the numbers of the jobs whose worker has sent no heartbeat for *silence* seconds."""
    return {
        job.id
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=silence)
        if job.id is not None
    }


async def requeue_job(app: App, job: Job) -> None:
    """Requeue a job that lost its worker.

    If the source's next job is queued already, the lost job is removed: the next one resumes its
    run.
    """
    try:
        await app.job_manager.retry_job(job)
    except exceptions.UniqueViolation:
        await app.job_manager.finish_job(job, Status.ABORTED, delete_job=True)
