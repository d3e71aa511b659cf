"""Handle the forms of the admin pages. Each form carries its session's CSRF token and redirects to
a page.
"""

from __future__ import annotations

from http import HTTPStatus

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from harvesters.admin.actions import create_key
from harvesters.admin.auth import (
    SESSION,
    ContextDep,
    FormAdministrator,
    FormOperator,
    FormReader,
)
from harvesters.admin.forms import FormFields, redirect
from harvesters.admin.operations import AnyOperation, perform, read_input
from harvesters.admin.pages import local_path
from harvesters.admin.routes.pages import render_keys_page
from harvesters.errors import PlanError, SourceLockedError
from harvesters.ledger.operators import Scope
from harvesters.problems import (
    InvalidValue,
    NotFound,
    SessionRequired,
    Unauthenticated,
    describe_error,
)
from harvesters.runs.operations import approve, reject
from harvesters.site import authenticate, render_errors_as_pages
from web.templating import get_pages

log = structlog.get_logger(component="admin")

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.post("/sign-in")
def sign_in(form: FormFields, request: Request, context: ContextDep) -> Response:
    """Start a session with a key."""
    try:
        key = authenticate(request, form.get("key", "").strip())
    except Unauthenticated as error:
        raise SessionRequired(
            "Sign-in failed: the key is mistyped, revoked or expired.", token_sent=True
        ) from error
    if key.scope < Scope.READ:
        raise SessionRequired(
            "This key is for submissions by HTTP; it opens no admin page.", token_sent=True
        )
    context.sessions.end(SESSION.secret(request))
    log.info("signed in", who=key.display_name)
    response = RedirectResponse(local_path(form.get("path", "")), HTTPStatus.SEE_OTHER)
    SESSION.set(request, response, context.sessions.create(key.id))
    return response


@routes.post("/sign-out")
def sign_out(request: Request, user: FormReader, context: ContextDep) -> Response:
    """End the session."""
    context.sessions.end(SESSION.secret(request))
    response = redirect("/")
    SESSION.delete(response)
    return response


@routes.post("/page/plans/approve")
@routes.post("/page/plans/reject")
def decide_chosen(
    form: FormFields, request: Request, user: FormOperator, context: ContextDep
) -> Response:
    """Approve or reject each plan that is ticked in the inbox. An error of one plan does not stop the
    others; the page lists those that were not decided, and why.
    """
    operation: AnyOperation = approve if request.url.path.endswith("/approve") else reject
    chosen = [name.removeprefix("plan:") for name in form if name.startswith("plan:")]
    if not chosen:
        raise InvalidValue("Choose at least one change.")
    comment = "note" if "note" in operation.input.model_fields else "reason"
    given = read_input(operation, {comment: form.get("note", "")}, context)
    refused: list[tuple[str, str]] = []
    for id in chosen:
        try:
            perform(context, operation, user.key, id, given)
        except (PlanError, SourceLockedError, NotFound) as error:
            refused.append((id, describe_error(error)))
    if not refused:
        return redirect("/")
    values = {"user": user, "refused": refused, "decided": len(chosen) - len(refused)}
    return get_pages(request).render("decided.html", values, HTTPStatus.CONFLICT)


@routes.post("/page/keys")
def make_key(
    form: FormFields, request: Request, user: FormAdministrator, context: ContextDep
) -> Response:
    """Create a key and show its token once."""
    given = read_input(create_key, form, context)
    token = perform(context, create_key, user.key, "", given).token
    return render_keys_page(request, user, context, token)
