"""Describe each record that a held run would change, with the statements that differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harvesters.ledger.models import UPSERTED, Outcome, Run
from harvesters.runs.commit import diff_block, state_change, successors
from harvesters.runs.context import HarvestContext
from harvesters.runs.run_report import Row, record_row


def diff_rows(run: Run, context: HarvestContext, outcomes: Iterable[Outcome]) -> Iterator[Row]:
    """Yield a row for each of a held run's records with these outcomes, with its removed and added
    statements.
    """
    moved = successors(run, context)
    for change in context.ledger.changes(run, outcomes):
        staged = change.staged
        new_state = state_change(run, change, context.iris, moved)
        after = (
            staged.description
            if staged.outcome in UPSERTED
            else new_state.description
            if new_state
            else change.previous
        )
        block = "\n".join(diff_block(change.previous, after, ""))
        rows = [line.removesuffix(" <> .") for line in block.split("\n") if line]
        removed, added = (
            [row[2:] for row in rows if row.startswith(sign)] for sign in ("D ", "A ")
        )
        yield {**record_row(staged), "removed": removed, "added": added}
