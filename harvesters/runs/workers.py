"""Queue runs in the ledger's PostgreSQL database, and execute queued ones in workers.

Runs are jobs of Procrastinate (https://procrastinate.readthedocs.io/). A source's name is the lock
of its jobs, so that two of them never run at once. A job's due time is stored, so that several
schedulers queue each run once.

A worker executes several jobs at a time until it is asked to stop; then it finishes the started
ones. It sends heartbeats to the database. If they stop, its jobs are requeued, and another worker
resumes each run at its last checkpoint. A worker that lost the lock of a run exits at once: another
worker has the run. An idle worker waits while the database is unavailable.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
import structlog
from procrastinate import App, JobContext, PsycopgConnector, exceptions
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from sqlalchemy.engine import make_url

from harvesters.errors import (
    HarvestError,
    LedgerError,
    LockLostError,
    QuietHoursError,
    SourceLockedError,
)
from harvesters.ledger import operators
from harvesters.ledger.database import Database, keepalive_params, wait_for_database
from harvesters.ledger.models import ENDED_STATES, RunRequest
from harvesters.runs.context import HarvestContext, source_lock
from harvesters.runs.jobs import execute_request, find_run
from harvesters.runs.plan import Plan
from harvesters.runs.run import harvest_and_log
from harvesters.runs.run_log import source_lock_name
from harvesters.source import Source, last_due, load_all
from journal.errors import JournalError
from journal.outage import Outage, root_cause
from journal.processes import exit_on_sigterm

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
                if self.context.ledger.is_retired(source) and unless_retired:
                    return
                queued = asyncio.run(connect_and_put())
                outage.over(source=source)
                log.info("run queued" if queued else "run already queued", source=source)
                return
            except (ConnectorException, psycopg.Error, LedgerError) as error:
                outage.failed(root_cause(error), source=source)
            self.stopping.wait(_OUTAGE_SECONDS)


# ---- workers

# EX_TEMPFAIL of sysexits.h: another worker may have resumed the run of a worker that exits with it.
LOCK_LOST_EXIT = 75
_MISSED_HEARTBEATS = 3  # heartbeats missed before a worker counts as lost
# They log each attempt; we log one line with the cause.
_SILENCED_LOGGERS = (
    "procrastinate.worker.worker",
    "procrastinate.utils",
    "psycopg.pool",
)
_MAX_RETRY_DELAY = 5.0  # seconds at most between two connection attempts


@dataclass(frozen=True, slots=True)
class JobHandlers:
    """The handlers of the jobs; the definitions in *source_dir* are loaded for each job."""

    context: HarvestContext
    source_dir: Path
    ledger: str
    stopping: threading.Event = field(default_factory=threading.Event)

    def harvest(self, name: str, full: bool, due: int) -> None:
        """Execute a run that was due at *due* (seconds since 1970). Raises SourceLockedError; then
        the job is requeued.
        """
        definitions = load_all(self.source_dir)
        if message := definitions.errors.get(name):
            log.error("run skipped: invalid source definition", source=name, reason=message)
            return
        source = definitions.sources.get(name)
        if source is None:
            log.error(
                "run skipped: no source definition",
                source=name,
                action=f"put {name}.toml into {self.source_dir}",
            )
            return
        try:
            if run := self._find_run_since(name, due):
                log.info(
                    "run skipped: the source was harvested since it was due", source=name, run=run
                )
                return
            self._harvest(source, full)
        except SourceLockedError:
            raise
        except QuietHoursError as error:
            log.warning("run postponed", source=name, reason=str(error))
        except (HarvestError, JournalError) as error:
            log.error("run failed", source=name, reason=str(error))

    def run_requested(self, number: int, again: bool) -> None:
        """Execute a requested run unless it is complete; *again* is whether a lost worker had
        started it.
        """
        request = operators.run_request(self.context.ledger, number)
        if request is None or request.run is not None:
            return
        if again and (run := find_run(request, self.context)):
            operators.complete_request(self.context.ledger, number, run.id)
            return
        sources = load_all(self.source_dir).sources.values()
        execute_request(request, sources, self.context, self._harvest)

    def _find_run_since(self, source: str, due: int) -> str | None:
        """Return the id of a run started after *due* that ended, e.g. the job's own if its worker
        was lost after the end.

        A run of the future, from before the clock was set back, is not such a run: the source would
        not be harvested until then.
        """
        last = self.context.ledger.last_run(source, ENDED_STATES, fetched_only=True)
        has_ended = (
            due
            and last
            and due <= last.started.timestamp() <= self.context.now().timestamp()
            and self.context.ledger.open_run(source) is None
        )
        return last.id if has_ended and last else None

    def _harvest(self, source: Source, full: bool) -> Plan:
        try:
            return harvest_and_log(source, self.context, full=full)
        except LockLostError as error:
            log.critical(
                "worker cannot continue and exits",
                source=source.name,
                reason=str(error),
                code=LOCK_LOST_EXIT,
                action="restart the worker",
            )
            # Podman does not restart a container while one that it depends on is down.
            wait_for_database(self.ledger, self.stopping)
            os._exit(LOCK_LOST_EXIT)  # A cleanup would end the job, which another worker has now.


def run_worker(
    context: HarvestContext, ledger: str, source_dir: Path, concurrency: int, heartbeat: float
) -> None:
    """Execute up to *concurrency* runs at a time from the queue in *ledger* until SIGTERM or
    SIGINT; *heartbeat* in seconds.
    """
    for name in _SILENCED_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    handlers = JobHandlers(context, source_dir, ledger)
    outage = Outage("database unavailable; the worker waits", "database available again")
    has_started = False
    while True:
        exit_on_sigterm()  # again, since a closed event loop removes the handler
        try:
            app = create_app(ledger, handlers.harvest, handlers.run_requested)
            create_tables(app, context.ledger)
            outage.over()
            if not has_started:
                log.info("worker started", concurrency=concurrency, heartbeat=heartbeat)
                has_started = True
            if asyncio.run(
                _run_until_stopped(app, context, concurrency, heartbeat, handlers.stopping)
            ):
                break
            outage.failed("its connections were closed")
        except (ConnectorException, psycopg.Error, LedgerError) as error:
            outage.failed(root_cause(error))
        time.sleep(min(heartbeat, _MAX_RETRY_DELAY))
    log.info("worker stopped")


async def _run_until_stopped(
    app: App, context: HarvestContext, concurrency: int, heartbeat: float, stopping: threading.Event
) -> bool:
    """Work until asked to stop, then return True; False if Procrastinate's worker ended by itself,
    e.g. without a database.
    """
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(concurrency + 2))
    recovery = Recovery(app, context, heartbeat * _MISSED_HEARTBEATS)
    async with app.open_async():
        # Procrastinate's worker prunes lost workers, whose ids are logged first.
        await recovery.try_recover()
        looking = asyncio.create_task(_recover_repeatedly(recovery, heartbeat))
        working = asyncio.create_task(
            app.run_worker_async(
                concurrency=concurrency,
                fetch_job_polling_interval=heartbeat,
                update_heartbeat_interval=heartbeat,
                stalled_worker_timeout=heartbeat * _MISSED_HEARTBEATS,
                delete_jobs="always",
                install_signal_handlers=False,
            )
        )

        def stop() -> None:
            stopping.set()
            working.cancel()  # it finishes the started runs

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        try:
            with suppress(asyncio.CancelledError):
                await working
        finally:
            looking.cancel()
    return stopping.is_set()


@dataclass(slots=True)
class Recovery:
    """Requeues the jobs of lost workers, which sent no heartbeat for *silence* seconds.

    A run holds its source's lock. A job of a lost worker is requeued when that lock is free, and so
    is a job whose lock has been free for *silence* seconds: its worker lives, but could not store
    the end of the run. The connections of a lost worker that is frozen are ended, which frees it.
    """

    app: App
    context: HarvestContext
    silence: float
    _free_since: dict[int, float] = field(default_factory=dict)
    _frozen: set[int] = field(default_factory=set)  # jobs whose frozen worker was logged
    _outage: Outage = field(
        default_factory=lambda: Outage(
            "cannot check for lost workers", "checking for lost workers again"
        )
    )

    async def try_recover(self) -> None:
        """Recover; log any error, since the next attempt follows."""
        [error] = await asyncio.gather(self.recover(), return_exceptions=True)
        if error is None:
            self._outage.over()
        else:
            self._outage.failed(f"{type(error).__name__}: {root_cause(error)}")

    async def recover(self) -> None:
        """Requeue the jobs of lost workers."""
        manager = self.app.job_manager
        started = await manager.list_jobs_async(status=Status.DOING.value)
        jobs = {job.id: job for job in started if job.lock and job.id is not None}
        stalled = await manager.get_stalled_jobs(seconds_since_heartbeat=self.silence)
        orphans = {job.id for job in stalled if job.id is not None}
        names = {source_lock_name(str(job.lock)) for job in jobs.values()}
        locked = (
            await asyncio.to_thread(self.context.ledger.locked_names, names) if names else set()
        )
        now = time.monotonic()
        self._free_since = {
            number: self._free_since.get(number, now)
            for number, job in jobs.items()
            if source_lock_name(str(job.lock)) not in locked
        }
        for number, since in self._free_since.items():
            if number in orphans or now - since > self.silence:
                await asyncio.to_thread(self._requeue, jobs[number], asyncio.get_running_loop())
        frozen = {
            number: jobs[number] for number in orphans & jobs.keys() - self._free_since.keys()
        }
        self._frozen &= frozen.keys()
        for job in frozen.values():
            await asyncio.to_thread(self._end_connections, job)

    def _end_connections(self, job: Job) -> None:
        """Log that the worker of a job is frozen; if it was already so at the last attempt, end its
        connections, so that the next attempt requeues the job.

        After a database that hung, the worker has the time between two attempts for a heartbeat.
        """
        source = str(job.lock)
        if job.id in self._frozen:
            self.context.ledger.end_frozen_worker(source_lock_name(source), self.silence)
        elif job.id is not None:
            self._frozen.add(job.id)
            log.warning(
                "worker heartbeat lost, but it is connected; its connections are ended if it stays silent",
                source=source,
                worker=job.worker_id,
                job=job.id,
                action="stop that worker if the run is not requeued soon",
            )

    def _requeue(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Requeue a job while holding its source's lock, so that no other worker starts its run
        meanwhile.
        """
        source = str(job.lock)
        with suppress(SourceLockedError), source_lock(source, self.context):
            run = self.context.ledger.open_run(source)
            asyncio.run_coroutine_threadsafe(_requeue_job(self.app, job), loop).result()
            details = {"run": run.id, "pages": run.pages, "records": run.fetched} if run else {}
            log.warning(
                "worker heartbeat lost; run requeued",
                source=source,
                worker=job.worker_id,
                job=job.id,
                **details,
            )


async def _recover_repeatedly(recovery: Recovery, heartbeat: float) -> None:
    while True:
        await asyncio.sleep(heartbeat)
        await recovery.try_recover()


async def _requeue_job(app: App, job: Job) -> None:
    """Requeue a job that lost its worker.

    If the source's next job is queued already, the lost job is removed: the next one resumes its
    run.
    """
    try:
        await app.job_manager.retry_job(job)
    except UniqueViolation:
        await app.job_manager.finish_job(job, Status.ABORTED, delete_job=True)
