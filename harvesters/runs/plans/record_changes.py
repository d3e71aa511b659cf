"""Describe each record that a held run would change, with the statements that differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from harvesters.ledger.models import UPSERTED, Outcome, Run, StagedDiff
from harvesters.runs.commit import state_change, successors
from harvesters.runs.context import HarvestContext
from harvesters.runs.run_report import Row, record_row
from vocab.iris import Iris


def diff_rows(run: Run, context: HarvestContext, outcomes: Iterable[Outcome]) -> Iterator[Row]:
    """Yield a row for each of a held run's records with these outcomes, with its removed and added
    statements.
    """
    moved = successors(run, context)
    for change in context.ledger.changes(run, outcomes):
        removed, added = changed_statements(run, change, context.iris, moved)
        yield {**record_row(change.staged), "removed": removed, "added": added}


def changed_statements(
    run: Run, change: StagedDiff, iris: Iris, moved: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Return the statements that a held run would remove and add: by a new description, a tombstone,
    or a mark that is set or removed. *moved* are the ``successors``.
    """
    new_state = state_change(run, change, iris, moved)
    after = change.staged.description
    if change.staged.outcome not in UPSERTED:
        after = new_state.description if new_state else change.previous
    old, new = ({line for line in text.split("\n") if line} for text in (change.previous, after))
    return sorted(old - new), sorted(new - old)
