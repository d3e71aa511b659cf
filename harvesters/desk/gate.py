"""The gate: who asks, and whether the key allows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from harvesters.desk import keyring
from harvesters.desk.errors import Forged, NoKey, SignedOut, TooLittle, TooMany
from harvesters.desk.keys import Key, Scope
from harvesters.desk.office import Office
from harvesters.desk.sessions import Session
from harvesters.errors import LedgerError

COOKIE = "desk"
log = structlog.get_logger(room="desk")

Shown = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(HTTPBearer(auto_error=False, scheme_name="key", description="A key of `stocktake keys create` (RFC 6750).")),
]


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person at a browser who has signed in."""

    key: Key
    session: Session

    def may(self, scope: Scope) -> bool:
        """Tell whether the key allows what *scope* does."""
        return self.key.scope >= scope


def office_of(request: Request) -> Office:
    """Give the office that the app was made with."""
    office: Office = request.app.state.office
    return office


def client_of(request: Request) -> str:
    """Give the address that asks; behind a proxy on this machine, the one that the proxy tells."""
    return request.client.host if request.client else "unknown"


def known(request: Request, token: str) -> Key:
    """Return the key that *token* is, and note its use.

    Raises NoKey where it is none, and TooMany where too many before it were none either: a good key is never refused for
    the wrong ones of others at the same address.
    """
    office, client = office_of(request), client_of(request)
    key = keyring.check(office.ledger, token, office.now())
    if key is None:
        if seconds := office.throttle.wait(client):
            raise TooMany(f"too many wrong keys came from here; wait {seconds} seconds", seconds)
        office.throttle.wrong(client)
        raise NoKey("this key is not good: it is mistyped, revoked or expired", shown=True)
    try:
        keyring.note(office.ledger, key, office.now())
    except LedgerError as error:  # who only reads need not wait for who writes
        log.warning("the last use of a key was not noted", key=key.id, reason=str(error))
    return key


def _allowed(request: Request, shown: HTTPAuthorizationCredentials | None, scope: Scope) -> Key:
    if shown is None:
        raise NoKey("this needs a key: send it as `Authorization: Bearer KEY`", shown=False)
    key = known(request, shown.credentials)
    request.state.who = key.who
    if key.scope < scope:
        raise TooLittle(f"this needs a key with the scope {scope.word}; yours has {key.scope.word}", scope.word)
    return key


def reads(request: Request, shown: Shown) -> Key:
    """Admit keys with the scope read or more."""
    return _allowed(request, shown, Scope.READ)


def operates(request: Request, shown: Shown) -> Key:
    """Admit keys with the scope operate or more."""
    return _allowed(request, shown, Scope.OPERATE)


def administers(request: Request, shown: Shown) -> Key:
    """Admit keys with the scope admin."""
    return _allowed(request, shown, Scope.ADMIN)


def may_operate(office: Office, request: Request) -> bool:
    """Tell whether *request*, which is not put to the desk, shows a key with the scope operate or more."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        return False
    key = keyring.check(office.ledger, token.strip(), office.now())
    if key is None:
        office.throttle.wrong(client_of(request))
    return key is not None and key.scope >= Scope.OPERATE


def visits(request: Request) -> Visitor:
    """Admit who has signed in; the key is looked at each time, since it may have been revoked."""
    office = office_of(request)
    number = request.cookies.get(COOKIE, "")
    session = office.sessions.find(number) if number else None
    if session is None:
        raise SignedOut("Sign in with your key.", shown=False)
    key = keyring.find(office.ledger, session.key)
    if key is None or not key.opens(office.now()):
        office.sessions.end(number)
        raise SignedOut("Your key is no longer good.", shown=False)
    request.state.who = key.who
    return Visitor(key, session)


def same_site(request: Request) -> None:
    """Refuse a form that a page of another site sent; browsers say so themselves (https://www.w3.org/TR/fetch-metadata/)."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    ours = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if site not in (None, "same-origin", "none") or (site is None and origin is not None and origin != ours):
        raise Forged("this form did not come from a page of the desk")


def page(request: Request) -> None:
    """Have errors told as pages."""
    request.state.page = True


def meant(visitor: Visitor, csrf: str, scope: Scope) -> None:
    """Refuse a form that no page of this session holds, or that its key does not allow."""
    if not visitor.session.meant(csrf):
        raise Forged("this form is not one of your session; load the page again")
    meant_for(visitor, scope)


def meant_for(visitor: Visitor, scope: Scope) -> None:
    """Refuse what the visitor's key does not allow."""
    if not visitor.may(scope):
        raise TooLittle(f"this needs a key with the scope {scope.word}; yours has {visitor.key.scope.word}", scope.word)


Reader = Annotated[Key, Depends(reads)]
Operator = Annotated[Key, Depends(operates)]
Administrator = Annotated[Key, Depends(administers)]
Guest = Annotated[Visitor, Depends(visits)]
Here = Annotated[Office, Depends(office_of)]
