"""Compute what a run would change, counted and listed by record, before anything changes; and check the
plan against the limits of its source and the overrides that people granted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from harvesters.errors import PlanError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import (
    SEEN,
    TOMBSTONED,
    UPSERTED,
    GrantedOverride,
    Outcome,
    RecordState,
    Run,
    SourceHold,
    StagedRecord,
    State,
)
from harvesters.reasons import READ_UP_TO, Reason, Value, join_reasons
from harvesters.runs.collect import DATES, LISTED_TWICE
from harvesters.source import Limits


@dataclass(frozen=True, slots=True)
class Plan:
    """The results of a run before its commit.

    *outcomes* counts the records seen and, after a complete full harvest, those not seen.
    *published_before* counts the records published now. *hold_reasons* are why the plan needs
    approval; empty if the run may commit. *key_conflicts* counts the records whose key another
    record of the run has, by reason, the commonest first. *failures* are the records that a dry run
    would not publish; those of any other run are in the ledger. *largest* is the key and the number
    of statements of the largest record over the limit, *journal_bytes* what the commit adds to the
    journal, 0 if that is little.
    """

    run: Run
    outcomes: Mapping[Outcome, int]
    published_before: int
    hold_reasons: tuple[Reason, ...] = ()
    key_conflicts: tuple[tuple[Reason, int], ...] = ()
    failures: tuple[StagedRecord, ...] = ()
    largest: tuple[str, int] | None = None
    journal_bytes: int = 0

    @property
    def hold_reason(self) -> str | None:
        """Return the reasons to hold the plan as one English text, None without any."""
        return join_reasons(self.hold_reasons) or None

    @property
    def fetched(self) -> int:
        """Return the number of records seen, including deletions and unreadable ones."""
        return sum(self.outcomes[outcome] for outcome in SEEN)

    @property
    def tombstoned(self) -> int:
        """Return the number of records replaced by a tombstone."""
        return sum(self.outcomes[outcome] for outcome in TOMBSTONED)

    @property
    def published_after(self) -> int:
        """Return the number of records published after the commit."""
        return (
            self.published_before
            + self.outcomes[Outcome.NEW]
            + self.outcomes[Outcome.REIDENTIFIED]
            - self.tombstoned
        )

    @property
    def change_count(self) -> int:
        """Return the number of records whose descriptions the commit changes."""
        return (
            sum(
                self.outcomes[outcome]
                for outcome in (*UPSERTED, Outcome.RETURNED, Outcome.VANISHED)
            )
            + self.tombstoned
        )

    @property
    def is_complete(self) -> bool:
        """Return whether the run was a full harvest that saw all records."""
        return self.run.is_full and not incompleteness_reasons(self.run)

    @property
    def counts(self) -> dict[str, int]:
        """Return the counts by the names that the ledger, the store and the pages use."""
        reported = (
            {"reported": self.run.reported_total} if self.run.reported_total is not None else {}
        )
        outcomes = {outcome.value: count for outcome, count in self.outcomes.items()}
        totals = {
            "gone": self.tombstoned,
            "published_before": self.published_before,
            "published_after": self.published_after,
        }
        return {**reported, "fetched": self.run.fetched, **outcomes, **totals}


def incompleteness_reasons(run: Run) -> tuple[Reason, ...]:
    """Return why a full harvest is not known to be complete; nothing if it is. A harvest of changes
    is incomplete only if the source failed before its end.
    """
    if not run.is_full:
        early = run.incomplete_reason and run.incomplete_reason.code == READ_UP_TO
        return (run.incomplete_reason,) if run.incomplete_reason and early else ()
    if run.incomplete_reason:
        return run.incomplete_reason, Reason("no record was marked as deleted")
    if run.reported_total is not None and run.fetched < run.reported_total:
        numbers = {"reported": str(run.reported_total), "fetched": str(run.fetched)}
        return Reason(
            "the source reported %(reported)s records but returned %(fetched)s", **numbers
        ), Reason("no record was marked as deleted")
    return ()


def compute_plan(run: Run, ledger: Ledger, limits: Limits) -> Plan:
    """Compare the staged records with the published ones, store the differences, and return the
    plan. Idempotent.
    """
    before = ledger.count_published(run.source)
    run = _check_moved_pages(run, ledger)
    moved = ledger.rekeyed(run) if before else {}
    is_complete = run.is_full and not incompleteness_reasons(run)
    missing = _missing_records(run, ledger, limits, moved) if is_complete else ()
    ledger.save_plan(run, moved, missing)
    return load_plan(run, ledger)


def _check_moved_pages(run: Run, ledger: Ledger) -> Run:
    """Mark a full harvest as incomplete if the list changed while it was read, so that records may
    be missing.

    Harmless if the distinct records equal the reported total or, without a total, if every
    published record was seen.
    """
    twice = run.counts.get(LISTED_TWICE, 0)
    if not run.is_full or incompleteness_reasons(run) or not twice:
        return run
    saw_all = (
        run.fetched - twice >= run.reported_total
        if run.reported_total is not None
        else next(ledger.unseen(run), None) is None
    )
    return (
        run
        if saw_all
        else replace(
            run,
            incomplete_reason=Reason(
                "records listed on two pages: %(count)s; others may have been missed between the pages",
                count=twice,
            ),
        )
    )


def find_held_plan(ledger: Ledger, id: str, source: str) -> Run:
    """Return the run whose plan awaits approval. Raises PlanError that says what to do instead."""
    run = ledger.run(id)
    if run is None:
        raise PlanError(
            "there is no plan %(run)r; to list the plans that await approval: `stocktake plans "
            "list`",
            run=id,
        )
    if run.source != source:
        raise PlanError(
            "%(run)s: this is a plan of %(owner)s, not of %(source)s",
            run=id,
            owner=run.source,
            source=source,
        )
    if run.state is State.SUPERSEDED and (newer := ledger.last_run(source, [State.HELD])):
        raise PlanError(
            "%(run)s: superseded; %(newer)s awaits approval now; `stocktake plans show %(newer)s`",
            run=id,
            newer=newer.id,
        )
    if run.state is not State.HELD:
        raise PlanError(
            "%(run)s: not awaiting approval (state: %(state)s); to list the plans that await "
            "approval: `stocktake plans list`",
            run=id,
            state=run.state.value,
        )
    return run


def load_plan(run: Run, ledger: Ledger) -> Plan:
    """Return a plan as it was computed."""
    return Plan(
        run,
        ledger.outcomes(run),
        ledger.count_published(run.source),
        run.reasons,
        tuple(ledger.key_conflicts(run)),
    )


def _missing_records(
    run: Run, ledger: Ledger, limits: Limits, moved: Mapping[str, str]
) -> Iterator[StagedRecord]:
    """Yield a staged record for each published record that a complete full harvest did not see."""
    for record in ledger.unseen(run):
        new_key, outcome = moved.get(record.key), _unseen_outcome(run, record, limits)
        if new_key:
            outcome = Outcome.REPLACED
            reason = Reason("its source lists the same record under another key")
        else:
            reason = _unseen_reason(run, record, outcome)
        yield StagedRecord(record.key, outcome, reasons=(reason,), other=new_key)


def _unseen_outcome(run: Run, record: Any, limits: Limits) -> Outcome:
    """Return VANISHED the first time a record is not seen, then MISSING, and LOST after the grace
    period.
    """
    is_late = run.started - (record.since or run.started) >= timedelta(limits.grace)
    if is_late or record.misses >= limits.misses:
        return Outcome.LOST
    return Outcome.VANISHED if record.state is RecordState.PUBLISHED else Outcome.MISSING


def _unseen_reason(run: Run, record: Any, outcome: Outcome) -> Reason:
    since = record.since or run.started
    if outcome is Outcome.LOST:
        return Reason(
            "not found at its source in %(count)s full harvests since %(since)s",
            since=f"{since:%Y-%m-%d}",
            count=record.misses + 1,
        )
    return Reason("not seen since %(since)s UTC; still served", since=f"{since:%Y-%m-%d %H:%M}")


# ---- guard

_IGNORED_COUNT = 1  # a single record never holds a plan, however small the source


# A reason to hold a plan, with the exceeded limit, None if no limit can be raised for it.
LimitViolation = tuple[str | None, Reason]


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
    if plan.run.is_full and not plan.fetched:
        yield None, Reason("no_records")
    elif plan.run.is_full and plan.fetched < limits.expect:
        values: dict[str, Value] = {"fetched": plan.fetched, "expected": f"{limits.expect:g}"}
        yield "expect", Reason("too_few_records", **values)


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
            yield name, Reason(code, **values)
            if name == "withheld" and lost:
                conflict: dict[str, Value] = {"count": lost, "reason": plan.key_conflicts[0][0]}
                yield name, Reason("keys_repeated", **conflict)


def _check_size(plan: Plan, limits: Limits) -> Iterator[LimitViolation]:
    """Yield why a plan would publish far more than was received. The number of records is none."""
    if plan.largest:
        key, count = plan.largest
        values: dict[str, Value] = {"key": key, "count": count, "limit": int(limits.statements)}
        yield None, Reason("too_many_statements", **values)
    dates = plan.run.counts.get(DATES, 0)
    if dates > limits.dates and any(plan.outcomes[outcome] for outcome in UPSERTED):
        values = {"count": dates, "limit": int(limits.dates)}
        yield None, Reason("too_many_dates", **values)
    received = plan.run.responses.get("bytes", 0)
    if received and plan.journal_bytes > limits.journal * received:
        values = {
            "size": plan.journal_bytes,
            "received": received,
            "ratio": round(plan.journal_bytes / received),
            "limit": f"{limits.journal:g}",
        }
        yield None, Reason("journal_too_large", **values)


def check_limits(
    plan: Plan,
    limits: Limits,
    overrides: Sequence[GrantedOverride],
    hold: SourceHold | None,
    now: datetime,
    *,
    rules_changed: bool,
) -> tuple[Plan, tuple[GrantedOverride, ...]]:
    """Check *plan* against *limits*, raised by the overrides that are valid at *now* if necessary.

    Return the plan with the reasons to hold it, none if it may commit, and the overrides used.
    """
    violations = find_violations(plan, limits, rules_changed=rules_changed)
    if hold is not None and (plan.change_count or violations):
        values = {"by": hold.by, "since": f"{hold.since:%Y-%m-%d %H:%M}", "note": hold.reason}
        reason = Reason("on_hold_because" if hold.reason else "on_hold", **values)
        return _with_reasons(plan, [(None, reason), *violations]), ()
    exceeded = {limit for limit, _ in violations}
    usable = [
        granted
        for granted in overrides
        if granted.used in (None, plan.run.id)
        and now <= granted.until
        and granted.limit in exceeded
    ]
    raised: dict[str, Any] = {granted.limit: granted.value for granted in usable}
    if violations and (
        not raised or find_violations(plan, replace(limits, **raised), rules_changed=rules_changed)
    ):
        return _with_reasons(plan, violations), ()
    return replace(plan, hold_reasons=()), tuple(usable)


def _with_reasons(plan: Plan, violations: Sequence[LimitViolation]) -> Plan:
    """Return the plan with every reason to hold it, and why its full harvest was incomplete, if it
    was.
    """
    reasons = (reason for _, reason in violations)
    return replace(plan, hold_reasons=(*reasons, *incompleteness_reasons(plan.run)))
