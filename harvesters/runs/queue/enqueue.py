"""Queue due runs for workers instead of executing them in the scheduler."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import psycopg
import structlog
from procrastinate.exceptions import ConnectorException

from harvesters.errors import LedgerError
from harvesters.ledger import operators
from harvesters.ledger.models import RunRequest
from harvesters.runs.context import HarvestContext
from harvesters.runs.queue.jobs import JobQueue, create_app, create_tables
from harvesters.runs.schedule.due_times import last_due
from harvesters.source import Source
from journal.outage import Outage, root_cause

_RETRY_INTERVAL = 5.0  # seconds between two attempts while the database is unavailable

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunEnqueuer:
    """Queues runs in the database of *ledger*; waits while it is unavailable, until *stopping* is
    set.
    """

    context: HarvestContext
    ledger: str
    stopping: threading.Event = field(default_factory=threading.Event)

    def prepare(self) -> None:
        """Create missing tables of the queue, and queue the requests that a crashed scheduler had
        claimed.
        """
        # it logs each attempt; we log one line with the cause
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        create_tables(create_app(self.ledger), self.context.ledger)
        for request in operators.claimed_requests(self.context.ledger):
            self.enqueue_requested(request)

    def enqueue_due(self, source: Source) -> None:
        """Queue the run of *source* that is due now, unless it is retired; of several schedulers
        only one does.
        """
        due = last_due(source.every, self.context.now())
        if due is not None:
            put = partial(_enqueue_due, source=source.name, timestamp=int(due.timestamp()))
            self._enqueue(source.name, put, unless_retired=True)

    def enqueue_resumed(self, source: Source) -> None:
        """Queue a run that quiet hours postponed."""
        timestamp = int(self.context.now().replace(second=0).timestamp())
        self._enqueue(source.name, lambda queue: queue.enqueue_due(source.name, timestamp))

    def enqueue_requested(self, request: RunRequest) -> None:
        """Queue a run that a person requested."""
        self._enqueue(
            request.source, lambda queue: queue.enqueue_requested(request.source, request.id)
        )

    def _enqueue(
        self,
        source: str,
        put: Callable[[JobQueue], Awaitable[bool]],
        *,
        unless_retired: bool = False,
    ) -> None:
        """Queue a run; wait while the database is unavailable, so that no due run is lost."""

        async def connect_and_put() -> bool:
            app = create_app(self.ledger)
            async with app.open_async():
                return await put(JobQueue(app))

        outage = Outage("cannot queue a run: database unavailable", "database available again")
        while not self.stopping.is_set():
            try:
                # fails at once, while the queue's connections wait 30 seconds
                with self.context.ledger.transaction():
                    pass
                if unless_retired and operators.is_retired(self.context.ledger, source):
                    return
                queued = asyncio.run(connect_and_put())
                outage.over(source=source)
                log.info("run queued" if queued else "run already queued", source=source)
                return
            except (ConnectorException, psycopg.Error, LedgerError) as error:
                outage.failed(root_cause(error), source=source)
            self.stopping.wait(_RETRY_INTERVAL)


def _enqueue_due(queue: JobQueue, source: str, timestamp: int) -> Awaitable[bool]:
    return queue.enqueue_due(source, timestamp)
