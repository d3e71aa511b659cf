"""Readers: a run's pages are collected and staged, in a process of its own or in this one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from harvesters.ledger.models import Run
from harvesters.network.fetch import Fetch
from harvesters.protocols.registry import Protocol as SourceProtocol
from harvesters.runs.craft import Task, prepared
from harvesters.runs.isolation import IsolatedReader
from harvesters.runs.means import Means
from harvesters.runs.refine import Refiner
from harvesters.runs.stage import Desk, Watch, archived_page

NextPage = Callable[[], tuple[int, Mapping[str, int]]]


class Reader(Protocol):
    """Collects one run's pages: ``run`` is as its last checkpoint says, ``met`` counts pages that repeat, and totals that shrink."""

    @property
    def run(self) -> Run: ...  # noqa: D102
    @property
    def met(self) -> Counter[str]: ...  # noqa: D102
    def collect(self) -> None: ...  # noqa: D102


def page_reader(
    means: Means, task: Task, protocol: SourceProtocol, client: Fetch, since: datetime | None, page: NextPage, watch: Watch
) -> Reader:
    """Return what collects the pages of *task* by *client*: in a collector process where *means* has some.

    *page* is called for each page before it is staged, and returns the archive's length and the counts of requests so far.
    """
    if means.collectors:
        return IsolatedReader(means.collectors, means.bench, means.ledger, client, task, page, watch, since)
    refiner = Refiner(prepared(task, means.words), means.bench)
    return _LocalReader(Desk(means.ledger, refiner, task.run, watch), protocol, client, since, page)


@dataclass(frozen=True, slots=True)
class _LocalReader:
    """Collects in this process."""

    desk: Desk
    protocol: SourceProtocol
    client: Fetch
    since: datetime | None
    page: NextPage

    @property
    def run(self) -> Run:
        return self.desk.run

    @property
    def met(self) -> Counter[str]:
        return self.desk.met

    def collect(self) -> None:
        task = self.desk.refiner.craft.task
        for page in self.protocol.collect(task.source, self.client, self.since, self.run.cursor):
            archived, requests = self.page()
            self.desk.take(archived_page(page) if task.anew else page, archived, requests)
        self.desk.clear()
