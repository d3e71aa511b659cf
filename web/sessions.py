"""Check who sends a form, by its site and by the session of its cookie, whose token is in the form.

Source: https://www.w3.org/TR/fetch-metadata/.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from http import HTTPStatus
from typing import Literal

from cachetools import TLRUCache
from starlette.requests import Request
from starlette.responses import Response

from web.respond import HTTPProblem

MAX_AGE = timedelta(hours=8)  # one working day
IDLE_TIMEOUT = timedelta(hours=1)  # for a browser left open
_MAX_SESSIONS = 1_000  # the one that was longest idle is dropped


def is_own_form(request: Request) -> bool:
    """Return whether a page of this site sends the request, or no page. Browsers state it; older
    ones name the site in Origin alone (https://www.rfc-editor.org/rfc/rfc6454#section-7).
    """
    if site := request.headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    host = request.headers.get("host", "")
    return request.headers.get("origin", f"//{host}").rpartition("//")[2] == host


def check_origin(request: Request) -> None:
    """Raise HTTPProblem if a page of another site sends the request."""
    if not is_own_form(request):
        raise HTTPProblem(HTTPStatus.FORBIDDEN, "The form is sent from our own page only")


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """The cookie with the secret of a session, for *age*, sent to the pages below *path*. Each form
    of the session has a token of the secret, which the page of another site cannot compute.
    """

    name: str
    path: str
    age: timedelta
    same_site: Literal["lax", "strict"] = "lax"

    def secret(self, request: Request) -> str:
        """Return the secret of the request, "" without one."""
        return request.cookies.get(self.name, "")

    def token(self, request: Request) -> str:
        """Return what each form of the session contains."""
        return sha256(b"csrf:" + self.secret(request).encode(errors="replace")).hexdigest()

    def is_token(self, request: Request, sent: str) -> bool:
        """Return whether a form contains the token, in a time that does not depend on it."""
        return compare_digest(self.token(request).encode(), sent.encode(errors="replace"))

    def set(self, request: Request, response: Response, secret: str) -> None:
        response.set_cookie(
            self.name,
            secret,
            max_age=int(self.age.total_seconds()),
            path=self.path,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite=self.same_site,
        )

    def delete(self, response: Response) -> None:
        response.delete_cookie(self.name, self.path, httponly=True, samesite=self.same_site)


class Sessions:
    """The sessions of this process, by the hash of their secret; a restart ends them all. The secret
    is random, never the key that signed in.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now, self._lock = now, threading.Lock()
        self._open: TLRUCache[str, tuple[str, datetime]] = TLRUCache(
            _MAX_SESSIONS,
            lambda _id, session, used: min(
                (session[1] + MAX_AGE).timestamp(), used + IDLE_TIMEOUT.total_seconds()
            ),
            lambda: now().timestamp(),
        )

    def create(self, key: str) -> str:
        """Create a session for the key with this id; return its secret."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._open[_hash(secret)] = key, self._now()
        return secret

    def find(self, secret: str) -> str | None:
        """Return the id of the key of a session and update its last use; None if there is none or it
        has expired.
        """
        with self._lock:
            if session := self._open.get(_hash(secret)):
                self._open[_hash(secret)] = session
            return session[0] if session else None

    def end(self, secret: str) -> None:
        with self._lock:
            self._open.pop(_hash(secret), None)


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="replace")).hexdigest()
