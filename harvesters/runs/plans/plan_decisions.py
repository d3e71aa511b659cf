"""Approve or reject held plans, and hold or release sources. Each decision is written to the audit
log.
"""

from __future__ import annotations

from dataclasses import fields, replace

from harvesters.errors import PlanError
from harvesters.ledger import operators
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import (
    ActionType,
    AuditEntry,
    Override,
    RemovalKind,
    Run,
    SourceHold,
    State,
)
from harvesters.reasons import Reason, join_reasons, without_review
from harvesters.runs.commit import commit, finish_commit
from harvesters.runs.context import HarvestContext
from harvesters.runs.locks import source_lock
from harvesters.runs.plans.plan import load_plan
from harvesters.source import SHARES, Limits, Source

OVERRIDABLE_LIMITS = ("expect", *SHARES)
_COMMITTED_STATES = (State.COMMITTED, State.UNCHANGED, State.INCOMPLETE)


def check_supersede(ledger: Ledger, source: str, plan: str | None) -> None:
    """Raise PlanError if a plan of *source* awaits approval and *plan* is not its id.

    A new run supersedes the held plan. A person who starts a run confirms that with the plan's id.
    """
    waiting = ledger.last_run(source, [State.HELD])
    if waiting and waiting.id != plan:
        text = join_reasons(without_review(waiting.reasons))
        values = {"source": source, "plan": waiting.id, "text": text}
        raise PlanError(
            Reason(
                "%(source)s: the plan %(plan)s awaits approval, and a new run would supersede it: "
                "%(text)s; to run anyway, confirm with supersede=%(plan)s",
                **values,
            )
        )
    if plan and not waiting:
        raise PlanError(
            Reason(
                "%(source)s: no plan %(plan)s awaits approval; to list plans: `stocktake plans list`",
                source=source,
                plan=plan,
            )
        )


def approve(
    context: HarvestContext,
    source: Source,
    run: str,
    *,
    by: str,
    override: Override | None = None,
    note: str = "",
) -> Run:
    """Commit a held plan exactly as it was computed; *override* raises a limit for the next run
    that needs it.

    If its source needs a second approver, the first approval is recorded and the plan stays held.
    Raises PlanError if the plan is not held, the source had another commit since, or the same
    person approves twice, and SourceLockedError while a run of the source is in progress.
    """
    _check_override(override, context)
    with source_lock(source.name, context) as context:
        started = context.ledger.run(run)
        # interrupted by a crash during the commit
        if started and started.state is State.COMMITTING and started.source == source.name:
            return finish_commit(started, source, context)
        awaiting_review = _find_held_plan(context, source.name, run)
        newer = context.ledger.last_run(source.name, _COMMITTED_STATES)
        if newer and newer.number > awaiting_review.number:
            raise PlanError(
                Reason(
                    "%(run)s: %(newer)s has been committed since, so the plan no longer fits; `stocktake "
                    "plans reject %(run)s`",
                    run=run,
                    newer=newer.id,
                )
            )
        if source.second_approver and _is_first_approval(context, awaiting_review, by, note):
            return awaiting_review
        _record_approval(
            context,
            AuditEntry(
                context.now(),
                by,
                ActionType.APPROVED.value,
                source.name,
                run,
                _audit_note(note, override),
            ),
            override,
        )
        removal = operators.removal(context.ledger, run)
        if removal is None or removal.kind is not RemovalKind.FORGET:
            context.ledger.save_previous(awaiting_review)
        return commit(load_plan(awaiting_review, context.ledger), source, context)


def _is_first_approval(context: HarvestContext, awaiting_review: Run, by: str, note: str) -> bool:
    """Return whether nobody has approved the plan yet, and record that *by* does now.

    Raises PlanError if the same person did.
    """
    approved = operators.endorsements(context.ledger, awaiting_review.id)
    if by in approved:
        raise PlanError(
            Reason(
                "%(run)s: %(by)s approved it already; this source needs the approval of another "
                "person too",
                run=awaiting_review.id,
                by=by,
            )
        )
    if not approved:
        action = ActionType.ENDORSED.value
        entry = AuditEntry(
            context.now(), by, action, awaiting_review.source, awaiting_review.id, note or None
        )
        operators.record_audit_entry(context.ledger, entry)
    return not approved


