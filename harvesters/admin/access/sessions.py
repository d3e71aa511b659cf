"""Keep browser sessions. The cookie holds a random session id, never the key."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

MAX_AGE = timedelta(hours=8)  # one working day
IDLE_TIMEOUT = timedelta(hours=1)  # for a browser left open
_MAX_SESSIONS = 1_000  # the oldest is dropped


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in key; *csrf* is contained in each form of the session."""

    key: str
    created: datetime
    last_seen: datetime
    csrf: str

    def is_active(self, now: datetime) -> bool:
        """Return whether the session has not expired."""
        return now - self.created < MAX_AGE and now - self.last_seen < IDLE_TIMEOUT

    def matches_csrf(self, csrf: str) -> bool:
        """Return whether a form was sent by a page of this session."""
        return compare_digest(self.csrf.encode(), csrf.encode())


@dataclass(slots=True)
class Sessions:
    """The sessions of this process, by the hash of their id; a restart ends them all."""

    now: Callable[[], datetime]
    _open: OrderedDict[str, Session] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, key: str) -> str:
        """Create a session for the key with this id; return the session id for the cookie."""
        session_id, now = secrets.token_urlsafe(32), self.now()
        with self._lock:
            self._open[_hash_id(session_id)] = Session(key, now, now, secrets.token_urlsafe(32))
            if len(self._open) > _MAX_SESSIONS:
                self._open.popitem(last=False)
        return session_id

    def find(self, session_id: str) -> Session | None:
        """Return the session with this id and update its last use; None if there is none or it has
        expired.
        """
        now, hashed_id = self.now(), _hash_id(session_id)
        with self._lock:
            session = self._open.get(hashed_id)
            if session is None:
                return None
            if not session.is_active(now):
                del self._open[hashed_id]
                return None
            self._open[hashed_id] = replace(session, last_seen=now)
            return session

    def end(self, session_id: str) -> None:
        """End a session, if it exists."""
        with self._lock:
            self._open.pop(_hash_id(session_id), None)


def _hash_id(session_id: str) -> str:
    return sha256(session_id.encode(errors="replace")).hexdigest()
