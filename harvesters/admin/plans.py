"""Describe plans that await approval, with their source's limits and overrides."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from harvesters.admin.context import AdminContext
from harvesters.admin.pagination import run_views
from harvesters.admin.schemas import HoldView, RunView
from harvesters.ledger import operators
from harvesters.ledger.models import Outcome, Run, State
from harvesters.runs.removal import find_undoable


@dataclass(frozen=True, slots=True)
class OverrideView:
    """A limit that was raised for one run; *used* is the run that needed it."""

    limit: str
    value: float
    until: datetime
    by: str
    given: datetime
    used: str | None


@dataclass(frozen=True, slots=True)
class NoticeView:
    """A notice about a run that does not affect its result."""

    kind: str
    text: str
    key: str | None
    source: str | None
    other: str | None


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan: its run, whether it is open, records by outcome, the source's limits, and granted
    overrides.
    """

    run: RunView
    open: bool
    published: int
    outcomes: dict[str, int]
    limits: dict[str, float]
    overrides: list[OverrideView]
    notices: list[NoticeView]
    hold: HoldView | None
    undoable: bool
    approved_by: list[str]


def plan_view(context: AdminContext, run: Run) -> PlanView:
    """Return the view of a plan, open or closed."""
    ledger, source = context.ledger, context.source(run.source)
    hold = operators.holds(ledger).get(run.source)
    granted = operators.overrides(ledger, run.source)
    overrides = [
        OverrideView(item.limit, item.value, item.until, item.by, item.granted, item.used)
        for item in granted
    ]
    return PlanView(
        run=run_views(context, [run])[0],
        open=run.state is State.HELD,
        published=ledger.count_published(run.source),
        outcomes={outcome.value: count for outcome, count in ledger.outcomes(run).items()},
        limits=asdict(source.limits),
        overrides=overrides,
        notices=[
            NoticeView(item.kind, item.text, item.key, item.source, item.other)
            for item in ledger.notices(run)
        ],
        hold=HoldView(hold.since, hold.by, hold.reason) if hold else None,
        approved_by=operators.endorsements(ledger, run.id) if run.state is State.HELD else [],
        undoable=(undoable := find_undoable(ledger, run.source)) is not None
        and undoable.id == run.id,
    )


def outcome_counts(outcomes: dict[str, int]) -> list[tuple[Outcome, int]]:
    """Return the outcomes that occur and their counts, in the order of Outcome."""
    return [(outcome, count) for outcome in Outcome if (count := outcomes.get(outcome.value, 0))]