def _record_approval(context: HarvestContext, act: AuditEntry, override: Override | None) -> None:
    """Write an approval to the audit log once, even if a crash made the person approve again."""
    source = act.source or ""
    last = next(iter(operators.audit_entries(context.ledger, 1, source)), None)
    if last is None or replace(last, when=act.when) != act:
        operators.record_audit_entry(context.ledger, act)
    grants = [
        (Override(granted.limit, granted.value, granted.until), granted.by)
        for granted in operators.overrides(context.ledger, source)
        if granted.used is None
    ]
    if override and (override, act.who) not in grants:
        operators.grant(context.ledger, source, override, act.who, act.when)


def reject(context: HarvestContext, source: Source, run: str, *, by: str, reason: str = "") -> Run:
    """Reject a held plan; the published data stays. Raises the same errors as ``approve``."""
    with source_lock(source.name, context) as context:
        awaiting_review = _find_held_plan(context, source.name, run)
        operators.record_audit_entry(
            context.ledger,
            AuditEntry(
                context.now(), by, ActionType.REJECTED.value, source.name, run, reason or None
            ),
        )
        values = {"by": by, "note": reason}
        rejected = Reason(
            "rejected by %(by)s: %(note)s" if reason else "rejected by %(by)s", **values
        )
        decided = replace(
            awaiting_review,
            state=State.REJECTED,
            ended=max(context.now(), awaiting_review.started),
            reasons=(
                rejected,
                Reason("the plan awaited approval"),
                *without_review(awaiting_review.reasons),
            ),
        )
        context.ledger.discard_run(decided)
        return decided


def hold(context: HarvestContext, source: str, *, by: str, reason: str) -> None:
    """Hold the next plans of a source for approval, whatever they change, until it is released."""
    now = context.now()
    operators.record_audit_entry(
        context.ledger, AuditEntry(now, by, ActionType.HELD.value, source, note=reason or None)
    )
    operators.hold(context.ledger, SourceHold(source, now, by, reason))


def release(context: HarvestContext, source: str, *, by: str) -> None:
    """End a source's hold; a held plan still needs approval. Raises PlanError if the source is not
    on hold.
    """
    if not operators.release(context.ledger, source):
        raise PlanError(
            Reason(
                "%(source)s: not on hold; to list holds: `stocktake sources list`", source=source
            )
        )
    operators.record_audit_entry(
        context.ledger, AuditEntry(context.now(), by, ActionType.RELEASED.value, source)
    )


def _find_held_plan(context: HarvestContext, source: str, id: str) -> Run:
    run = context.ledger.run(id)
    if run is None:
        raise PlanError(
            Reason(
                "there is no plan %(run)r; to list the plans that await approval: `stocktake plans "
                "list`",
                run=id,
            )
        )
    if run.source != source:
        values = {"run": id, "owner": run.source, "source": source}
        raise PlanError(Reason("%(run)s: this is a plan of %(owner)s, not of %(source)s", **values))
    if run.state is State.SUPERSEDED and (newer := context.ledger.last_run(source, [State.HELD])):
        raise PlanError(
            Reason(
                "%(run)s: superseded; %(newer)s awaits approval now; `stocktake plans show %(newer)s`",
                run=id,
                newer=newer.id,
            )
        )
    if run.state is not State.HELD:
        raise PlanError(
            Reason(
                "%(run)s: not awaiting approval (state: %(state)s); to list the plans that await "
                "approval: `stocktake plans list`",
                run=id,
                state=run.state.value,
            )
        )
    return run


def _check_override(override: Override | None, context: HarvestContext) -> None:
    if override is None:
        return
    if override.limit not in OVERRIDABLE_LIMITS:
        is_limit = override.limit in {item.name for item in fields(Limits)}
        limit = {"limit": override.limit, "known": ", ".join(OVERRIDABLE_LIMITS)}
        raise PlanError(
            Reason(
                "%(limit)r is not a limit that holds plans; known limits: %(known)s"
                if is_limit
                else "%(limit)r is not a limit; known limits: %(known)s",
                **limit,
            )
        )
    if override.value < 0 or (override.limit in SHARES and override.value > 1):
        values = {"limit": override.limit, "value": f"{override.value:g}"}
        raise PlanError(Reason("%(limit)s=%(value)s: use a share from 0 to 1, e.g. 0.6", **values))
    if override.until <= context.now():
        raise PlanError(
            Reason(
                "the override would end at %(until)s UTC, which is in the past; use a later date",
                until=f"{override.until:%Y-%m-%d %H:%M}",
            )
        )


def _audit_note(note: str, override: Override | None) -> str | None:
    raised = (
        f"{override.limit} up to {override.value:g} once, until {override.until:%Y-%m-%d %H:%M} UTC"
        if override
        else ""
    )
    return "; ".join(text for text in (note, raised) if text) or None
