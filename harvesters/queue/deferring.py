"""Deferring: a schedule that only queues what is due, for workers to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from harvesters.ledger.decisions import Errand
from harvesters.queue.jobs import Deferrer, lay_out, queue
from harvesters.runs.means import Means
from harvesters.runs.timetable import last_due
from harvesters.source import Source

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Deferring:
    """Queues runs in the database of *ledger*."""

    means: Means
    ledger: str

    def prepare(self) -> None:
        """Make the queue's tables where they are missing."""
        lay_out(queue(self.ledger), self.means.ledger)

    def harvest(self, source: Source) -> None:
        """Queue the run of *source* that is due now; of several schedules one does."""
        due = last_due(source.every, self.means.now())
        if due is not None:
            self._tell(source.name, self._put(lambda it: it.due(source.name, int(due.timestamp()))))

    def go_on(self, source: Source) -> None:
        """Queue a run that quiet hours put off."""
        at = int(self.means.now().replace(second=0).timestamp())
        self._tell(source.name, self._put(lambda it: it.due(source.name, at)))

    def errand(self, it: Errand) -> None:
        """Queue a run that a person asked for."""
        self._tell(it.source, self._put(lambda to: to.errand(it.source, it.id)))

    def _put(self, put: Callable[[Deferrer], Awaitable[bool]]) -> bool:
        async def all_of_it() -> bool:
            app = queue(self.ledger)
            async with app.open_async():
                return await put(Deferrer(app))

        return asyncio.run(all_of_it())

    def _tell(self, source: str, done: bool) -> None:
        log.info("run queued" if done else "run is queued already", source=source)
