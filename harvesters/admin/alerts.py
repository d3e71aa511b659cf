"""Perform what an operator asks for about alerts, and record it."""

from __future__ import annotations

from dataclasses import dataclass

from harvesters.admin.context import AdminContext
from harvesters.admin.definitions import digest
from harvesters.ledger import outbox
from harvesters.ledger.models import ActionType, Alert
from harvesters.ledger.operators import Key
from harvesters.notifications.alerts import (
    FILE,
    Rule,
    RulesError,
    parse_rules,
    read_rules,
    write_messages,
)
from harvesters.problems import DefinitionChanged, InvalidValue, NotFound
from harvesters.reasons import Reason
from harvesters.runs.operations import audit
from journal.atomic_file import replace_file


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of alerts: their *text*, the *digest* of the stored text, the *faults* in it, and
    the valid *rules*.
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
    audit(context.reader(), key.display_name, ActionType.RULES_SAVED)


def send_test(context: AdminContext, key: Key, name: str) -> None:
    """Queue a test message to every address of a rule; raise NotFound."""
    rule = next((rule for rule in current_rules(context).rules if rule.name == name), None)
    if rule is None:
        raise NotFound("There is no rule with that name.")
    now = context.now()
    alert = Alert(0, name, "", now, Reason("alert_test", by=key.display_name))
    outbox.queue_messages(context.ledger, write_messages(rule, alert, context.channels, now), now)
    audit(context.reader(), key.display_name, ActionType.TESTED, note=name)
