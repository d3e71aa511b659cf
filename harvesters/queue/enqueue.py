"""Deferring: a schedule that only queues what is due, for workers to do."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import psycopg
import structlog
from procrastinate.exceptions import ConnectorException

from harvesters.errors import LedgerError
from harvesters.ledger.operator_actions import RunRequest
from harvesters.queue.jobs import JobQueue, create_app, create_tables
from harvesters.runs.context import HarvestContext
from harvesters.runs.due_times import last_due
from harvesters.source import Source
from journal.outage import Outage, root_cause

_RETRY_INTERVAL = 5.0  # seconds between two tries while the database does not answer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunEnqueuer:
    """Queues runs in the database of *ledger*; while that does not answer it waits, until *stopping* is set."""

    context: HarvestContext
    ledger: str
    stopping: threading.Event = field(default_factory=threading.Event)

    def prepare(self) -> None:
        """Make the queue's tables where they are missing, and queue what a schedule that ended too soon had taken up."""
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # it logs each failed try; we log one line with its cause
        create_tables(create_app(self.ledger), self.context.ledger)
        for it in self.context.ledger.claimed_requests():
            self.enqueue_requested(it)

    def enqueue_due(self, source: Source) -> None:
        """Queue the run of *source* that is due now; of several schedules one does."""
        due = last_due(source.every, self.context.now())
        if due is not None:
            self._enqueue(source.name, lambda it: it.enqueue_due(source.name, int(due.timestamp())))

    def enqueue_resumed(self, source: Source) -> None:
        """Queue a run that quiet hours put off."""
        at = int(self.context.now().replace(second=0).timestamp())
        self._enqueue(source.name, lambda it: it.enqueue_due(source.name, at))

    def enqueue_requested(self, it: RunRequest) -> None:
        """Queue a run that a person asked for."""
        self._enqueue(it.source, lambda to: to.enqueue_requested(it.source, it.id))

    def _enqueue(self, source: str, put: Callable[[JobQueue], Awaitable[bool]]) -> None:
        """Queue a run, and wait for the database where it does not answer: a run that is due must not be lost with it."""

        async def connect_and_put() -> bool:
            app = create_app(self.ledger)
            async with app.open_async():
                return await put(JobQueue(app))

        outage = Outage("a run cannot be queued: the database does not answer", "the database answers again")
        while not self.stopping.is_set():
            try:
                with self.context.ledger.transaction():  # it says what is wrong at once, where the queue's connections wait half a minute
                    pass
                queued = asyncio.run(connect_and_put())
                outage.over(source=source)
                log.info("run queued" if queued else "run already queued", source=source)
                return
            except (ConnectorException, psycopg.Error, LedgerError) as error:
                outage.failed(root_cause(error), source=source)
            self.stopping.wait(_RETRY_INTERVAL)
