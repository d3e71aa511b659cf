"""Authenticate requests and check what their key allows; read the forms of signed-in users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.responses import RedirectResponse, Response

from harvesters.admin.context import AdminContext
from harvesters.admin.pages import BASE_PATH, local_path
from harvesters.ledger import operators
from harvesters.ledger.operators import Key, Scope
from harvesters.site import (
    Credentials,
    InsufficientScope,
    SessionRequired,
    Unauthenticated,
    authenticate,
    check_session,
    read_fields,
    render_errors_as_pages,
)
from web.sessions import MAX_AGE, SessionCookie

_MAX_FORM_BYTES = 60_000  # a source definition and a note
_MAX_FORM_FIELDS = 60  # a page of plans to approve together


async def read_form(request: Request) -> Mapping[str, str]:
    """Read a form of this site; of a field with several values, the last one."""
    fields = await read_fields(request, _MAX_FORM_BYTES, _MAX_FORM_FIELDS)
    return {name: values[-1] for name, values in fields.items()}


def redirect(path: str) -> Response:
    """Redirect to an admin page after a form."""
    return RedirectResponse(BASE_PATH + path, HTTPStatus.SEE_OTHER)


FormFields = Annotated[Mapping[str, str], Depends(read_form)]


SESSION = SessionCookie("admin", BASE_PATH, MAX_AGE, "strict")
log = structlog.get_logger(component="admin")


@dataclass(frozen=True, slots=True)
class User:
    """A person who has signed in at a browser."""

    key: Key
    csrf: str  # in each form

    def allows(self, scope: Scope) -> bool:
        """Return whether the key has *scope* or more."""
        return self.key.scope >= scope


def get_context(request: Request) -> AdminContext:
    """Return the context that the app was created with."""
    context: AdminContext = request.app.state.context
    return context


def _authorize(
    request: Request, credentials: HTTPAuthorizationCredentials | None, scope: Scope
) -> Key:
    if credentials is None:
        raise Unauthenticated(
            "A key is required. Send it as `Authorization: Bearer KEY`.", token_sent=False
        )
    key = authenticate(request, credentials.credentials)
    request.state.who = key.display_name
    if key.scope < scope:
        raise InsufficientScope(scope.label, key.scope.label)
    return key


def require_read(request: Request, credentials: Credentials) -> Key:
    """Admit keys with the scope read or more."""
    return _authorize(request, credentials, Scope.READ)


def require_operate(request: Request, credentials: Credentials) -> Key:
    """Admit keys with the scope operate or more."""
    return _authorize(request, credentials, Scope.OPERATE)


def require_admin(request: Request, credentials: Credentials) -> Key:
    """Admit keys with the scope admin."""
    return _authorize(request, credentials, Scope.ADMIN)


def require_session(request: Request) -> User:
    """Return the signed-in user. The key is checked at each request, since it may have been
    revoked.
    """
    context = get_context(request)
    secret = SESSION.secret(request)
    key_id = context.sessions.find(secret)
    if key_id is None:
        raise SessionRequired("Sign in with your key.", token_sent=False)
    key = operators.find_key(context.ledger, key_id)
    if key is None or not key.is_valid(context.now()) or key.scope < Scope.READ:
        context.sessions.end(secret)
        raise SessionRequired("Your key was revoked or has expired.", token_sent=False)
    request.state.who = key.display_name
    return User(key, SESSION.token(request))


CurrentUser = Annotated[User, Depends(require_session)]


def user_of_page(scope: Scope) -> Callable[[User], User]:
    """Return the dependency for a user whose key has *scope* or more."""

    def require_scope(user: CurrentUser) -> User:
        if not user.allows(scope):
            raise InsufficientScope(scope.label, user.key.scope.label)
        return user

    return require_scope


def user_of_form(scope: Scope) -> Callable[[User, Mapping[str, str], Request], User]:
    """Return the dependency for a user whose key has *scope* or more, and who sent the form from
    the same session.
    """

    def require_sender(user: CurrentUser, form: FormFields, request: Request) -> User:
        check_session(SESSION, request, form.get("csrf", ""))
        return user_of_page(scope)(user)

    return require_sender


Reader = Annotated[Key, Depends(require_read)]
Operator = Annotated[Key, Depends(require_operate)]
Administrator = Annotated[Key, Depends(require_admin)]
PageAdministrator = Annotated[User, Depends(user_of_page(Scope.ADMIN))]
FormReader = Annotated[User, Depends(user_of_form(Scope.READ))]
FormOperator = Annotated[User, Depends(user_of_form(Scope.OPERATE))]
FormAdministrator = Annotated[User, Depends(user_of_form(Scope.ADMIN))]
ContextDep = Annotated[AdminContext, Depends(get_context)]


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
