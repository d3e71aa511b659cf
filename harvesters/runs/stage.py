"""Staging: pages go to the judges in order and come back as drafts, each page kept with the checkpoint after it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Run
from harvesters.page_model import Page
from harvesters.runs.plan import RESUMED, TWICE
from harvesters.runs.refine import Batch, Refiner

_AHEAD = 4  # pages that wait for the bench while the next are read, at least: enough for one worker, and soon kept
_RECORDS = 400  # records that wait for each worker beyond that: what it has, and what it takes next


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; *claimed* is what the source says it has, None where it does not say."""

    source: str
    pages: int
    records: int
    claimed: int | None


Watch = Callable[[Progress], None]


@dataclass(slots=True)
class Desk:
    """Where a run's pages wait for their verdicts; *run* is as its last checkpoint says."""

    ledger: Ledger
    refiner: Refiner
    run: Run
    watch: Watch
    _waiting: deque[tuple[Batch, int]] = field(default_factory=deque)
    _records: int = field(init=False)
    _before: Counter[str] = field(init=False)
    met: Counter[str] = field(default_factory=Counter)  # pages that repeat, and totals that shrink, by the names of their outcomes

    def __post_init__(self) -> None:
        """Count what a run that was cut off has staged."""
        self._records = self.ledger.count_staged(self.run)
        self._before = Counter(self.run.network)

    def take(self, page: Page[Any], archived: int, network: Mapping[str, int]) -> None:
        """Take a page in; *archived* is the archive's length when it came, *network* how the requests ended up to it."""
        self.run = replace(self.run, network=dict(self._before + Counter(network) + self.met))
        if page.unchanged:  # the source says that all is as it was: nothing is missing, and nothing is swept
            self.run = replace(self.run, sweep=False)
        keys = [item.key for item in page.items if item.key is not None]
        met = self.ledger.already_staged(self.run, keys)
        met.update(item.key for batch, _ in self._waiting for item in batch.page.items if item.key is not None)
        stands = self.ledger.current_descriptions(self.run.source, keys) if self.refiner.craft.task.anew else None
        self._waiting.append((self.refiner.sift(page, self.ledger.stored_records(self.run.source, keys), met, stands), archived))
        while self._waiting and (self._waiting[0][0].work.ready or self._is_far_ahead()):
            self._keep(*self._waiting.popleft())

    def _is_far_ahead(self) -> bool:
        """Return whether so much waits that the first page must be waited for; one that is ready is kept at once, as a checkpoint."""
        return len(self._waiting) > _AHEAD and sum(len(batch.drafts) for batch, _ in self._waiting) > _RECORDS * self.refiner.bench.hands

    def clear(self) -> None:
        """Keep all that still waits."""
        while self._waiting:
            self._keep(*self._waiting.popleft())

    def _keep(self, batch: Batch, archived: int) -> None:
        drafts, page, run = self.refiner.finish(batch), batch.page, self.run
        claimed = max((number for number in (page.claimed, run.claimed) if number is not None), default=None)
        fetched, doubt = run.fetched + len(drafts), run.doubt or _doubt(batch, run)
        noted = Counter({"repeated": int(batch.repeats), "shrunk": int(_shrunk(page, run))})
        self.met += noted
        run = replace(run, network=dict(Counter(run.network) + noted))
        counts = {**run.counts, TWICE: run.counts.get(TWICE, 0) + batch.twice, RESUMED: 0}
        run = replace(run, cursor=page.cursor, pages=run.pages + 1, claimed=claimed, archived=archived, counts=counts)
        self.run = replace(run, fetched=fetched, doubt=doubt)
        self.ledger.stage(self.run, drafts, self._records)
        self._records += len(drafts)
        self.watch(Progress(run.source, self.run.pages, self._records, claimed))


def archived_page(page: Page[Any]) -> Page[Any]:
    """Return a page that was read from the archive, without what its source said of the list then."""
    return replace(page, cursor=None, claimed=None, unchanged=False, again=True, doubt=None, moves=False)


def _shrunk(page: Page[Any], run: Run) -> bool:
    """Tell whether a page claims fewer records than the run's earlier ones."""
    return page.claimed is not None and run.claimed is not None and page.claimed < run.claimed


def _doubt(batch: Batch, run: Run) -> str | None:
    """Tell why a run with this page cannot be a complete sweep, None where nothing speaks against it."""
    page, number = batch.page, run.pages + 1
    if page.doubt:
        return page.doubt
    if batch.repeats:
        return f"page {number} brought only records that had come before"
    if _shrunk(page, run):
        return f"the source claimed {run.claimed:,} records, and {page.claimed:,} on page {number}"
    return None
