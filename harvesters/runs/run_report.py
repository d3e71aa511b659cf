"""Accounts: a run's numbers, and the records behind each of them, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from harvesters.errors import PlanError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import UPSERTED, Outcome, Run, StagedRecord, State
from harvesters.runs.commit import diff_block, is_deferred, state_change
from harvesters.runs.context import HarvestContext
from harvesters.runs.plan import Plan
from harvesters.source import Source

Row = dict[str, object]


def get_run(id: str, ledger: Ledger) -> Run:
    """Give a run by its id; raises PlanError where there is none."""
    run = ledger.run(id)
    if run is None:
        raise PlanError(f"there is no run {id!r}; `stocktake runs` lists them")
    return run


def run_details(run: Run, ledger: Ledger) -> Row:
    """Give a run's row with its numbers, what its requests met, and what a person should know of it.

    *listed* tells whether its records are still kept one by one: those of the source's last runs are.
    """
    quads = {"added": run.added, "removed": run.removed, "after": run.after}
    told = [{"kind": it.kind, "text": it.text, "key": it.key, "source": it.source, "other": it.other} for it in ledger.notices(run)]
    listed = not run.counts.get("fetched") or any(ledger.outcomes(run).values())
    return {**run_row(run), "quads": quads, "network": run.network, "notices": told, "listed": listed}


def record_rows(run: Run, ledger: Ledger, outcomes: Iterable[Outcome]) -> Iterator[Row]:
    """Give a row for each of the run's records with these outcomes."""
    return map(_record_row, ledger.staged_records(run, outcomes))


def sample(rows: Iterable[Row], count: int) -> list[Row]:
    """Give the first rows."""
    return list(islice(rows, count))


def diff_rows(run: Run, means: HarvestContext, outcomes: Iterable[Outcome]) -> Iterator[Row]:
    """Give a row for each of a held run's records with these outcomes, with the statements that it would lose and gain."""
    for change in means.ledger.changes(run, outcomes):
        draft = change.draft
        it = state_change(run, change, means.iris)
        after = draft.description if draft.outcome in UPSERTED else it.description if it else change.previous
        block = "\n".join(diff_block(change.previous, after, ""))
        rows = [line.removesuffix(" <> .") for line in block.split("\n") if line]
        lost, gained = ([row[2:] for row in rows if row.startswith(sign)] for sign in ("D ", "A "))
        yield {**_record_row(draft), "removed": lost, "added": gained}


def _record_row(it: StagedRecord) -> Row:
    at = it.position
    return {
        "key": it.key,
        "outcome": it.outcome.value,
        "reason": it.reason,
        "other": it.other,
        "archive": f"{at.file} {at.offset}+{at.length}" if at else None,
    }


def source_rows(cards: Sequence[Source], ledger: Ledger) -> list[Row]:
    """Give a row for each card, with its last run's outcome."""
    rows: list[Row] = []
    holds = ledger.holds()
    for card in cards:
        last = ledger.last_run(card.name, tuple(State))
        row = {"name": card.name, "title": card.title, "protocol": card.protocol, "mapping": card.mapping, "every": card.every}
        told = {"last": last.state.value if last else None, "published": ledger.count_published(card.name)}
        held = holds.get(card.name)
        rows.append({**row, "enabled": card.enabled, **told, "hold": (held.reason or f"held by {held.by}") if held else None})
    return rows


def run_row(it: Run) -> Row:
    """Give a run as a row: its times as ISO 8601, its counts as the ledger has them."""
    took = (it.ended - it.started).total_seconds() if it.ended else None
    kind = "sweep" if it.sweep else "changes"
    row: Row = {"run": it.id, "started": it.started.isoformat(), "seconds": took, "kind": kind, "outcome": it.state.value}
    entry = None if it.state is State.COMMITTING else it.entry  # until then it is the head that was there before
    return {**row, "pages": it.pages, "entry": entry, "counts": it.counts, "reason": it.reason}


def plan_row(it: Plan) -> Row:
    """Give a plan as a row."""
    return {
        **run_row(it.run),
        "counts": it.counts,
        "published_before": it.published_before,
        "complete": it.is_complete,
        "held": it.hold_reason,
    }


def harvest_row(it: Plan, ledger: Ledger, *, dry_run: bool = False) -> Row:
    """Give a plan as a row, with each record that was not published and why; a dry run keeps none."""
    row = {**plan_row(it), "dry_run": dry_run, "outcome": describe_outcome(it, dry_run=dry_run)}
    kept = [{"key": draft.key, "outcome": draft.outcome.value, "reason": draft.reason} for draft in ledger.failures(it.run)]
    return {**row, "not_published": kept}


def failed_row(source: str, ledger: Ledger, *, dry_run: bool) -> Row:
    """Give the row of a source whose run failed: the run's, or no more than its name where it did not even begin or was a dry one."""
    failed = None if dry_run else _deferred_run(source, ledger) or ledger.last_run(source, [State.FAILED])
    return run_row(failed) if failed else {"run": source, "outcome": State.FAILED.value}


def _deferred_run(source: str, ledger: Ledger) -> Run | None:
    """Give the run whose commit was refused and waits, None where there is none."""
    opened = ledger.open_run(source)
    return opened if opened and is_deferred(opened) else None


def describe_outcome(it: Plan, *, dry_run: bool) -> str:
    """Return how a run ended; of a dry run, how it would end.

    A dry run has no state of its own: its row in the ledger is deleted while it is still ``running``.
    """
    if not dry_run:
        return it.run.state.value
    return "would be held" if it.hold_reason else "would commit"
