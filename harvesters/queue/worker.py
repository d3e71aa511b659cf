"""Worker: takes runs from the queue, some at a time, until it is asked to stop; then it ends those that it has begun.

A worker sends heartbeats to the database. The jobs of one whose heartbeat is lost go back into the queue, and who takes such a job goes on
at the run's last checkpoint. A worker that has lost the lock of a run ends at once: the run is another's. One that has no run waits
until the database answers again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import structlog
from procrastinate import App
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job

from harvesters.errors import HarvestError, LedgerError, LockLostError, QuietHoursError, SourceLockedError
from harvesters.ledger.database import wait_for_database
from harvesters.queue.jobs import create_app, create_tables, orphaned_jobs, requeue_job, started_jobs
from harvesters.runs import run_requests
from harvesters.runs.context import HarvestContext
from harvesters.runs.locks import source_lock, source_lock_name
from harvesters.runs.plan import Plan
from harvesters.runs.run_logging import harvest_and_log
from harvesters.source import Source, load_all
from journal.errors import JournalError
from journal.outage import Outage, root_cause

LOCK_LOST_EXIT = 75  # the exit code (EX_TEMPFAIL of sysexits.h) of a worker whose run another may have taken up
_MISSED_HEARTBEATS = 3  # heartbeats that may be missed
_SILENCED_LOGGERS = (
    "procrastinate.worker.worker",
    "procrastinate.utils",
    "psycopg.pool",
)  # they log each failed try; we log one line with its cause
_MAX_RETRY_DELAY = 5.0  # seconds at most between two tries to reach the database

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JobHandlers:
    """What a worker does for the jobs; *cards* is the folder of the cards, read anew for each job."""

    context: HarvestContext
    source_dir: Path
    ledger: str
    stopping: threading.Event = field(default_factory=threading.Event)

    def harvest(self, name: str, full: bool, due: int) -> None:
        """Do a run that was due at *due* (seconds since 1970); raises SourceLockedError, upon which the job is queued again."""
        source = next((card for card in load_all(self.source_dir) if card.name == name), None)
        if source is None:
            log.error("run skipped: no source definition", source=name, action=f"put {name}.toml into {self.source_dir}")
            return
        try:
            if run := self._find_run_since(name, due):
                log.info("run skipped: the source was harvested since it was due", source=name, run=run)
                return
            self._harvest(source, full)
        except SourceLockedError:
            raise
        except QuietHoursError as error:
            log.warning("run postponed", source=name, reason=str(error))
        except (HarvestError, JournalError) as error:
            log.error("run failed", source=name, reason=str(error))

    def run_requested(self, number: int, again: bool) -> None:
        """Do a run that a person asked for, unless it is done; *again* where a worker that was lost had begun it."""
        it = self.context.ledger.run_request(number)
        if it is None or it.run is not None:
            return
        if again and (run := run_requests.find_run(it, self.context)):
            self.context.ledger.complete_request(number, run.id)
            return
        run_requests.execute_request(it, self._load_sources(), self.context, self._harvest)

    def _find_run_since(self, source: str, due: int) -> str | None:
        """Return the run that was begun after *due* and has ended: the job's own, where its worker was lost after the run's end."""
        last = self.context.ledger.last_run(source, run_requests.ENDED_STATES, fetched_only=True)
        done = due and last and last.started.timestamp() >= due and self.context.ledger.open_run(source) is None
        return last.id if done and last else None

    def _load_sources(self) -> Sequence[Source]:
        return load_all(self.source_dir)

    def _harvest(self, source: Source, full: bool) -> Plan:
        try:
            return harvest_and_log(source, self.context, full=full)
        except LockLostError as error:
            log.critical("this worker ends", source=source.name, reason=str(error), code=LOCK_LOST_EXIT, action="start it again")
            wait_for_database(self.ledger, self.stopping)  # Podman restarts nothing while a container that it depends on is down
            os._exit(LOCK_LOST_EXIT)  # nothing more may be said of a job that is another's, so the queue is not told either


def run_worker(context: HarvestContext, ledger: str, cards: Path, concurrency: int, heartbeat: float) -> None:
    """Take *concurrency* runs at a time from the queue in *ledger* until SIGTERM or SIGINT; *heartbeat* in seconds."""
    for name in _SILENCED_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    doing = JobHandlers(context, cards, ledger)
    outage = Outage("the database does not answer; the worker waits for it", "the database answers again")
    began = False
    while True:
        signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))  # a closed event loop leaves none
        try:
            app = create_app(ledger, doing.harvest, doing.run_requested)
            create_tables(app, context.ledger)
            outage.over()
            if not began:
                log.info("worker started", concurrency=concurrency, heartbeat=heartbeat)
                began = True
            if asyncio.run(_run_until_stopped(app, context, concurrency, heartbeat, doing.stopping)):
                break
            outage.failed("its connections were closed")
        except (ConnectorException, psycopg.Error, LedgerError) as error:
            outage.failed(root_cause(error))
        time.sleep(min(heartbeat, _MAX_RETRY_DELAY))
    log.info("worker stopped")


async def _run_until_stopped(app: App, context: HarvestContext, concurrency: int, heartbeat: float, stopping: threading.Event) -> bool:
    """Work until asked to stop, and return True then; False where Procrastinate's worker ended by itself, as it does without a database."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(concurrency + 2))
    recovery = Recovery(app, context, heartbeat * _MISSED_HEARTBEATS)
    async with app.open_async():
        await recovery.try_recover()  # before Procrastinate's worker forgets those that it has lost, whose numbers the log names
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
            working.cancel()  # upon which it ends the runs that it has begun

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
    """Finds jobs that lost their workers; *silence* is how many seconds a worker may send no heartbeat.

    While a run lasts it holds its source's lock. A job whose worker is not heard of goes back when that lock is free, and so does one whose
    lock has been free for *silence* seconds: its worker lives, but could not write down that the run had ended.
    """

    app: App
    context: HarvestContext
    silence: float
    _free_since: dict[int, float] = field(default_factory=dict)
    _outage: Outage = field(default_factory=lambda: Outage("lost workers cannot be looked for", "lost workers are looked for again"))

    async def try_recover(self) -> None:
        """Look, and log whatever goes wrong: the next look follows."""
        [fault] = await asyncio.gather(self.recover(), return_exceptions=True)
        if fault is None:
            self._outage.over()
        else:
            self._outage.failed(f"{type(fault).__name__}: {root_cause(fault)}")

    async def recover(self) -> None:
        """Requeue the jobs that have lost their workers."""
        jobs = {job.id: job for job in await started_jobs(self.app) if job.id is not None}
        orphans = await orphaned_jobs(self.app, self.silence)
        names = {source_lock_name(str(job.lock)) for job in jobs.values()}
        held = await asyncio.to_thread(self.context.ledger.locked_names, names) if names else set()
        now = time.monotonic()
        self._free_since = {
            number: self._free_since.get(number, now) for number, job in jobs.items() if source_lock_name(str(job.lock)) not in held
        }
        for number, since in self._free_since.items():
            if number in orphans or now - since > self.silence:
                await asyncio.to_thread(self._requeue, jobs[number], asyncio.get_running_loop())

    def _requeue(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Requeue a job while its source's lock is held, so that nobody has begun its run meanwhile."""
        source = str(job.lock)
        with suppress(SourceLockedError), source_lock(source, self.context):
            run = self.context.ledger.open_run(source)
            asyncio.run_coroutine_threadsafe(requeue_job(self.app, job), loop).result()
            left = {"run": run.id, "pages": run.pages, "records": run.fetched} if run else {}
            log.warning("worker heartbeat lost; run requeued", source=source, worker=job.worker_id, job=job.id, **left)


async def _recover_repeatedly(recovery: Recovery, heartbeat: float) -> None:
    """Look for jobs that lost their workers, again and again."""
    while True:
        await asyncio.sleep(heartbeat)
        await recovery.try_recover()
