"""Sessions: a person at a browser shows the key once; the cookie holds no key, only a number that means nothing elsewhere."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

LIFE = timedelta(hours=8)  # a day's work, then the key is asked for again
IDLE = timedelta(hours=1)  # a browser that was left open
_MOST = 1_000  # sessions at once; the oldest ends


@dataclass(frozen=True, slots=True)
class Session:
    """Who signed in; *csrf* stands in each form of the session and nowhere else."""

    key: str
    began: datetime
    seen: datetime
    csrf: str

    def lives(self, now: datetime) -> bool:
        """Tell whether the session has not ended by itself."""
        return now - self.began < LIFE and now - self.seen < IDLE

    def meant(self, csrf: str) -> bool:
        """Tell whether a form came from a page of this session."""
        return compare_digest(self.csrf.encode(), csrf.encode())


@dataclass(slots=True)
class Sessions:
    """Hold the sessions of this process, by the hash of their number: a restart ends them all."""

    now: Callable[[], datetime]
    _open: OrderedDict[str, Session] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, key: str) -> str:
        """Begin a session for the key with this id; give the number for the cookie."""
        number, now = secrets.token_urlsafe(32), self.now()
        with self._lock:
            self._open[_hashed(number)] = Session(key, now, now, secrets.token_urlsafe(32))
            if len(self._open) > _MOST:
                self._open.popitem(last=False)
        return number

    def find(self, number: str) -> Session | None:
        """Give the session with this number and note that it is in use; None where there is none or it has ended."""
        now, place = self.now(), _hashed(number)
        with self._lock:
            session = self._open.get(place)
            if session is None:
                return None
            if not session.lives(now):
                del self._open[place]
                return None
            self._open[place] = replace(session, seen=now)
            return session

    def end(self, number: str) -> None:
        """End a session, if there is one."""
        with self._lock:
            self._open.pop(_hashed(number), None)


def _hashed(number: str) -> str:
    return sha256(number.encode(errors="replace")).hexdigest()
