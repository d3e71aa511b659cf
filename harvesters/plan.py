"""Plans: what a run would change, counted before anything changes, and the guard that holds what looks wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harvesters.ledger.account import Outcome, Run
from harvesters.ledger.book import Ledger
from harvesters.source import Limits

MISSES = 1  # complete sweeps before this one that a vanished record must have missed to be gone


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's account before its commit.

    *vanished* are published records that a sweep did not meet, *before* is what is published now, *held* why a person must
    look, None when the run may commit.
    """

    run: Run
    outcomes: dict[Outcome, int]
    vanished: int
    before: int
    held: str | None = None

    @property
    def fetched(self) -> int:
        """Give the number of records that came, deletions and unreadable ones too."""
        return sum(self.outcomes.values())

    @property
    def complete(self) -> bool:
        """Tell whether this was a sweep that saw all that its source claims."""
        return self.run.sweep and self.short is None

    @property
    def short(self) -> str | None:
        """Tell that a sweep brought less than the source claims, None where it did not."""
        if self.run.sweep and self.run.claimed is not None and self.fetched < self.run.claimed:
            return f"the source claims {self.run.claimed} records and brought {self.fetched}; nothing was taken for deleted"
        return None

    @property
    def counts(self) -> dict[str, int]:
        """Give the account by the names that the ledger, the store and the pages use."""
        told = {"claimed": self.run.claimed} if self.run.claimed is not None else {}
        return {**told, "fetched": self.fetched, **{outcome.value: n for outcome, n in self.outcomes.items()}, "vanished": self.vanished}


def draw(run: Run, ledger: Ledger, limits: Limits) -> Plan:
    """Count what *run* has staged against what is published, and let the guard look at it."""
    outcomes = ledger.outcomes(run)
    vanished = ledger.vanished(run) if run.sweep else 0
    plan = Plan(run, outcomes, vanished, ledger.published(run.source))
    return replace(plan, held=guard(plan, limits))


def guard(plan: Plan, limits: Limits) -> str | None:
    """Tell why *plan* must wait for a person, or None; only a sweep can be short, and growth alone never blocks."""
    if not plan.run.sweep:
        return None
    if plan.fetched == 0:
        return "the source brought nothing; its last good data stays"
    if plan.fetched < limits.expect:
        return f"the source brought {plan.fetched} records where its card expects at least {limits.expect:g}"
    if plan.before and plan.complete and plan.vanished / plan.before > limits.vanished:
        return f"{plan.vanished} of {plan.before} published records vanished, more than the {limits.vanished:.0%} that the card lets pass"
    return None
