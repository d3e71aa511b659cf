"""Perform what an operator asks for by API or page, and record each action with its author and
time.
"""

from __future__ import annotations

import structlog

from harvesters.admin.context import AdminContext
from harvesters.ledger import keys as key_store
from harvesters.ledger import operators
from harvesters.ledger.keys import Key, Scope
from harvesters.ledger.models import ActionType, AuditEntry, Override, Run, RunRequest
from harvesters.problems import InvalidValue, NotFound
from harvesters.runs import status_file
from harvesters.runs.plans import plan_decisions
from harvesters.runs.plans.undo import undo as undo_run
from harvesters.site import check_note

MAX_KEY_DAYS = 36_500  # longest validity of a key
log = structlog.get_logger(component="admin")


def request_run(
    context: AdminContext, key: Key, source: str, *, full: bool, supersede: str = ""
) -> RunRequest:
    """Request a run now; the scheduler claims it.

    *supersede* names the source's plan that awaits approval, if there is one: the new run
    supersedes it. Raises InvalidValue if the source is disabled, NotFound, and PlanError if a plan
    awaits approval and is not named.
    """
    if not context.source(source).enabled:
        raise InvalidValue(
            "%(source)s is disabled. Set enabled = true in its source definition.", source=source
        )
    now, ledger = context.now(), context.ledger
    plan_decisions.check_supersede(ledger, source, supersede or None)
    request_id = operators.request_run(ledger, source, full, key.display_name, now)
    operators.record_audit_entry(
        ledger,
        AuditEntry(
            now,
            key.display_name,
            ActionType.REQUESTED.value,
            source,
            note=_request_note(supersede, full=full),
        ),
    )
    _log_action(key, ActionType.REQUESTED.value, source=source, request=request_id)
    return get_run_request(context, request_id)


def _request_note(supersede: str, *, full: bool) -> str | None:
    return (
        ", ".join(
            [*(["full"] if full else []), *([f"supersedes {supersede}"] if supersede else [])]
        )
        or None
    )


def record_remap(context: AdminContext, key: Key, source: str) -> None:
    """Record that a person has the archived data of a source mapped again."""
    entry = AuditEntry(
        context.now(), key.display_name, ActionType.REQUESTED.value, source, note="remap"
    )
    operators.record_audit_entry(context.ledger, entry)
    _log_action(key, ActionType.REQUESTED.value, source=source, remap="yes")


def get_run_request(context: AdminContext, request_id: int) -> RunRequest:
    """Return a run request by its number; raise NotFound."""
    request = operators.run_request(context.ledger, request_id)
    if request is None:
        raise NotFound("There is no queued run %(number)s.", number=request_id)
    return request


def hold(context: AdminContext, key: Key, source: str, reason: str) -> None:
    """Make all plans of a source wait for approval."""
    context.source(source)
    with context.writer() as harvest:
        plan_decisions.hold(harvest, source, by=key.display_name, reason=check_note(reason))
        status_file.update_status(harvest)
    _log_action(key, ActionType.HELD.value, source=source)


def release(context: AdminContext, key: Key, source: str) -> None:
    """Remove the hold on a source; raise PlanError if it is not on hold."""
    context.source(source)
    with context.writer() as harvest:
        plan_decisions.release(harvest, source, by=key.display_name)
        status_file.update_status(harvest)
    _log_action(key, ActionType.RELEASED.value, source=source)


def approve(context: AdminContext, key: Key, run: Run, note: str, override: Override | None) -> Run:
    """Approve a plan and commit it unchanged; raise PlanError if it is no longer open."""
    source = context.source(run.source)
    with context.writer() as harvest:
        run_after = plan_decisions.approve(
            harvest, source, run.id, by=key.display_name, override=override, note=check_note(note)
        )
        status_file.update_status(harvest)
    _log_action(key, ActionType.APPROVED.value, source=run.source, run=run.id)
    return run_after


def reject(context: AdminContext, key: Key, run: Run, reason: str) -> Run:
    """Reject a plan; raise PlanError if it is no longer open."""
    source = context.source(run.source)
    with context.writer() as harvest:
        run_after = plan_decisions.reject(
            harvest, source, run.id, by=key.display_name, reason=check_note(reason)
        )
        status_file.update_status(harvest)
    _log_action(key, ActionType.REJECTED.value, source=run.source, run=run.id)
    return run_after


def undo(context: AdminContext, key: Key, run: Run, reason: str) -> Run:
    """Undo the approval of a run; return the run that restored the data. Raises PlanError."""
    source = context.source(run.source)
    with context.writer() as harvest:
        run_after = undo_run(
            harvest, source, run.id, by=key.display_name, reason=check_note(reason)
        )
        status_file.update_status(harvest)
    _log_action(key, ActionType.UNDONE.value, source=run.source, run=run.id)
    return run_after


def create_key(
    context: AdminContext, key: Key, name: str, allowed: Scope, days: int | None
) -> tuple[Key, str]:
    """Create a key; return it and its token."""
    if not key_store.is_valid_name(name):
        raise InvalidValue(
            "The owner's name needs 1 to %(longest)s visible characters.",
            longest=key_store.MAX_NAME_LENGTH,
        )
    created_key, token = key_store.create(context.ledger, name, allowed, context.now(), days)
    operators.record_audit_entry(
        context.ledger,
        AuditEntry(
            context.now(),
            key.display_name,
            "key created",
            note=f"{created_key.display_name}, {allowed.label}",
        ),
    )
    _log_action(key, "key created", key=created_key.id)
    return created_key, token


def revoke_key(context: AdminContext, key: Key, key_id: str) -> Key:
    """Revoke a key; raise KeyNotFound."""
    revoked_key = key_store.revoke(context.ledger, key_id, context.now())
    operators.record_audit_entry(
        context.ledger,
        AuditEntry(context.now(), key.display_name, "key revoked", note=revoked_key.display_name),
    )
    _log_action(key, "key revoked", key=revoked_key.id)
    return revoked_key


def _log_action(by: Key, event: str, **fields: str | int | None) -> None:
    log.info(event, who=by.display_name, **fields)
