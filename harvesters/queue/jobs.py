"""Jobs: a run as it waits in the queue of Procrastinate, in the ledger's own PostgreSQL (https://procrastinate.readthedocs.io/).

A source's name is its job's lock, so that two of its jobs never run at once, and a job's due time is kept, so that however many
schedules there are each run is queued once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from procrastinate import App, PsycopgConnector, RetryStrategy, exceptions
from sqlalchemy.engine import make_url

from harvesters.errors import BusyError, LedgerError
from harvesters.ledger.door import Door
from harvesters.ledger.locks import attentive

HARVEST, ERRAND = "harvest", "errand"
_LAYOUT = "layout of the queue"
_BUSY = RetryStrategy(max_attempts=40, wait=5, retry_exceptions=[BusyError])  # until the server frees the lock of a worker it lost

Harvest = Callable[[str, bool], None]  # a source's name, and whether all of it is read
Errand = Callable[[int], None]  # its number in the ledger


def address(ledger: str) -> str:
    """Give the ledger's database as libpq knows it. Raises LedgerError where it is no PostgreSQL one."""
    url = make_url(ledger)
    if url.get_backend_name() != "postgresql":
        raise LedgerError("workers share a PostgreSQL ledger; set STOCKTAKE_LEDGER to one, such as postgresql+psycopg://user@host/name")
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def queue(ledger: str, harvest: Harvest = lambda *_: None, errand: Errand = lambda _: None) -> App:
    """Give the queue in the ledger's database with what is done for each of its jobs."""
    app = App(connector=PsycopgConnector(conninfo=address(ledger), kwargs=attentive()))

    @app.task(name=HARVEST, retry=_BUSY)
    def _harvest(source: str, full: bool = False, timestamp: int = 0) -> None:
        harvest(source, full)

    @app.task(name=ERRAND, retry=_BUSY)
    def _errand(number: int) -> None:
        errand(number)

    return app


def lay_out(app: App, ledger: Door) -> None:
    """Make the queue's tables where they are missing; whoever comes at the same time waits."""
    with ledger.exclusive(_LAYOUT, wait=True), ledger.transaction() as connection:
        there = connection.scalar(sa.text("SELECT to_regclass('procrastinate_jobs')"))
        if there is None:
            with app.open():
                app.schema_manager.apply_schema()


@dataclass(frozen=True, slots=True)
class Deferrer:
    """Puts runs into the queue of *app*, which is open."""

    app: App
    _known: dict[str, Any] = field(default_factory=dict)

    async def due(self, source: str, at: int) -> bool:
        """Queue the run of a source that is due *at* (seconds since 1970); False where it waits already, or was queued by another."""
        task = self.app.configure_task(HARVEST, lock=source, queueing_lock=source)
        job = task.make_new_job(source=source, timestamp=at)
        try:
            return await self.app.job_manager.defer_periodic_job(job, source, at) is not None
        except exceptions.AlreadyEnqueued:
            return False

    async def errand(self, source: str, number: int) -> bool:
        """Queue a run that a person asked for; False where it waits already."""
        task = self.app.configure_task(ERRAND, lock=source, queueing_lock=f"errand {number}")
        try:
            await task.defer_async(number=number)
        except exceptions.AlreadyEnqueued:
            return False
        return True


async def resume(app: App, silence: float) -> Sequence[int]:
    """Put the jobs of workers that were not heard of for *silence* seconds back into the queue; give their numbers."""
    found = []
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=silence):
        if job.id is not None:
            await app.job_manager.retry_job(job)
            found.append(job.id)
    return found
