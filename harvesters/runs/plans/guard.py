"""Check a plan against the limits of its source and the overrides that people granted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from harvesters.ledger.models import UPSERTED, GrantedOverride, Outcome, SourceHold
from harvesters.pipeline.page_processor import DATES
from harvesters.reasons import Reason, Value
from harvesters.runs.plans.plan import Plan, incompleteness_reasons
from harvesters.source import Limits

_IGNORED_COUNT = 1  # a single record never holds a plan, however small the source


@dataclass(frozen=True, slots=True)
class LimitViolation:
    """A reason to hold a plan; *limit* is the exceeded limit, None if no limit can be raised for
    it.
    """

    limit: str | None
    reason: Reason


def find_violations(
    plan: Plan, limits: Limits, *, rules_changed: bool = False
) -> list[LimitViolation]:
    """Return the reasons to hold *plan*. Growth alone is none.

    With *rules_changed* (our mapping or shapes changed since the last run), changed records are not
    counted: we changed them.
    """
    return [
        *_check_count(plan, limits),
        *_check_shares(plan, limits, rules_changed=rules_changed),
        *_check_size(plan, limits),
    ]


def _check_count(plan: Plan, limits: Limits) -> Iterator[LimitViolation]:
    if not plan.run.is_full:
        return
    if plan.fetched == 0:
        yield LimitViolation(None, Reason("no_records"))
    elif plan.fetched < limits.expect:
        values: dict[str, Value] = {"fetched": plan.fetched, "expected": f"{limits.expect:g}"}
        yield LimitViolation("expect", Reason("too_few_records", **values))


def _check_shares(plan: Plan, limits: Limits, *, rules_changed: bool) -> Iterator[LimitViolation]:
    counts, before = plan.outcomes, plan.published_before
    has_grace_period = limits.misses and limits.grace
    missing = counts[Outcome.VANISHED] + (0 if has_grace_period else counts[Outcome.LOST])
    deleted = counts[Outcome.DELETED]
    changed = 0 if rules_changed else counts[Outcome.CHANGED]
    lost = sum(count for _, count in plan.key_conflicts)
    unpublished = counts[Outcome.WITHHELD] + counts[Outcome.UNREADABLE] + lost
    rekeyed = counts[Outcome.REIDENTIFIED]
    why = "missing" if not deleted else "missing_or_deleted" if missing else "deleted"
    checks = [
        ("vanished", missing + deleted, before, why),
        ("changed", changed, before, "changed"),
        ("reidentified", rekeyed, before, "reidentified"),
        ("withheld", unpublished, max(before, plan.fetched), "withheld"),
    ]
    for name, count, total, code in checks:
        limit = getattr(limits, name)
        if count > _IGNORED_COUNT and total and count / total > limit:
            shares = {"share": f"{count / total:.0%}", "limit": f"{limit:.0%}"}
            values: dict[str, Value] = {
                "count": count,
                "total": total,
                "deleted": deleted,
                **shares,
            }
            yield LimitViolation(name, Reason(code, **values))
            if name == "withheld" and lost:
                conflict: dict[str, Value] = {"count": lost, "reason": plan.key_conflicts[0][0]}
                yield LimitViolation(name, Reason("keys_repeated", **conflict))


def _check_size(plan: Plan, limits: Limits) -> Iterator[LimitViolation]:
    """Yield why a plan would publish far more than was received. The number of records is none."""
    if plan.largest:
        key, count = plan.largest
        values: dict[str, Value] = {"key": key, "count": count, "limit": int(limits.statements)}
        yield LimitViolation(None, Reason("too_many_statements", **values))
    dates = plan.run.counts.get(DATES, 0)
    if dates > limits.dates and any(plan.outcomes[outcome] for outcome in UPSERTED):
        values = {"count": dates, "limit": int(limits.dates)}
        yield LimitViolation(None, Reason("too_many_dates", **values))
    received = plan.run.responses.get("bytes", 0)
    if received and plan.journal_bytes > limits.journal * received:
        values = {
            "size": plan.journal_bytes,
            "received": received,
            "ratio": round(plan.journal_bytes / received),
            "limit": f"{limits.journal:g}",
        }
        yield LimitViolation(None, Reason("journal_too_large", **values))


@dataclass(frozen=True, slots=True)
class GuardResult:
    """The result of the check: why the plan must be held (empty: it may commit), and the overrides
    used.
    """

    hold_reasons: tuple[Reason, ...]
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
        values = {"by": hold.by, "since": f"{hold.since:%Y-%m-%d %H:%M}", "note": hold.reason}
        reason = Reason("on_hold_because" if hold.reason else "on_hold", **values)
        return GuardResult(_all_reasons(plan, [LimitViolation(None, reason), *violations]))
    exceeded = {violation.limit for violation in violations}
    usable = [
        granted
        for granted in overrides
        if granted.used in (None, plan.run.id)
        and now <= granted.until
        and granted.limit in exceeded
    ]
    raised: dict[str, Any] = {granted.limit: granted.value for granted in usable}
    if find_violations(plan, replace(limits, **raised), rules_changed=rules_changed):
        return GuardResult(_all_reasons(plan, violations))
    return GuardResult((), tuple(usable))


def _all_reasons(plan: Plan, violations: Sequence[LimitViolation]) -> tuple[Reason, ...]:
    """Return every reason to hold a plan, and why its full harvest was incomplete, if it was."""
    return (*(violation.reason for violation in violations), *incompleteness_reasons(plan.run))
