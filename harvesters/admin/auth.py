"""Authenticate requests and check what their key allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials

from harvesters.admin.context import AdminContext
from harvesters.admin.forms import FormFields
from harvesters.ledger import operators
from harvesters.ledger.operators import Key, Scope
from harvesters.problems import (
    CSRFError,
    InsufficientScope,
    SessionRequired,
    Unauthenticated,
)
from harvesters.site import Credentials, authenticate
from web.sessions import Session, is_same_token

COOKIE = "admin"
log = structlog.get_logger(component="admin")


@dataclass(frozen=True, slots=True)
class User:
    """A person who has signed in at a browser."""

    key: Key
    session: Session

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
    session_id = request.cookies.get(COOKIE, "")
    session = context.sessions.find(session_id) if session_id else None
    if session is None:
        raise SessionRequired("Sign in with your key.", token_sent=False)
    key = operators.find_key(context.ledger, session.key)
    if key is None or not key.is_valid(context.now()) or key.scope < Scope.READ:
        context.sessions.end(session_id)
        raise SessionRequired("Your key was revoked or has expired.", token_sent=False)
    request.state.who = key.display_name
    return User(key, session)


CurrentUser = Annotated[User, Depends(require_session)]


def user_of_page(scope: Scope) -> Callable[[User], User]:
    """Return the dependency for a user whose key has *scope* or more."""

    def require_scope(user: CurrentUser) -> User:
        if not user.allows(scope):
            raise InsufficientScope(scope.label, user.key.scope.label)
        return user

    return require_scope


def user_of_form(scope: Scope) -> Callable[[User, Mapping[str, str]], User]:
    """Return the dependency for a user whose key has *scope* or more, and who sent the form from
    the same session.
    """

    def check_csrf(user: CurrentUser, form: FormFields) -> User:
        if not is_same_token(user.session.csrf, form.get("csrf", "")):
            raise CSRFError("This form belongs to another session. Reload the page.")
        return user_of_page(scope)(user)

    return check_csrf


Reader = Annotated[Key, Depends(require_read)]
Operator = Annotated[Key, Depends(require_operate)]
Administrator = Annotated[Key, Depends(require_admin)]
PageAdministrator = Annotated[User, Depends(user_of_page(Scope.ADMIN))]
FormReader = Annotated[User, Depends(user_of_form(Scope.READ))]
FormOperator = Annotated[User, Depends(user_of_form(Scope.OPERATE))]
FormAdministrator = Annotated[User, Depends(user_of_form(Scope.ADMIN))]
ContextDep = Annotated[AdminContext, Depends(get_context)]
