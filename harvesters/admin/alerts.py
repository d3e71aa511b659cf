"""Perform what an operator asks for about alerts, and record it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.admin.auth import (
    ContextDep,
    CurrentUser,
    FormAdministrator,
    FormFields,
    FormOperator,
    User,
    redirect,
)
from harvesters.admin.context import AdminContext
from harvesters.admin.pages import CONDITIONS
from harvesters.admin.sources import digest
from harvesters.ledger import outbox
from harvesters.ledger.models import ActionType, Alert
from harvesters.ledger.operators import Key
from harvesters.notifications.alerts import (
    EXAMPLE,
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
from harvesters.site import render_errors_as_pages
from journal.atomic_file import replace_file
from web.templating import get_pages


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


_PAGE = "/page/alerts"
_SHOWN = 30  # messages, and alerts that ended

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get(_PAGE)
def show_alerts(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show open alerts, rules, silences and the last messages."""
    return _render(request, user, context, current_rules(context))


def _render(
    request: Request,
    user: User,
    context: AdminContext,
    rules: Rules,
    status: HTTPStatus = HTTPStatus.OK,
    conflict: str = "",
) -> Response:
    ledger = context.ledger
    values = {
        "user": user,
        "rules": rules,
        "conflict": conflict,
        "example": EXAMPLE,
        "open": outbox.alerts(ledger, is_open=True),
        "ended": outbox.alerts(ledger, is_open=False, limit=_SHOWN),
        "silences": outbox.silences(ledger, context.now()),
        "messages": outbox.messages(ledger, _SHOWN),
        "channels": context.channels,
        "conditions": CONDITIONS,
    }
    return get_pages(request).render("alerts.html", values, status)


@routes.post(f"{_PAGE}/rules")
def store_rules(
    form: FormFields, request: Request, user: FormAdministrator, context: ContextDep
) -> Response:
    """Save the rules if they have no fault."""
    text = form.get("text", "").replace("\r\n", "\n")
    edited = check_rules(text, form.get("before", ""))
    if edited.faults:
        return _render(request, user, context, edited, HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        save_rules(context, user.key, edited)
    except DefinitionChanged as error:
        return _render(request, user, context, edited, HTTPStatus.CONFLICT, error.localized)
    return redirect(_PAGE)


@routes.post(f"{_PAGE}/test")
def test_rule(form: FormFields, user: FormOperator, context: ContextDep) -> Response:
    """Send a test message of a rule."""
    send_test(context, user.key, form.get("rule", ""))
    return redirect(f"{_PAGE}#messages")
