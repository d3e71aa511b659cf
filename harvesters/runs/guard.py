"""The guard: why a plan must wait for a person, with the limits of the source's card and what a person let pass once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harvesters.ledger.models import Outcome
from harvesters.ledger.operator_actions import GrantedOverride, SourceHold
from harvesters.runs.plan import Plan
from harvesters.runs.plan import doubt as incomplete
from harvesters.source import Limits

_ALONE = 1  # one record alone never holds a plan, however small its source is


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a plan; *limit* is the one that it is over, None where no limit can be raised for it."""

    limit: str | None
    text: str


def guard(plan: Plan, limits: Limits, *, anew: bool = False) -> list[Fault]:
    """Tell why *plan* must wait; growth alone never blocks.

    *anew* tells that our own mapping or shapes have changed since the last run, so that changes are of our making.
    """
    return [*_short(plan, limits), *_shares(plan, limits, anew=anew)]


def _short(plan: Plan, limits: Limits) -> Iterator[Fault]:
    if not plan.run.sweep:
        return
    if plan.fetched == 0:
        yield Fault(None, "the source returned no records; the last good data stays")
    if plan.fetched < limits.expect:
        yield Fault("expect", f"the source returned {plan.fetched:,} records; its definition expects at least {limits.expect:g}")


def _shares(plan: Plan, limits: Limits, *, anew: bool) -> Iterator[Fault]:
    of, before = plan.outcomes, plan.before
    at_once = of[Outcome.LOST] if not (limits.sweeps and limits.grace) else 0  # without a time of grace
    lost, kept_back = of[Outcome.VANISHED] + at_once, of[Outcome.WITHHELD] + of[Outcome.UNREADABLE]
    found = [
        ("vanished", lost + of[Outcome.DELETED], before, _vanished(lost, of[Outcome.DELETED])),
        ("changed", 0 if anew else of[Outcome.CHANGED], before, "published records changed"),
        ("reidentified", of[Outcome.REIDENTIFIED], before, "published records came under another key"),
        ("withheld", kept_back, max(before, plan.fetched), "records could not be published"),
    ]
    for name, count, whole, told in found:
        limit = getattr(limits, name)
        if count > _ALONE and whole and count / whole > limit:
            yield Fault(name, f"{count:,} of {whole:,} {told} ({count / whole:.0%}); the limit is {limit:.0%}")


def _vanished(missed: int, deleted: int) -> str:
    if not deleted:
        return "published records are missing"
    return "published records were deleted by the source" if not missed else f"published records are missing or were deleted ({deleted:,})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says: *held* tells why the plan must wait, None where it may commit; *used* are the overrides that it needed."""

    held: str | None
    used: tuple[GrantedOverride, ...] = ()


def judge(plan: Plan, limits: Limits, given: Sequence[GrantedOverride], hold: SourceHold | None, now: datetime, *, anew: bool) -> Verdict:
    """Have the guard look at *plan*, with the overrides that are still good at *now* where the card's own limits do not let it pass."""
    faults = guard(plan, limits, anew=anew)
    if hold is not None and (plan.changing or faults):
        because = f": {hold.reason}" if hold.reason else ""
        return Verdict(_joined(plan, [Fault(None, f"{hold.by} holds the source since {hold.since:%Y-%m-%d %H:%M} UTC{because}"), *faults]))
    over = {fault.limit for fault in faults}
    useful = [it for it in given if it.used in (None, plan.run.id) and now <= it.override.until and it.override.limit in over]
    left = guard(plan, _raised(limits, {it.override.limit: it.override.value for it in useful}), anew=anew)
    return Verdict(_joined(plan, faults)) if left else Verdict(None, tuple(useful))


def _joined(plan: Plan, faults: Sequence[Fault]) -> str:
    """Return every reason why a plan waits, and why its sweep was incomplete if it was."""
    texts = [fault.text for fault in faults]
    return "; ".join([*texts, doubt] if (doubt := incomplete(plan.run)) else texts)


def _raised(it: Limits, to: Mapping[str, float]) -> Limits:
    return replace(
        it,
        expect=to.get("expect", it.expect),
        vanished=to.get("vanished", it.vanished),
        changed=to.get("changed", it.changed),
        reidentified=to.get("reidentified", it.reidentified),
        withheld=to.get("withheld", it.withheld),
    )
