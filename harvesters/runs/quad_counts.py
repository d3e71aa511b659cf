"""Balances: the quads that journal entries add and take away, and whether a run's account closes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import SEEN, TOMBSTONED, Outcome, Run
from harvesters.runs.context import HarvestContext
from journal.entry import Entry


@dataclass(slots=True)
class QuadCount:
    """The quads of one entry, counted as its rows pass."""

    added: int = 0
    removed: int = 0

    @property
    def net(self) -> int:
        """Give how many quads more there are afterwards."""
        return self.added - self.removed

    def count(self, blocks: Iterable[str]) -> Iterator[str]:
        """Give the blocks on, each counted; a block's deletions stand before its additions."""
        for block in blocks:
            rows = block.count("\n") + 1
            removed = block.count("\nD ") + 1 if block.startswith("D ") else 0
            self.added += rows - removed
            self.removed += removed
            yield block

    @classmethod
    def from_entry(cls, entry: Entry) -> QuadCount:
        """Count an entry that is written."""
        tally = cls()
        for line in entry.lines():
            tally.added += line.startswith(b"A ")
            tally.removed += line.startswith(b"D ")
        return tally


def cumulative_quads(upto: int, means: HarvestContext) -> int:
    """Give how many quads a store holds of all entries up to number *upto*; what was not counted yet is counted once."""
    number, after = means.ledger.balance(upto)
    for entry in means.journal.entries(after=number):
        if entry.number > upto:
            break
        tally = QuadCount.from_entry(entry)
        after += tally.net
        means.ledger.set_balance(entry.number, tally.added, tally.removed, after)
    return after


def inconsistencies(run: Run, ledger: Ledger) -> list[str]:
    """Tell which sums of a settled run's account are wrong; none where it closes.

    What was counted as it came must be what is listed by outcome, and what is published now must be what was published before
    with what the run brought and took.
    """
    listed, told = ledger.outcomes(run), run.counts
    came, gone = (sum(listed[outcome] for outcome in outcomes) for outcomes in (SEEN, TOMBSTONED))
    after = told.get("published_before", 0) + listed[Outcome.NEW] + listed[Outcome.REIDENTIFIED] - gone
    sums = [
        ("records that came", run.fetched, came, "by outcome"),
        ("records published", after, ledger.count_published(run.source), "in the ledger"),
        *((f"{outcome.value} records", told.get(outcome.value, 0), count, "listed") for outcome, count in listed.items()),
    ]
    wrong = [f"{one:,} {what} and {other:,} {where}" for what, one, other, where in sums if one != other]
    return [f"the account does not close: {text}; please report it" for text in wrong]
