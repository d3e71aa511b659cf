"""Describe runs, plans, sources and records as rows for tables and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harvesters.errors import PlanError, QuietHoursError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Outcome, Run, StagedRecord, State
from harvesters.runs.run_log import interrupted_runs

if TYPE_CHECKING:
    from harvesters.runs.plan import Plan
    from harvesters.source import Source

Row = dict[str, object]


def get_run(id: str, ledger: Ledger) -> Run:
    """Return the run with this id; raises PlanError if there is none."""
    run = ledger.run(id)
    if run is None:
        raise PlanError("there is no run %(run)r; to list runs: `stocktake runs`", run=id)
    return run


def run_details(run: Run, ledger: Ledger, *, is_interrupted: bool = False) -> Row:
    """Return a run's row with its quad counts, request outcomes and notices.

    ``listed`` is whether its records are still stored: those of a source's last runs are.
    """
    return {
        **run_row(run, is_interrupted=is_interrupted),
        "quads": {"added": run.added, "removed": run.removed, "after": run.after},
        "notices": [asdict(notice) for notice in ledger.notices(run)],
        "listed": not run.counts.get("fetched") or any(ledger.outcomes(run).values()),
    }


def record_rows(run: Run, ledger: Ledger, outcomes: Iterable[Outcome]) -> Iterator[Row]:
    """Return a row for each of the run's records with these outcomes."""
    return map(record_row, ledger.staged_records(run, outcomes))


def record_row(record: StagedRecord) -> Row:
    return {
        "key": record.key,
        "outcome": record.outcome.value,
        "reason": record.reason,
        "other": record.other,
        "archive": str(record.position) if record.position else None,
    }


def source_rows(sources: Sequence[Source], ledger: Ledger, data: Path) -> list[Row]:
    """Return a row for each source, with the outcome of its last run. *data* is the data directory."""
    rows: list[Row] = []
    holds = ledger.holds()
    for source in sources:
        last = ledger.last_run(source.name, tuple(State))
        is_interrupted = bool(last and interrupted_runs(ledger, data, [last]))
        hold = holds.get(source.name)
        rows.append(
            {
                "name": source.name,
                "title": source.title,
                "protocol": source.protocol,
                "mapping": source.mapping,
                "every": source.every,
                "enabled": source.enabled,
                "last": "interrupted" if is_interrupted else last.state.value if last else None,
                "published": ledger.count_published(source.name),
                "hold": (hold.reason or f"held by {hold.by}") if hold else None,
            }
        )
    return rows


def run_row(run: Run, *, is_interrupted: bool = False) -> Row:
    """Return a run as a row; times are ISO 8601. A held run has ended, and ends again when its plan
    is approved or rejected. With *is_interrupted*, no process executes a run that the ledger calls
    running.
    """
    return {
        "run": run.id,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat() if run.ended else None,
        "kind": "full" if run.is_full else "changes",
        "outcome": "interrupted" if is_interrupted else run.state.value,
        "pages": run.pages,
        # Until the commit has ended, the number is that of the journal's last entry.
        "entry": None if run.state is State.COMMITTING else run.entry,
        "network": run.network,
        "counts": run.counts,
        "reason": run.reason,
    }


def harvest_row(plan: Plan, ledger: Ledger, *, dry_run: bool = False) -> Row:
    """Return a plan as a row, with each record that was not published and why."""
    return {
        **run_row(plan.run),
        "counts": plan.counts,
        "published_before": plan.published_before,
        "complete": plan.is_complete,
        "held": plan.hold_reason,
        "dry_run": dry_run,
        "outcome": describe_outcome(plan, dry_run=dry_run),
        "not_published": [
            {"key": staged.key, "outcome": staged.outcome.value, "reason": staged.reason}
            for staged in plan.failures or ledger.failures(plan.run)
        ],
    }


def failure_reasons(plan: Plan, ledger: Ledger) -> dict[str, int]:
    """Count the reasons for which records were not published, the commonest first."""
    if plan.failures:
        return dict(Counter(staged.reason or "" for staged in plan.failures).most_common())
    return ledger.failure_reasons(plan.run)


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that ended without a plan, or did not start: *outcome* and *reason* say how and why.

    *outcome* is ``failed``, ``postponed``, ``committing`` (its commit is deferred) or ``invalid``
    (its source definition is). *run* is None if no run is stored.
    """

    outcome: str
    reason: str
    run: Run | None = None


def describe_failure(
    source: str, error: Exception, ledger: Ledger, began: datetime, *, dry_run: bool
) -> FailedRun:
    """Return how *error* ended a run of *source* that was started at *began* or later."""
    run = None if dry_run else ledger.last_run(source, tuple(State))
    if isinstance(error, QuietHoursError):
        return FailedRun("postponed", str(error), run)
    has_failed = run is not None and (run.is_deferred or run.state is State.FAILED)
    if run and run.ended and run.ended >= began and has_failed:
        return FailedRun(run.state.value, run.reason or str(error), run)
    return FailedRun(State.FAILED.value, str(error))


def failed_row(source: str, failed: FailedRun) -> Row:
    """Return the row of a run that failed or was postponed; without a run, *source* stands for its
    id.
    """
    return {
        **(run_row(failed.run) if failed.run else {"run": source}),
        "outcome": failed.outcome,
        "reason": failed.reason,
    }


def describe_outcome(plan: Plan, *, dry_run: bool) -> str:
    """Return how a run ended or, for a dry run, how it would end.

    A dry run has no state of its own: its row in the ledger is deleted while it is still
    ``running``.
    """
    if not dry_run:
        return plan.run.state.value
    if plan.hold_reason:
        return "would be held"
    return "would be incomplete" if plan.run.reasons else "would commit"
