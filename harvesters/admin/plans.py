"""Describe plans that await approval, with their source's limits and overrides."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from harvesters.admin.context import AdminContext
from harvesters.admin.pagination import run_views
from harvesters.admin.schemas import HoldView, RunView
from harvesters.ledger import operators
from harvesters.ledger.models import Outcome, Override, Run, State
from harvesters.problems import InvalidValue
from harvesters.runs.plans.plan_decisions import OVERRIDABLE_LIMITS
from harvesters.runs.plans.undo import find_undoable
from harvesters.source import SHARES

# longest validity; a limit to raise for longer belongs in the source definition
MAX_OVERRIDE_AGE = timedelta(days=31)


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
    """Return the view of a plan, also of one that is closed."""
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


def parse_override(context: AdminContext, limit: str, value: float, until: datetime) -> Override:
    """Check a requested override; raise InvalidValue."""
    if limit not in OVERRIDABLE_LIMITS:
        raise InvalidValue(
            "Unknown limit. Use one of: %(known)s.", known=", ".join(OVERRIDABLE_LIMITS)
        )
    if value < 0 or (limit in SHARES and value > 1):
        raise InvalidValue(
            "Use a share from 0 to 1, such as 0.6, or a number of records for expect."
        )
    if until.tzinfo is None:
        raise InvalidValue("The time needs a time zone, as in 2026-03-01T12:00:00Z.")
    if not context.now() < until <= context.now() + MAX_OVERRIDE_AGE:
        raise InvalidValue(
            "An exception can last at most %(days)s days. To raise a limit for longer, change it in the source definition.",
            days=MAX_OVERRIDE_AGE.days,
        )
    return Override(limit, value, until)


def outcome_counts(outcomes: dict[str, int]) -> list[tuple[Outcome, int]]:
    """Return the outcomes that occur and their counts, in the order of Outcome."""
    return [(outcome, count) for outcome in Outcome if (count := outcomes.get(outcome.value, 0))]
