"""Deciding: a person approves or rejects a plan that is held, and holds or releases a source; each act is written down."""

from __future__ import annotations

from dataclasses import fields, replace

from harvesters.errors import PlanError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Run, State
from harvesters.ledger.operator_actions import ActionType, AuditEntry, Override, SourceHold
from harvesters.runs.commit import commit, finish_commit
from harvesters.runs.context import HarvestContext
from harvesters.runs.locks import source_lock
from harvesters.runs.plan import load_plan
from harvesters.source import SHARES, Limits, Source

OVERRIDABLE_LIMITS = ("expect", *SHARES)
_COMMITTED_STATES = (State.COMMITTED, State.UNCHANGED, State.INCOMPLETE)


def check_supersede(ledger: Ledger, source: str, plan: str | None) -> None:
    """Raise PlanError where a plan of *source* waits for approval that *plan* does not name.

    A new run computes a plan of its own and supersedes the one that waits. A person who starts a run confirms that by naming the plan.
    """
    waiting = ledger.last_run(source, [State.HELD])
    if waiting and waiting.id != plan:
        raise PlanError(
            f"{source}: the plan {waiting.id} waits for approval, and a new run would supersede it: {waiting.reason}; "
            f"to run all the same, confirm with supersede={waiting.id}"
        )
    if plan and not waiting:
        raise PlanError(f"{source}: no plan {plan} waits for approval; `stocktake plans list` lists those that do")


def approve(means: HarvestContext, source: Source, run: str, *, by: str, override: Override | None = None, note: str = "") -> Run:
    """Commit a held plan exactly as it was drawn; *override* raises a limit for the next run that needs it.

    Raises PlanError where the plan is not held, or where the source has had another commit since, SourceLockedError while a run of the
    source is under way.
    """
    _check_override(override, means)
    with source_lock(source.name, means) as means:
        begun = means.ledger.run(run)
        if begun and begun.state is State.COMMITTING and begun.source == source.name:  # a crash came into the commit
            return finish_commit(begun, source, means)
        held = _find_held_plan(means, source.name, run)
        newer = means.ledger.last_run(source.name, _COMMITTED_STATES)
        if newer and newer.number > held.number:
            raise PlanError(f"{run}: {newer.id} has been committed since, so the plan no longer fits; `stocktake plans reject {run}`")
        _record_approval(
            means, AuditEntry(means.now(), by, ActionType.APPROVED.value, source.name, run, _audit_note(note, override)), override
        )
        return commit(load_plan(held, means.ledger), source, means)


def _record_approval(means: HarvestContext, act: AuditEntry, override: Override | None) -> None:
    """Write down an approval, once, though a crash may have come between it and the commit, and the person approves again."""
    source = act.source or ""
    last = next(iter(means.ledger.audit_entries(1, source)), None)
    if last is None or replace(last, when=act.when) != act:
        means.ledger.record_audit_entry(act)
    given = [(it.override, it.by) for it in means.ledger.overrides(source) if it.used is None]
    if override and (override, act.who) not in given:
        means.ledger.grant(source, override, act.who, act.when)


def reject(means: HarvestContext, source: Source, run: str, *, by: str, reason: str = "") -> Run:
    """Let a held plan go; the last good data stays. Raises PlanError and SourceLockedError as ``approve`` does."""
    with source_lock(source.name, means) as means:
        held = _find_held_plan(means, source.name, run)
        means.ledger.record_audit_entry(AuditEntry(means.now(), by, ActionType.REJECTED.value, source.name, run, reason or None))
        told = f"rejected by {by}" + (f": {reason}" if reason else "")
        done = replace(held, state=State.REJECTED, ended=max(means.now(), held.started), reason=f"{told}; it was held since {held.reason}")
        means.ledger.discard_run(done)
        return done


def hold(means: HarvestContext, source: str, *, by: str, reason: str) -> None:
    """Have a source's next plans wait for a person, whatever they bring, until it is released."""
    at = means.now()
    means.ledger.record_audit_entry(AuditEntry(at, by, ActionType.HELD.value, source, note=reason or None))
    means.ledger.hold(SourceHold(source, at, by, reason))


def release(means: HarvestContext, source: str, *, by: str) -> None:
    """Let a source's plans pass the guard again; a plan that waits goes on waiting. Raises PlanError where it is not on hold."""
    if not means.ledger.release(source):
        raise PlanError(f"{source}: it is not on hold; `stocktake sources list` tells which are")
    means.ledger.record_audit_entry(AuditEntry(means.now(), by, ActionType.RELEASED.value, source))


def _find_held_plan(means: HarvestContext, source: str, id: str) -> Run:
    run = means.ledger.run(id)
    if run is None:
        raise PlanError(f"there is no plan {id!r}; `stocktake plans list` tells which wait")
    if run.source != source:
        raise PlanError(f"{id}: it is a plan of {run.source}, not of {source}; name that source")
    if run.state is State.SUPERSEDED and (newer := means.ledger.last_run(source, [State.HELD])):
        raise PlanError(f"{id}: it was superseded, and {newer.id} waits for approval now; `stocktake plans show {newer.id}`")
    if run.state is not State.HELD:
        raise PlanError(f"{id}: it is {run.state.value}, so there is nothing to decide; `stocktake plans list` tells which wait")
    return run


def _check_override(override: Override | None, means: HarvestContext) -> None:
    if override is None:
        return
    if override.limit not in OVERRIDABLE_LIMITS:
        known = ", ".join(OVERRIDABLE_LIMITS)
        never = " is no limit that holds a plan" if override.limit in {item.name for item in fields(Limits)} else " is no limit"
        raise PlanError(f"{override.limit!r}{never}; known are {known}")
    if override.value < 0 or (override.limit in SHARES and override.value > 1):
        raise PlanError(f"{override.limit}={override.value:g}: write a share from 0 to 1, such as 0.6")
    if override.until <= means.now():
        raise PlanError(f"the override would end {override.until:%Y-%m-%d %H:%M} UTC, which is past; give a later day")


def _audit_note(note: str, override: Override | None) -> str | None:
    raised = f"{override.limit} up to {override.value:g} once, until {override.until:%Y-%m-%d %H:%M} UTC" if override else ""
    return "; ".join(text for text in (note, raised) if text) or None
