"""The guard: why a plan must wait for a person, with the limits of the source's card and what a person let pass once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harvesters.ledger.models import Outcome
from harvesters.ledger.operator_actions import GrantedOverride, SourceHold
from harvesters.runs.plan import Plan, incompleteness_reason
from harvesters.source import Limits

_IGNORED_COUNT = 1  # one record alone never holds a plan, however small its source is


@dataclass(frozen=True, slots=True)
class LimitViolation:
    """What is wrong with a plan; *limit* is the one that it is over, None where no limit can be raised for it."""

    limit: str | None
    text: str


def find_violations(plan: Plan, limits: Limits, *, anew: bool = False) -> list[LimitViolation]:
    """Tell why *plan* must wait; growth alone never blocks.

    *anew* tells that our own mapping or shapes have changed since the last run, so that changes are of our making.
    """
    return [*_check_count(plan, limits), *_check_shares(plan, limits, anew=anew)]


def _check_count(plan: Plan, limits: Limits) -> Iterator[LimitViolation]:
    if not plan.run.sweep:
        return
    if plan.fetched == 0:
        yield LimitViolation(None, "the source returned no records; the last good data stays")
    if plan.fetched < limits.expect:
        yield LimitViolation("expect", f"the source returned {plan.fetched:,} records; its definition expects at least {limits.expect:g}")


def _check_shares(plan: Plan, limits: Limits, *, anew: bool) -> Iterator[LimitViolation]:
    of, before = plan.outcomes, plan.published_before
    at_once = of[Outcome.LOST] if not (limits.sweeps and limits.grace) else 0  # without a time of grace
    lost, kept_back = of[Outcome.VANISHED] + at_once, of[Outcome.WITHHELD] + of[Outcome.UNREADABLE]
    found = [
        ("vanished", lost + of[Outcome.DELETED], before, _missing_text(lost, of[Outcome.DELETED])),
        ("changed", 0 if anew else of[Outcome.CHANGED], before, "published records changed"),
        ("reidentified", of[Outcome.REIDENTIFIED], before, "published records came under another key"),
        ("withheld", kept_back, max(before, plan.fetched), "records could not be published"),
    ]
    for name, count, whole, told in found:
        limit = getattr(limits, name)
        if count > _IGNORED_COUNT and whole and count / whole > limit:
            yield LimitViolation(name, f"{count:,} of {whole:,} {told} ({count / whole:.0%}); the limit is {limit:.0%}")


def _missing_text(missed: int, deleted: int) -> str:
    if not deleted:
        return "published records are missing"
    return "published records were deleted by the source" if not missed else f"published records are missing or were deleted ({deleted:,})"


@dataclass(frozen=True, slots=True)
class GuardResult:
    """What the guard says: *held* tells why the plan must wait, None where it may commit; *used* are the overrides that it needed."""

    hold_reason: str | None
    used_overrides: tuple[GrantedOverride, ...] = ()


def check_limits(
    plan: Plan, limits: Limits, given: Sequence[GrantedOverride], hold: SourceHold | None, now: datetime, *, anew: bool
) -> GuardResult:
    """Have the guard look at *plan*, with the overrides that are still good at *now* where the card's own limits do not let it pass."""
    faults = find_violations(plan, limits, anew=anew)
    if hold is not None and (plan.change_count or faults):
        because = f": {hold.reason}" if hold.reason else ""
        return GuardResult(
            _join_reasons(
                plan, [LimitViolation(None, f"{hold.by} holds the source since {hold.since:%Y-%m-%d %H:%M} UTC{because}"), *faults]
            )
        )
    over = {fault.limit for fault in faults}
    useful = [it for it in given if it.used in (None, plan.run.id) and now <= it.override.until and it.override.limit in over]
    left = find_violations(plan, _raise_limits(limits, {it.override.limit: it.override.value for it in useful}), anew=anew)
    return GuardResult(_join_reasons(plan, faults)) if left else GuardResult(None, tuple(useful))


def _join_reasons(plan: Plan, faults: Sequence[LimitViolation]) -> str:
    """Return every reason why a plan waits, and why its sweep was incomplete if it was."""
    texts = [fault.text for fault in faults]
    return "; ".join([*texts, doubt] if (doubt := incompleteness_reason(plan.run)) else texts)


def _raise_limits(it: Limits, to: Mapping[str, float]) -> Limits:
    return replace(
        it,
        expect=to.get("expect", it.expect),
        vanished=to.get("vanished", it.vanished),
        changed=to.get("changed", it.changed),
        reidentified=to.get("reidentified", it.reidentified),
        withheld=to.get("withheld", it.withheld),
    )
