"""Show alerts, their rules, silences and messages, and save rules."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.admin.actions import digest, save_rules
from harvesters.admin.auth import (
    ContextDep,
    CurrentUser,
    FormAdministrator,
    FormFields,
    User,
    redirect,
)
from harvesters.admin.context import AdminContext
from harvesters.admin.operations import perform
from harvesters.admin.pages import CONDITIONS
from harvesters.ledger import outbox
from harvesters.notifications.alerts import (
    EXAMPLE,
    RulesError,
    parse_rules,
    read_rules,
)
from harvesters.site import DefinitionChanged, render_errors_as_pages
from web.templating import get_pages

_PAGE = "/page/alerts"
_SHOWN = 30  # messages, and alerts that ended

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get(_PAGE)
def show_alerts(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show open alerts, rules, silences and the last messages."""
    try:
        text = read_rules(context.data)
    except RulesError as error:
        return _render(
            request, user, context, {"text": "", "digest": "", "rules": [], "faults": error.faults}
        )
    return _render(request, user, context, _check(text, digest(text)))


def _check(text: str, before: str) -> Mapping[str, Any]:
    """Return edited rules, valid ones parsed, or their faults; *before* is the digest of the text
    that was edited.
    """
    edited = {"text": text, "digest": before}
    try:
        return {**edited, "rules": parse_rules(text), "faults": []}
    except RulesError as error:
        return {**edited, "rules": [], "faults": error.faults}


def _render(
    request: Request,
    user: User,
    context: AdminContext,
    rules: Mapping[str, Any],
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
def change_rules(
    form: FormFields, request: Request, user: FormAdministrator, context: ContextDep
) -> Response:
    """Save the rules if they have no fault."""
    text = form.get("text", "").replace("\r\n", "\n")
    edited = _check(text, form.get("before", ""))
    if edited["faults"]:
        return _render(request, user, context, edited, HTTPStatus.UNPROCESSABLE_ENTITY)
    given = save_rules.input(text=text, before=edited["digest"])
    try:
        perform(context, save_rules, user.key, "", given)
    except DefinitionChanged as error:
        return _render(request, user, context, edited, HTTPStatus.CONFLICT, error.localized)
    return redirect(_PAGE)
