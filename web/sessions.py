"""Check who sends a form, by its site, its session, and the token of the session in the form.

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

from cachetools import TLRUCache
from starlette.requests import Request

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


def csrf_token(secret: str) -> str:
    """Return what each form of the session with this secret contains: it cannot be computed from
    the page of another site.
    """
    return sha256(b"csrf:" + secret.encode(errors="replace")).hexdigest()


def is_same_token(token: str, sent: str) -> bool:
    """Return whether *sent* is *token*, in a time that does not depend on it."""
    return compare_digest(token.encode(), sent.encode(errors="replace"))


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in key; *csrf* is contained in each form of the session."""

    key: str
    created: datetime
    csrf: str


class Sessions:
    """The sessions of this process, by the hash of their id; a restart ends them all. The cookie
    has the id, which is random, never the key.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now, self._lock = now, threading.Lock()
        self._open: TLRUCache[str, Session] = TLRUCache(
            _MAX_SESSIONS,
            lambda _id, session, used: min(
                (session.created + MAX_AGE).timestamp(), used + IDLE_TIMEOUT.total_seconds()
            ),
            lambda: now().timestamp(),
        )

    def create(self, key: str) -> str:
        """Create a session for the key with this id; return the session id for the cookie."""
        session_id = secrets.token_urlsafe(32)
        with self._lock:
            self._open[_hash_id(session_id)] = Session(key, self._now(), csrf_token(session_id))
        return session_id

    def find(self, session_id: str) -> Session | None:
        """Return the session with this id and update its last use; None if there is none or it has
        expired.
        """
        hashed_id = _hash_id(session_id)
        with self._lock:
            if session := self._open.get(hashed_id):
                self._open[hashed_id] = session
            return session

    def end(self, session_id: str) -> None:
        with self._lock:
            self._open.pop(_hash_id(session_id), None)


def _hash_id(session_id: str) -> str:
    return sha256(session_id.encode(errors="replace")).hexdigest()
