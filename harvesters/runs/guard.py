"""Check a plan against the limits of its source and the overrides that people granted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harvesters.ledger.models import Outcome
from harvesters.ledger.operator_actions import GrantedOverride, SourceHold
from harvesters.runs.plan import Plan, incompleteness_reason
from harvesters.source import Limits

_IGNORED_COUNT = 1  # a single record never holds a plan, however small the source


@dataclass(frozen=True, slots=True)
class LimitViolation:
    """A reason to hold a plan; *limit* is the exceeded limit, None if no limit can be raised for
    it.
    """

    limit: str | None
    text: str


def find_violations(
    plan: Plan, limits: Limits, *, rules_changed: bool = False
) -> list[LimitViolation]:
    """Return the reasons to hold *plan*. Growth alone is none.

    With *rules_changed* (our mapping or shapes changed since the last run), changed records are not
    counted: we changed them.
    """
    return [*_check_count(plan, limits), *_check_shares(plan, limits, rules_changed=rules_changed)]


def _check_count(plan: Plan, limits: Limits) -> Iterator[LimitViolation]:
    if not plan.run.is_full:
        return
    if plan.fetched == 0:
        yield LimitViolation(None, "the source returned no records; the last good data stays")
    if plan.fetched < limits.expect:
        yield LimitViolation(
            "expect",
            f"the source returned {plan.fetched:,} records; its definition expects at least {limits.expect:g}",
        )


def _check_shares(plan: Plan, limits: Limits, *, rules_changed: bool) -> Iterator[LimitViolation]:
    counts, before = plan.outcomes, plan.published_before
    has_grace_period = limits.misses and limits.grace
    missing = counts[Outcome.VANISHED] + (0 if has_grace_period else counts[Outcome.LOST])
    deleted = counts[Outcome.DELETED]
    changed = 0 if rules_changed else counts[Outcome.CHANGED]
    unpublished = counts[Outcome.WITHHELD] + counts[Outcome.UNREADABLE]
    rekeyed = counts[Outcome.REIDENTIFIED]
    checks = [
        ("vanished", missing + deleted, before, _missing_text(missing, deleted)),
        ("changed", changed, before, "published records changed"),
        ("reidentified", rekeyed, before, "published records have another key"),
        ("withheld", unpublished, max(before, plan.fetched), "records could not be published"),
    ]
    for name, count, total, text in checks:
        limit = getattr(limits, name)
        if count > _IGNORED_COUNT and total and count / total > limit:
            share = f"{count:,} of {total:,} {text} ({count / total:.0%})"
            yield LimitViolation(name, f"{share}; the limit is {limit:.0%}")


def _missing_text(missed: int, deleted: int) -> str:
    if not deleted:
        return "published records are missing"
    return (
        "published records were deleted by the source"
        if not missed
        else f"published records are missing or were deleted ({deleted:,})"
    )


@dataclass(frozen=True, slots=True)
class GuardResult:
    """The result of the check: why the plan must be held (None: it may commit), and the overrides
    used.
    """

    hold_reason: str | None
    used_overrides: tuple[GrantedOverride, ...] = ()


def check_limits(
    plan: Plan,
    limits: Limits,
    overrides: Sequence[GrantedOverride],
    hold: SourceHold | None,
    now: datetime,
    *,
    rules_changed: bool,
) -> GuardResult:
    """Check *plan* against *limits*, raised by the overrides that are valid at *now* if necessary."""
    violations = find_violations(plan, limits, rules_changed=rules_changed)
    if hold is not None and (plan.change_count or violations):
        reason = f": {hold.reason}" if hold.reason else ""
        text = f"{hold.by} holds the source since {hold.since:%Y-%m-%d %H:%M} UTC{reason}"
        return GuardResult(_join_reasons(plan, [LimitViolation(None, text), *violations]))
    exceeded = {violation.limit for violation in violations}
    usable = [
        granted
        for granted in overrides
        if granted.used in (None, plan.run.id)
        and now <= granted.override.until
        and granted.override.limit in exceeded
    ]
    raised = {granted.override.limit: granted.override.value for granted in usable}
    if find_violations(plan, _raise_limits(limits, raised), rules_changed=rules_changed):
        return GuardResult(_join_reasons(plan, violations))
    return GuardResult(None, tuple(usable))


def _join_reasons(plan: Plan, violations: Sequence[LimitViolation]) -> str:
    """Return every reason to hold a plan, and why its full harvest was incomplete, if it was."""
    texts = [violation.text for violation in violations]
    return "; ".join(
        [*texts, incomplete_reason]
        if (incomplete_reason := incompleteness_reason(plan.run))
        else texts
    )


def _raise_limits(limits: Limits, values: Mapping[str, float]) -> Limits:
    return replace(
        limits,
        expect=values.get("expect", limits.expect),
        vanished=values.get("vanished", limits.vanished),
        changed=values.get("changed", limits.changed),
        reidentified=values.get("reidentified", limits.reidentified),
        withheld=values.get("withheld", limits.withheld),
    )
