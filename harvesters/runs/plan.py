"""Plans: what a run would change, counted and listed record by record before anything changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from harvesters.ledger.absence import AbsentRecord
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import SEEN, TOMBSTONED, UPSERTED, Notice, Outcome, RecordState, Run, StagedRecord
from harvesters.pipeline.page_processor import LISTED_TWICE
from harvesters.source import Limits

_MAX_DUPLICATES = 1000  # records of other sources told of one run: more are a sign that two sources are the same registry
DUPLICATE = "twin"


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's account before its commit.

    *outcomes* counts what came and, of a complete sweep, what did not; *before* is what is published now, *held* why a person
    must look, None when the run may commit.
    """

    run: Run
    outcomes: Mapping[Outcome, int]
    published_before: int
    hold_reason: str | None = None

    @property
    def fetched(self) -> int:
        """Give the number of records that came, deletions and unreadable ones too."""
        return sum(self.outcomes[outcome] for outcome in SEEN)

    @property
    def tombstoned(self) -> int:
        """Give the number of records that leave only a tombstone."""
        return sum(self.outcomes[outcome] for outcome in TOMBSTONED)

    @property
    def vanished(self) -> int:
        """Give the number of published records that this sweep is the first to miss."""
        return self.outcomes[Outcome.VANISHED]

    @property
    def published_after(self) -> int:
        """Give the number of records that are published after the commit."""
        return self.published_before + self.outcomes[Outcome.NEW] + self.outcomes[Outcome.REIDENTIFIED] - self.tombstoned

    @property
    def change_count(self) -> int:
        """Give the number of records whose descriptions the commit changes."""
        return sum(self.outcomes[outcome] for outcome in (*UPSERTED, Outcome.RETURNED, Outcome.VANISHED)) + self.tombstoned

    @property
    def is_complete(self) -> bool:
        """Tell whether this was a sweep that is proven to have seen all."""
        return self.run.sweep and incompleteness_reason(self.run) is None

    @property
    def counts(self) -> dict[str, int]:
        """Give the account by the names that the ledger, the store and the pages use."""
        told = {"claimed": self.run.claimed} if self.run.claimed is not None else {}
        came = {outcome.value: count for outcome, count in self.outcomes.items()}
        ended = {"gone": self.tombstoned, "published_before": self.published_before, "published_after": self.published_after}
        return {**told, "fetched": self.run.fetched, **came, **ended}


def incompleteness_reason(run: Run) -> str | None:
    """Tell why a sweep is not proven complete, None where it is, or where the run was no sweep."""
    if not run.sweep:
        return None
    if run.doubt:
        return f"{run.doubt}; nothing was taken for deleted"
    if run.claimed is not None and run.fetched < run.claimed:
        return f"the source reported {run.claimed} records but returned {run.fetched}; nothing was taken for deleted"
    return None


def compute_plan(run: Run, ledger: Ledger, limits: Limits) -> Plan:
    """Compare what *run* has staged with what is published, and write down what it missed; it may be done again."""
    before = ledger.count_published(run.source)
    run = _check_moved_pages(run, ledger)
    moved = ledger.rekeyed(run) if before else {}
    sweep = run.sweep and incompleteness_reason(run) is None
    ledger.save_plan(run, moved, lambda: _missing_records(run, ledger, limits, moved) if sweep else iter(()))
    ledger.replace_notices(run, DUPLICATE, _duplicate_notices(run, ledger))
    return load_plan(run, ledger)


def _check_moved_pages(run: Run, ledger: Ledger) -> Run:
    """Doubt a sweep whose list moved while it was read: what came twice stands in the place of what never came.

    It is no harm where as many different records came as the source claims or, if it claims none, where every record came that is here.
    """
    twice = run.counts.get(LISTED_TWICE, 0)
    if not run.sweep or incompleteness_reason(run) or not twice:
        return run
    whole = run.fetched - twice >= run.claimed if run.claimed is not None else next(ledger.absent(run), None) is None
    told = f"{twice:,} {'record' if twice == 1 else 'records'} came on two pages, so others may have slipped between them"
    return run if whole else replace(run, doubt=told)


def load_plan(run: Run, ledger: Ledger) -> Plan:
    """Give a plan as it was drawn."""
    return Plan(run, ledger.outcomes(run), ledger.count_published(run.source), run.reason)


def _missing_records(run: Run, ledger: Ledger, limits: Limits, moved: Mapping[str, str]) -> Iterator[StagedRecord]:
    """Give a draft for each record that a complete sweep did not meet."""
    absent = list(ledger.absent(run))
    fates = {it.key: _absence_outcome(run, it, limits) for it in absent if it.key not in moved}
    heirs = ledger.replacements(run, [key for key, fate in fates.items() if fate is Outcome.LOST])
    for it in absent:
        if new := moved.get(it.key):
            yield StagedRecord(it.key, Outcome.REPLACED, reason="its source lists the same record under another key", other=new)
        else:
            yield StagedRecord(it.key, fates[it.key], reason=_absence_reason(run, it, fates[it.key]), other=heirs.get(it.key))


def _absence_outcome(run: Run, it: AbsentRecord, limits: Limits) -> Outcome:
    since = it.since or run.started
    first = it.state is RecordState.PUBLISHED
    late = run.started - since >= timedelta(limits.grace)
    spent = late or limits.sweeps == 0 if first else late or it.misses >= limits.sweeps
    return Outcome.LOST if spent else Outcome.VANISHED if first else Outcome.MISSING


def _absence_reason(run: Run, it: AbsentRecord, fate: Outcome) -> str:
    since = it.since or run.started
    if fate is Outcome.LOST:
        return f"complete sweeps no longer meet it at its source since {since:%Y-%m-%d}, {it.misses + 1} by now"
    return f"not met since {since:%Y-%m-%d %H:%M} UTC; still served"


def _duplicate_notices(run: Run, ledger: Ledger) -> list[Notice]:
    same = {True: "has the same web address as", False: "says the same as"}
    found = ledger.cross_source_duplicates(run, _MAX_DUPLICATES)
    return [Notice(DUPLICATE, f"{it.key} {same[it.same_page]} {it.other} of {it.source}", it.key, it.source, it.other) for it in found]
