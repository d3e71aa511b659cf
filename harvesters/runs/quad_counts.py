"""Count the quads that journal entries add and remove, and check that a run's numbers add up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import SEEN, TOMBSTONED, Outcome, Run
from harvesters.reasons import Reason
from harvesters.runs.context import HarvestContext
from journal.entry import Entry


@dataclass(slots=True)
class QuadCount:
    """The numbers of quads that one entry adds and removes."""

    added: int = 0
    removed: int = 0

    @property
    def net(self) -> int:
        """Return how many quads more there are after the entry."""
        return self.added - self.removed

    def count(self, blocks: Iterable[str]) -> Iterator[str]:
        """Yield the blocks unchanged and count their rows; in a block, deletions precede additions."""
        for block in blocks:
            rows = block.count("\n") + 1
            removed = block.count("\nD ") + 1 if block.startswith("D ") else 0
            self.added += rows - removed
            self.removed += removed
            yield block

    @classmethod
    def from_entry(cls, entry: Entry) -> QuadCount:
        """Count the rows of a written entry."""
        count = cls()
        for line in entry.lines():
            count.added += line.startswith(b"A ")
            count.removed += line.startswith(b"D ")
        return count


def cumulative_quads(last_entry: int, context: HarvestContext) -> int:
    """Return the number of quads in a store of all entries up to number *last_entry*.

    Entries that were not counted before are counted, and the ledger stores the result.
    """
    number, total = context.ledger.balance(last_entry)
    for entry in context.journal.entries(after=number):
        if entry.number > last_entry:
            break
        count = QuadCount.from_entry(entry)
        total += count.net
        context.ledger.set_balance(entry.number, count.added, count.removed, total)
    return total


def inconsistencies(run: Run, ledger: Ledger) -> list[Reason]:
    """Return a reason for each sum of an ended run that is wrong; an empty list if all add up.

    The records counted while fetching must equal those listed by outcome. The records published now
    must equal those published before, plus those added, minus those removed.
    """
    listed, counts = ledger.outcomes(run), run.counts
    seen, tombstoned = (
        sum(listed[outcome] for outcome in outcomes) for outcomes in (SEEN, TOMBSTONED)
    )
    added = listed[Outcome.NEW] + listed[Outcome.REIDENTIFIED]
    after = counts.get("published_before", 0) + added - tombstoned
    published = ledger.count_published(run.source)
    reasons = []
    if run.fetched != seen:
        reasons.append(
            Reason(
                "inconsistent numbers: %(counted)s records fetched, but %(listed)s listed by "
                "outcome; this is a bug, please report it",
                counted=run.fetched,
                listed=seen,
            )
        )
    if after != published:
        reasons.append(
            Reason(
                "inconsistent numbers: %(counted)s records published, but %(listed)s in the ledger; "
                "this is a bug, please report it",
                counted=after,
                listed=published,
            )
        )
    for outcome, count in listed.items():
        if (counted := counts.get(outcome.value, 0)) != count:
            values = {"outcome": outcome.value, "counted": counted, "listed": count}
            reasons.append(
                Reason(
                    "inconsistent numbers: %(counted)s records counted as %(outcome)s, but %(listed)s "
                    "listed; this is a bug, please report it",
                    **values,
                )
            )
    return reasons
