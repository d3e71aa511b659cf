"""Accounts: a run's numbers, and the records behind each of them, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from harvesters.errors import PlanError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import UPSERTED, Outcome, Run, StagedRecord
from harvesters.runs import report
from harvesters.runs.commit import becomes, difference
from harvesters.runs.means import Means

Row = dict[str, object]


def found(id: str, ledger: Ledger) -> Run:
    """Give a run by its id; raises PlanError where there is none."""
    run = ledger.run(id)
    if run is None:
        raise PlanError(f"there is no run {id!r}; `stocktake runs` lists them")
    return run


def account(run: Run, ledger: Ledger) -> Row:
    """Give a run's row with its numbers, what its requests met, and what a person should know of it.

    *listed* tells whether its records are still kept one by one: those of the source's last runs are.
    """
    quads = {"added": run.added, "removed": run.removed, "after": run.after}
    told = [{"kind": it.kind, "text": it.text, "key": it.key, "source": it.source, "other": it.other} for it in ledger.notices(run)]
    listed = not run.counts.get("fetched") or any(ledger.outcomes(run).values())
    return {**report.run(run), "quads": quads, "network": run.network, "notices": told, "listed": listed}


def records(run: Run, ledger: Ledger, outcomes: Iterable[Outcome]) -> Iterator[Row]:
    """Give a row for each of the run's records with these outcomes."""
    return map(_row, ledger.staged_records(run, outcomes))


def some(rows: Iterable[Row], count: int) -> list[Row]:
    """Give the first rows."""
    return list(islice(rows, count))


def differences(run: Run, means: Means, outcomes: Iterable[Outcome]) -> Iterator[Row]:
    """Give a row for each of a held run's records with these outcomes, with the statements that it would lose and gain."""
    for change in means.ledger.changes(run, outcomes):
        draft = change.draft
        it = becomes(run, change, means.iris)
        after = draft.description if draft.outcome in UPSERTED else it.description if it else change.previous
        block = "\n".join(difference(change.previous, after, ""))
        rows = [line.removesuffix(" <> .") for line in block.split("\n") if line]
        lost, gained = ([row[2:] for row in rows if row.startswith(sign)] for sign in ("D ", "A "))
        yield {**_row(draft), "removed": lost, "added": gained}


def _row(it: StagedRecord) -> Row:
    at = it.position
    return {
        "key": it.key,
        "outcome": it.outcome.value,
        "reason": it.reason,
        "other": it.other,
        "archive": f"{at.file} {at.offset}+{at.length}" if at else None,
    }
