"""Refining: a page of records becomes drafts: sifted by key and digest, the rest mapped, described and judged at the bench."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from harvesters.errors import ValidationCrashError
from harvesters.ledger.models import Outcome, RecordState, StagedRecord, StoredRecord
from harvesters.page_model import Gone, Page, Position, Record, Unreadable
from harvesters.runs.bench import Bench, Work
from harvesters.runs.craft import DIGEST, SAME, Case, Craft

Item = Record[Any] | Gone | Unreadable


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
        self, item: Item, known: Mapping[str, StoredRecord], met: set[str], at: Position | None, stands: Mapping[str, bytes] | None
    ) -> StagedRecord | Case | None:
        if item.key is not None and item.key in met:
            return StagedRecord(
                item.key, Outcome.DUPLICATE, reason=f"the key {item.key!r} came before in this run; the first one counts", position=at
            )
        before = known.get(item.key) if item.key is not None else None
        if self.craft.task.anew and (isinstance(item, Gone) or (before and before.state is not RecordState.PUBLISHED)):
            return None  # what is not at its source any more stays as it is
        if isinstance(item, Unreadable):
            return StagedRecord(item.key, Outcome.UNREADABLE, reason=item.reason, position=at)
        if isinstance(item, Gone):
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
