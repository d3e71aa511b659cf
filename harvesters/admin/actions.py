"""Perform what an operator asks for by API or page, and record each action with its author and
time.
"""

from __future__ import annotations

import structlog

from harvesters.admin.context import AdminContext
from harvesters.ledger import keys as key_store
from harvesters.ledger import operators
from harvesters.ledger.keys import Key, Scope
from harvesters.ledger.models import ActionType, AuditEntry, RunRequest
from harvesters.problems import InvalidValue, NotFound

MAX_KEY_DAYS = 36_500  # longest validity of a key
log = structlog.get_logger(component="admin")


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
