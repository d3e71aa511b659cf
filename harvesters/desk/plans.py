"""Plans: what waits for a person, with the limits that its source's card sets and how far it went over them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from harvesters.desk.errors import Wrong
from harvesters.desk.office import Office
from harvesters.desk.views import HoldView, RunView, run_view
from harvesters.ledger.account import Outcome, Run, State
from harvesters.ledger.decisions import Override
from harvesters.runs.decide import RAISABLE
from harvesters.source import SHARES

LONGEST = timedelta(days=31)  # that an override may wait: a limit that is raised for longer belongs into the card


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
    """What a person should know of a run that changes nothing of it."""

    kind: str
    text: str
    key: str | None
    source: str | None
    other: str | None


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan: its run, whether it is open, the records by outcome, what the card lets pass, and what was let pass once."""

    run: RunView
    open: bool
    published: int
    outcomes: dict[str, int]
    limits: dict[str, float]
    overrides: list[OverrideView]
    notices: list[NoticeView]
    hold: HoldView | None


def view(office: Office, run: Run) -> PlanView:
    """Show a plan, also one that is no longer open."""
    ledger, source = office.ledger, office.source(run.source)
    hold = ledger.holds().get(run.source)
    given = [OverrideView(*_override(it.override), it.by, it.given, it.used) for it in ledger.overrides(run.source)]
    return PlanView(
        run=run_view(run),
        open=run.state is State.HELD,
        published=ledger.published(run.source),
        outcomes={outcome.value: count for outcome, count in ledger.outcomes(run).items()},
        limits=asdict(source.limits),
        overrides=given,
        notices=[NoticeView(it.kind, it.text, it.key, it.source, it.other) for it in ledger.notices(run)],
        hold=HoldView(hold.since, hold.by, hold.reason) if hold else None,
    )


def override(office: Office, limit: str, value: float, until: datetime) -> Override:
    """Check an override that was asked for; raise Wrong."""
    if limit not in RAISABLE:
        raise Wrong(f"limit: use {', '.join(RAISABLE)}")
    if value < 0 or (limit in SHARES and value > 1):
        raise Wrong("value: write a share from 0 to 1, such as 0.6, or a number of records for expect")
    if until.tzinfo is None:
        raise Wrong("until: tell the zone, as in 2026-03-01T12:00:00Z")
    if not office.now() < until <= office.now() + LONGEST:
        raise Wrong(f"until: use a time within {LONGEST.days} days; what is to hold for longer belongs into the card")
    return Override(limit, value, until)


def _override(it: Override) -> tuple[str, float, datetime]:
    return it.limit, it.value, it.until


def told(outcomes: dict[str, int]) -> list[tuple[Outcome, int]]:
    """Give the outcomes of which there are any, in the order of the account."""
    return [(outcome, count) for outcome in Outcome if (count := outcomes.get(outcome.value, 0))]
