"""Perform what an operator asks for about alerts, and record it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from harvesters.admin.context import AdminContext
from harvesters.ledger import operators, outbox
from harvesters.ledger.keys import Key
from harvesters.ledger.models import ActionType, Alert, AuditEntry
from harvesters.notifications.alerts import write_messages
from harvesters.notifications.rules import FILE, Rule, RulesError, parse_rules, read_rules
from harvesters.problems import DefinitionChanged, InvalidValue, NotFound
from harvesters.reasons import Reason
from harvesters.site import check_note
from journal.atomic_file import replace_file

MAX_SILENCE_HOURS = 24 * 31
MAX_REASON = 200  # characters


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of alerts as text, with the digest of what is stored, their faults, and the valid
    ones.
    """

    text: str
    digest: str
    faults: list[Reason]
    rules: list[Rule]


def current_rules(context: AdminContext) -> Rules:
    """Return the stored rules; with faults, no rule is valid."""
    try:
        text = read_rules(context.data)
    except RulesError as error:
        return Rules("", "", error.faults, [])
    return check_rules(text, digest(text))


def check_rules(text: str, stored: str) -> Rules:
    """Check edited rules; *stored* is the digest of the text that was edited."""
    try:
        return Rules(text, stored, [], parse_rules(text))
    except RulesError as error:
        return Rules(text, stored, error.faults, [])


def digest(text: str) -> str:
    """Return a digest of the stored rules, empty if there are none."""
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


def save_rules(context: AdminContext, key: Key, edited: Rules) -> None:
    """Save checked rules; raise DefinitionChanged if another person changed them meanwhile."""
    if digest(read_rules(context.data)) != edited.digest:
        raise DefinitionChanged(
            "Another person changed these rules meanwhile. Load the page again."
        )
    try:
        replace_file(context.data / FILE, edited.text.encode())
    except OSError as error:
        raise InvalidValue(
            "The rules cannot be written: %(reason)s.", reason=error.strerror
        ) from error
    _record(context, key, ActionType.RULES_SAVED)


def silence(
    context: AdminContext, key: Key, rule: str, source: str, hours: str, reason: str
) -> None:
    """Send no messages of a rule about a source for some hours; empty names stand for all."""
    if not (hours.isdecimal() and 1 <= int(hours[:6]) <= MAX_SILENCE_HOURS):
        raise InvalidValue("Choose 1 to %(longest)s hours.", longest=f"{MAX_SILENCE_HOURS:,}")
    reason = check_note(reason, MAX_REASON)
    until = context.now() + timedelta(hours=int(hours))
    outbox.silence(context.ledger, rule, source, until, key.display_name, reason)
    _record(
        context,
        key,
        ActionType.SILENCED,
        source or None,
        " · ".join(filter(None, (rule, f"{hours} h", reason))),
    )


def end_silence(context: AdminContext, key: Key, id: int) -> None:
    """End a silence; raise NotFound."""
    if not outbox.end_silence(context.ledger, id):
        raise NotFound("There is no such silence. It may have ended.")
    _record(context, key, ActionType.UNSILENCED)


def send_test(context: AdminContext, key: Key, name: str) -> None:
    """Queue a test message to every address of a rule; raise NotFound."""
    rule = next((rule for rule in current_rules(context).rules if rule.name == name), None)
    if rule is None:
        raise NotFound("There is no rule with that name.")
    now = context.now()
    alert = Alert(0, name, "", now, Reason("alert_test", by=key.display_name))
    outbox.queue_messages(context.ledger, write_messages(rule, alert, context.channels, now), now)
    _record(context, key, ActionType.TESTED, note=name)


def retry_message(context: AdminContext, key: Key, id: int) -> None:
    """Send an undelivered message again at once; raise NotFound."""
    if not outbox.retry_message(context.ledger, id, context.now()):
        raise NotFound("There is no undelivered message with that number.")
    _record(context, key, ActionType.RESENT, note=str(id))


def _record(
    context: AdminContext,
    key: Key,
    action: ActionType,
    source: str | None = None,
    note: str | None = None,
) -> None:
    operators.record_audit_entry(
        context.ledger, AuditEntry(context.now(), key.display_name, action.value, source, note=note)
    )
