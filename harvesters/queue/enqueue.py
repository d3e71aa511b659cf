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
from harvesters.queue.jobs import Deferrer, lay_out, queue
from harvesters.runs.context import Means
from harvesters.runs.due_times import last_due
from harvesters.source import Source
from journal.outage import Outage, root_cause

_PAUSE = 5.0  # seconds between two tries while the database does not answer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Deferring:
    """Queues runs in the database of *ledger*; while that does not answer it waits, until *stopping* is set."""

    means: Means
    ledger: str
    stopping: threading.Event = field(default_factory=threading.Event)

    def prepare(self) -> None:
        """Make the queue's tables where they are missing, and queue what a schedule that ended too soon had taken up."""
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # it logs each failed try; we log one line with its cause
        lay_out(queue(self.ledger), self.means.ledger)
        for it in self.means.ledger.claimed_requests():
            self.errand(it)

    def harvest(self, source: Source) -> None:
        """Queue the run of *source* that is due now; of several schedules one does."""
        due = last_due(source.every, self.means.now())
        if due is not None:
            self._put(source.name, lambda it: it.due(source.name, int(due.timestamp())))

    def go_on(self, source: Source) -> None:
        """Queue a run that quiet hours put off."""
        at = int(self.means.now().replace(second=0).timestamp())
        self._put(source.name, lambda it: it.due(source.name, at))

    def errand(self, it: RunRequest) -> None:
        """Queue a run that a person asked for."""
        self._put(it.source, lambda to: to.errand(it.source, it.id))

    def _put(self, source: str, put: Callable[[Deferrer], Awaitable[bool]]) -> None:
        """Queue a run, and wait for the database where it does not answer: a run that is due must not be lost with it."""

        async def connect_and_put() -> bool:
            app = queue(self.ledger)
            async with app.open_async():
                return await put(Deferrer(app))

        outage = Outage("a run cannot be queued: the database does not answer", "the database answers again")
        while not self.stopping.is_set():
            try:
                with self.means.ledger.transaction():  # it says what is wrong at once, where the queue's connections wait half a minute
                    pass
                queued = asyncio.run(connect_and_put())
                outage.over(source=source)
                log.info("run queued" if queued else "run already queued", source=source)
                return
            except (ConnectorException, psycopg.Error, LedgerError) as error:
                outage.failed(root_cause(error), source=source)
            self.stopping.wait(_PAUSE)
