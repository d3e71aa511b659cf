"""Queue runs as jobs of Procrastinate in the ledger's PostgreSQL database
(https://procrastinate.readthedocs.io/).

A source's name is the lock of its jobs, so that two of them never run at once. A job's due time is
stored, so that several schedulers queue each run once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy as sa
import structlog
from procrastinate import App, JobContext, PsycopgConnector, exceptions
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from sqlalchemy.engine import make_url

from harvesters.errors import LedgerError, SourceLockedError
from harvesters.ledger import operators
from harvesters.ledger.database import Database
from harvesters.ledger.locks import keepalive_params
from harvesters.ledger.models import RunRequest
from harvesters.runs.context import HarvestContext
from harvesters.runs.schedule.due_times import last_due
from harvesters.source import Source
from journal.outage import Outage, root_cause

HARVEST, REQUEST = "harvest", "run_request"
_TABLES_LOCK = "layout of the queue"
# A job is tried again while another run of its source is in progress.
_RETRY_SECONDS = 5
_MAX_TRIES = 40
_OUTAGE_SECONDS = 5.0  # seconds between two attempts while the database is unavailable

# Called with the source, whether all records are harvested, and the due time (seconds since 1970).
HarvestHandler = Callable[[str, bool, int], None]
# Called with the number of a request, and whether its job was started before.
RequestHandler = Callable[[int, bool], None]

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
            job = {"source": source, "full": full, "timestamp": timestamp, "tries": tries + 1}
            _defer_again(app, job, error)

    @app.task(name=REQUEST, pass_context=True)
    def _run_request(context: JobContext, number: int) -> None:
        request(number, context.job.attempts > 0)

    return app


def _defer_again(app: App, job: dict[str, Any], error: SourceLockedError) -> None:
    """Queue a job again whose source is locked, unless the source's next job is queued already.

    Procrastinate's own retry requeues the same job, which fails if the next one is queued, and
    leaves the job started forever.
    """
    source = job["source"]
    if job["tries"] > _MAX_TRIES:
        log.error("run skipped: previous run still in progress", source=source, reason=str(error))
        return
    delay = {"seconds": _RETRY_SECONDS}
    again = app.configure_task(HARVEST, lock=source, queueing_lock=source, schedule_in=delay)
    with suppress(AlreadyEnqueued):
        again.defer(**job)


def create_tables(app: App, ledger: Database) -> None:
    """Create missing tables of the queue, under a lock."""
    with ledger.advisory_lock(_TABLES_LOCK, wait=True), ledger.transaction() as connection:
        if connection.scalar(sa.text("SELECT to_regclass('procrastinate_jobs')")) is None:
            with app.open():
                app.schema_manager.apply_schema()


async def enqueue_due(app: App, source: str, at: int) -> bool:
    """Queue the run of a source that is due *at* (seconds since 1970), in the open *app*; return
    False if it is queued already.
    """
    task = app.configure_task(HARVEST, lock=source, queueing_lock=source)
    job = task.make_new_job(source=source, timestamp=at)
    try:
        return await app.job_manager.defer_periodic_job(job, source, at) is not None
    except exceptions.AlreadyEnqueued:
        return False


async def enqueue_requested(app: App, source: str, number: int) -> bool:
    """Queue a run that a person requested; return False if it is queued already."""
    task = app.configure_task(REQUEST, lock=source, queueing_lock=f"run request {number}")
    try:
        await task.defer_async(number=number)
    except exceptions.AlreadyEnqueued:
        return False
    return True


@dataclass(frozen=True, slots=True)
class QueuedJobs:
    """Queues runs in the database of *ledger* for workers; waits while it is unavailable, until
    *stopping* is set.
    """

    context: HarvestContext
    ledger: str
    stopping: threading.Event = field(default_factory=threading.Event)

    def prepare(self) -> None:
        """Create missing tables of the queue, and queue the requests that a crashed scheduler had
        claimed.
        """
        # The pool logs each attempt; we log one line with the cause.
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        create_tables(create_app(self.ledger), self.context.ledger)
        for request in operators.claimed_requests(self.context.ledger):
            self.run_requested(request)

    def run_due(self, source: Source) -> None:
        """Queue the run of *source* that is due now, unless it is retired; of several schedulers
        only one does.
        """
        if due := last_due(source.every, self.context.now()):
            at = int(due.timestamp())
            self._enqueue(
                source.name, lambda app: enqueue_due(app, source.name, at), unless_retired=True
            )

    def run_postponed(self, source: Source) -> None:
        at = int(self.context.now().replace(second=0).timestamp())
        self._enqueue(source.name, lambda app: enqueue_due(app, source.name, at))

    def run_requested(self, request: RunRequest) -> None:
        source = request.source
        self._enqueue(source, lambda app: enqueue_requested(app, source, request.id))

    def _enqueue(
        self, source: str, put: Callable[[App], Awaitable[bool]], *, unless_retired: bool = False
    ) -> None:
        """Queue a run; wait while the database is unavailable, so that no due run is lost."""

        async def connect_and_put() -> bool:
            async with create_app(self.ledger).open_async() as app:
                return await put(app)

        outage = Outage("cannot queue a run: database unavailable", "database available again")
        while not self.stopping.is_set():
            try:
                # This query fails at once, while the connections of the queue wait for 30 seconds.
                if operators.is_retired(self.context.ledger, source) and unless_retired:
                    return
                queued = asyncio.run(connect_and_put())
                outage.over(source=source)
                log.info("run queued" if queued else "run already queued", source=source)
                return
            except (ConnectorException, psycopg.Error, LedgerError) as error:
                outage.failed(root_cause(error), source=source)
            self.stopping.wait(_OUTAGE_SECONDS)
