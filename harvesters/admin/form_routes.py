"""Handle the forms of the admin pages. Each form carries its session's CSRF token and redirects to a page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl, quote

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from harvesters.admin import actions, pagination, plans
from harvesters.admin.auth import COOKIE, ContextDep, CurrentUser, authenticate, check_csrf, check_same_site, render_errors_as_pages
from harvesters.admin.context import AdminContext
from harvesters.admin.errors import InvalidValue, SessionRequired, Unauthenticated
from harvesters.admin.keys import Scope, parse_scope
from harvesters.admin.page_routes import render_keys_page
from harvesters.admin.pages import BASE_PATH, local_path
from harvesters.admin.sessions import MAX_AGE
from harvesters.ledger.operator_actions import Override

_MAX_FORM_BYTES = 16_384  # a note of 2,000 characters, of up to nine bytes each when percent-encoded
log = structlog.get_logger(component="admin")

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


async def read_form(request: Request) -> Mapping[str, str]:
    """Read a form of this site (application/x-www-form-urlencoded)."""
    check_same_site(request)
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > _MAX_FORM_BYTES:
            raise InvalidValue("A form can have at most %(longest)s bytes.", longest=f"{_MAX_FORM_BYTES:,}")
    try:
        return dict(
            parse_qsl(received.decode("ascii"), keep_blank_values=True, strict_parsing=bool(received), errors="strict", max_num_fields=20)
        )
    except ValueError as error:
        raise InvalidValue("The request body is not a valid form.") from error


FormFields = Annotated[Mapping[str, str], Depends(read_form)]


def _redirect(path: str) -> Response:
    return RedirectResponse(BASE_PATH + path, HTTPStatus.SEE_OTHER)


@routes.post("/sign-in")
def sign_in(form: FormFields, request: Request, context: ContextDep) -> Response:
    """Start a session with a key."""
    try:
        key = authenticate(request, form.get("key", "").strip())
    except Unauthenticated as error:
        raise SessionRequired("Sign-in failed: the key is mistyped, revoked or expired.", token_sent=True) from error
    if old := request.cookies.get(COOKIE):
        context.sessions.end(old)
    log.info("signed in", who=key.display_name)
    response = RedirectResponse(local_path(form.get("path", "")), HTTPStatus.SEE_OTHER)
    secure, age = request.url.scheme == "https", int(MAX_AGE.total_seconds())
    response.set_cookie(
        COOKIE, context.sessions.create(key.id), max_age=age, path=BASE_PATH, secure=secure, httponly=True, samesite="strict"
    )
    return response


@routes.post("/sign-out")
def sign_out(form: FormFields, request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """End the session."""
    check_csrf(user, form.get("csrf", ""), Scope.READ)
    context.sessions.end(request.cookies[COOKIE])
    response = _redirect("/")
    response.delete_cookie(COOKIE, path=BASE_PATH, httponly=True, samesite="strict")
    return response


@routes.post("/page/sources/{name}/runs")
def run_now(name: str, form: FormFields, user: CurrentUser, context: ContextDep) -> Response:
    """Request a run now."""
    check_csrf(user, form.get("csrf", ""), Scope.OPERATE)
    actions.request_run(context, user.key, name, full=form.get("full") == "yes", supersede=form.get("supersede", ""))
    return _redirect("/")


@routes.post("/page/sources/{name}/hold")
def hold(name: str, form: FormFields, user: CurrentUser, context: ContextDep) -> Response:
    """Put a source on hold."""
    check_csrf(user, form.get("csrf", ""), Scope.OPERATE)
    actions.hold(context, user.key, name, form.get("reason", ""))
    return _redirect("/")


@routes.post("/page/sources/{name}/release")
def release(name: str, form: FormFields, user: CurrentUser, context: ContextDep) -> Response:
    """Remove the hold on a source."""
    check_csrf(user, form.get("csrf", ""), Scope.OPERATE)
    actions.release(context, user.key, name)
    return _redirect("/")


@routes.post("/page/plans/{id}/approve")
def approve(id: str, form: FormFields, user: CurrentUser, context: ContextDep) -> Response:
    """Approve a plan."""
    check_csrf(user, form.get("csrf", ""), Scope.OPERATE)
    run = pagination.get_run(context.ledger, id)
    actions.approve(context, user.key, run, form.get("note", ""), _parse_override(form, context))
    return _redirect(f"/page/runs/{quote(id, safe='')}")


@routes.post("/page/plans/{id}/reject")
def reject(id: str, form: FormFields, user: CurrentUser, context: ContextDep) -> Response:
    """Reject a plan."""
    check_csrf(user, form.get("csrf", ""), Scope.OPERATE)
    actions.reject(context, user.key, pagination.get_run(context.ledger, id), form.get("note", ""))
    return _redirect(f"/page/runs/{quote(id, safe='')}")


@routes.post("/page/keys")
def make_key(form: FormFields, request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Create a key and show its token once."""
    check_csrf(user, form.get("csrf", ""), Scope.ADMIN)
    allowed, days = parse_scope(form.get("scope", "")), form.get("days", "")
    if allowed is None or (days and not (days.isdecimal() and 1 <= int(days[:9]) <= actions.MAX_KEY_DAYS)):
        longest = f"{actions.MAX_KEY_DAYS:,}"
        raise InvalidValue("A key needs a permission, and expires after 1 to %(longest)s days or never.", longest=longest)
    _, token = actions.create_key(context, user.key, form.get("name", "").strip(), allowed, int(days) if days else None)
    return render_keys_page(request, user, context, token)


@routes.post("/page/keys/{id}/revoke")
def revoke_key(id: str, form: FormFields, user: CurrentUser, context: ContextDep) -> Response:
    """Revoke a key."""
    check_csrf(user, form.get("csrf", ""), Scope.ADMIN)
    actions.revoke_key(context, user.key, id)
    return _redirect("/page/keys")


def _parse_override(form: Mapping[str, str], context: AdminContext) -> Override | None:
    """Return the override in the form (a limit, its value, and the days it is valid), or None."""
    limit = form.get("limit", "")
    if not limit:
        return None
    try:
        value, days = float(form.get("value", "")), int(form.get("days", ""))
        until = context.now() + timedelta(days=days)
    except (ValueError, OverflowError) as error:
        raise InvalidValue("Choose a limit, its new value and a number of days.") from error
    return plans.parse_override(context, limit, value, until)
