"""Process pages of records: compare them with what is published, map and validate the rest, and stage the results in order."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any, Protocol

from harvesters.errors import ValidationCrashError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Outcome, RecordState, Run, StagedRecord, StoredRecord
from harvesters.network.fetch import Fetch
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record, SourcePosition
from harvesters.pipeline.record_processor import DIGEST, SAME, Case, Craft
from harvesters.pipeline.worker_pool import Bench, Work
from harvesters.protocols.registry import Protocol as SourceProtocol

Item = Record[Any] | DeletedRecord | InvalidRecord

RESUMED = "resumed"  # among a run's counts until it is planned: how often it was resumed since its last page
TWICE = "twice"  # likewise: how many records came on two pages of a list that moves


@dataclass(frozen=True, slots=True)
class Refiner:
    """What turns one run's pages into drafts: the *craft* for its records, and the *bench* where they are worked on.

    *refused* are the digests of records that are not worked on, each with the reason.
    """

    craft: Craft
    bench: Bench
    refused: Mapping[str, str] = field(default_factory=dict)

    def sift(self, its: Page[Any], known: Mapping[str, StoredRecord], met: set[str], stands: Mapping[str, bytes] | None = None) -> Batch:
        """Settle what is known at once and send the rest to the bench; *met* are the keys that this run has had, and grows.

        *stands* are the present descriptions of published records, where archived ones are mapped again.
        """
        drafts: list[StagedRecord | None] = []
        cases: list[Case] = []
        twice = 0 if its.again else sum(item.key in met for item in its.items if item.key is not None)
        repeats = 0 < twice == len(its.items)
        for item in its.items:
            if its.again and item.key in met:
                continue
            found = self._sift_one(item, known, met, its.at, stands)
            if isinstance(found, Case):
                cases.append(found)
            if found is not None:
                drafts.append(None if isinstance(found, Case) else found)
            if item.key is not None:
                met.add(item.key)
        return Batch(its, drafts, self.bench.work(self.craft, cases), repeats, twice if its.moves else 0)

    def _sift_one(
        self, item: Item, known: Mapping[str, StoredRecord], met: set[str], at: SourcePosition | None, stands: Mapping[str, bytes] | None
    ) -> StagedRecord | Case | None:
        if item.key is not None and item.key in met:
            return StagedRecord(
                item.key, Outcome.DUPLICATE, reason=f"the key {item.key!r} came before in this run; the first one counts", position=at
            )
        before = known.get(item.key) if item.key is not None else None
        if self.craft.task.anew and (isinstance(item, DeletedRecord) or (before and before.state is not RecordState.PUBLISHED)):
            return None  # what is not at its source any more stays as it is
        if isinstance(item, InvalidRecord):
            return StagedRecord(item.key, Outcome.UNREADABLE, reason=item.reason, position=at)
        if isinstance(item, DeletedRecord):
            there = before is not None and not before.is_deleted
            return StagedRecord(
                item.key, Outcome.DELETED if there else Outcome.ABSENT, first_seen=before.first_seen if before else None, position=at
            )
        digest = blake2b(item.raw, key=self.craft.task.run.rules.encode()[:64], digest_size=DIGEST).hexdigest()
        if before and before.digest == digest and not before.is_deleted and not self.craft.task.anew:
            return StagedRecord(item.key, SAME[before.state], digest, position=at)
        if digest in self.refused:
            return StagedRecord(item.key, Outcome.UNREADABLE, digest, reason=self.refused[digest], position=at)
        return Case(item, digest, before, at, (stands or {}).get(item.key))

    def finish(self, batch: Batch) -> list[StagedRecord]:
        """Wait for the bench and give the page's drafts in their order.

        Raises ValidationCrashError where some of its records end every process that works on them.
        """
        try:
            worked = iter(batch.work.drafts())
        except ValidationCrashError as error:
            raise ValidationCrashError(f"{self.craft.task.source.name}: {error}") from error
        return [draft or next(worked) for draft in batch.drafts]


@dataclass(frozen=True, slots=True)
class Batch:
    """A page on its way over the bench, None in the place of each record that is there.

    *repeats* tells that the run had met all its records before; *twice* counts those that it had met on earlier pages of a list that moves.
    """

    page: Page[Any]
    drafts: list[StagedRecord | None]
    work: Work
    repeats: bool = False
    twice: int = 0


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


NextPage = Callable[[], tuple[int, Mapping[str, int]]]


class Reader(Protocol):
    """Collects one run's pages: ``run`` is as its last checkpoint says, ``met`` counts pages that repeat, and totals that shrink."""

    @property
    def run(self) -> Run: ...  # noqa: D102
    @property
    def met(self) -> Counter[str]: ...  # noqa: D102
    def collect(self) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class LocalReader:
    """Collects one run's pages in this process."""

    desk: Desk
    protocol: SourceProtocol
    client: Fetch
    since: datetime | None
    page: NextPage

    @property
    def run(self) -> Run:
        """Return the run as its last checkpoint says."""
        return self.desk.run

    @property
    def met(self) -> Counter[str]:
        """Return how many pages repeated, and how often the total shrank."""
        return self.desk.met

    def collect(self) -> None:
        """Stage every page; raise HarvestError as the protocol does."""
        task = self.desk.refiner.craft.task
        for page in self.protocol.collect(task.source, self.client, self.since, self.run.cursor):
            archived, requests = self.page()
            self.desk.take(archived_page(page) if task.anew else page, archived, requests)
        self.desk.clear()
