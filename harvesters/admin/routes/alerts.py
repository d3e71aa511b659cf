"""Show alerts, their rules, silences and messages, and handle the forms of that page."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.admin import alerts
from harvesters.admin.auth import (
    ContextDep,
    CurrentUser,
    FormAdministrator,
    FormOperator,
    User,
)
from harvesters.admin.context import AdminContext
from harvesters.admin.forms import FormFields, redirect
from harvesters.admin.labels import CONDITIONS
from harvesters.ledger import outbox
from harvesters.notifications.alerts import EXAMPLE
from harvesters.problems import DefinitionChanged
from harvesters.site import render_errors_as_pages
from web.templating import get_pages

_PAGE = "/page/alerts"
_SHOWN = 30  # messages, and alerts that ended

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get(_PAGE)
def show_alerts(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show open alerts, rules, silences and the last messages."""
    return _render(request, user, context, alerts.current_rules(context))


def _render(
    request: Request,
    user: User,
    context: AdminContext,
    rules: alerts.Rules,
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
def save_rules(
    form: FormFields, request: Request, user: FormAdministrator, context: ContextDep
) -> Response:
    """Save the rules if they have no fault."""
    text = form.get("text", "").replace("\r\n", "\n")
    edited = alerts.check_rules(text, form.get("before", ""))
    if edited.faults:
        return _render(request, user, context, edited, HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        alerts.save_rules(context, user.key, edited)
    except DefinitionChanged as error:
        return _render(request, user, context, edited, HTTPStatus.CONFLICT, error.localized)
    return redirect(_PAGE)


@routes.post(f"{_PAGE}/test")
def send_test(form: FormFields, user: FormOperator, context: ContextDep) -> Response:
    """Send a test message of a rule."""
    alerts.send_test(context, user.key, form.get("rule", ""))
    return redirect(f"{_PAGE}#messages")
