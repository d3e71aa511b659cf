"""Worker: takes runs from the queue, some at a time, until it is asked to stop; then it ends those that it has begun.

A worker tells the database that it lives. The jobs of one that is not heard of go back into the queue, and who takes such a run up
goes on at its last checkpoint. A worker that has lost its lock ends at once: the run is another's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog
from procrastinate import App

from harvesters.errors import BusyError, FencedError, HarvestError, QuietError
from harvesters.queue.jobs import lay_out, queue, resume
from harvesters.runs import errands
from harvesters.runs.attempt import attempt
from harvesters.runs.means import Means
from harvesters.runs.plan import Plan
from harvesters.source import Source, load_all
from journal.errors import JournalError

FENCED = 75  # the exit code (EX_TEMPFAIL of sysexits.h) of a worker whose run another may have taken up
_SILENT = 3  # heartbeats that may be missed

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker does for the jobs; *cards* is the folder of the cards, read anew for each job."""

    means: Means
    cards: Path

    def harvest(self, name: str, full: bool) -> None:
        """Do a run that was due; raises BusyError, upon which the job is tried again."""
        source = next((card for card in load_all(self.cards) if card.name == name), None)
        if source is None:
            log.error("a run was left out: there is no such card", source=name, cure=f"put {name}.toml into {self.cards}")
            return
        try:
            self._attempt(source, full)
        except BusyError:
            raise
        except QuietError as error:
            log.warning("run put off", source=name, reason=str(error))
        except (HarvestError, JournalError) as error:
            log.error("run failed", source=name, reason=str(error))

    def errand(self, number: int) -> None:
        """Do a run that a person asked for."""
        it = self.means.ledger.errand(number)
        if it is not None:
            errands.run(it, self._cards(), self.means, self._attempt)

    def _cards(self) -> Sequence[Source]:
        return load_all(self.cards)

    def _attempt(self, source: Source, full: bool) -> Plan:
        try:
            return attempt(source, self.means, full=full)
        except FencedError as error:
            log.critical("this worker ends", source=source.name, reason=str(error))
            os._exit(FENCED)  # nothing more may be said of a job that is another's, so the queue is not told either


def work(means: Means, ledger: str, cards: Path, concurrency: int, heartbeat: float) -> None:
    """Take *concurrency* runs at a time from the queue in *ledger* until SIGTERM or SIGINT; *heartbeat* in seconds."""
    doing = Work(means, cards)
    app = queue(ledger, doing.harvest, doing.errand)
    lay_out(app, means.ledger)
    log.info("worker began", concurrency=concurrency, heartbeat=heartbeat)
    asyncio.run(_work(app, concurrency, heartbeat))
    log.info("worker ended")


async def _work(app: App, concurrency: int, heartbeat: float) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(concurrency + 1))
    async with app.open_async():
        looking = asyncio.create_task(_look(app, heartbeat))
        try:
            await app.run_worker_async(
                concurrency=concurrency,
                fetch_job_polling_interval=heartbeat,
                update_heartbeat_interval=heartbeat,
                stalled_worker_timeout=heartbeat * _SILENT,
                delete_jobs="always",
            )
        finally:
            looking.cancel()


async def _look(app: App, heartbeat: float) -> None:
    """Look for the jobs of workers that died."""
    while True:
        if found := await resume(app, heartbeat * _SILENT):
            log.warning("a worker is not heard of; its runs are taken up", jobs=len(found))
        await asyncio.sleep(heartbeat)
