"""Limit how often a client may try invalid keys, or repeat another costly request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from vocab.addresses import address_key

MAX_FAILURES = 10  # failures in a window: enough for typing errors, too few for guessing
WINDOW_SECONDS = 60.0
_MAX_CLIENTS = 10_000  # about 2 MB; the longest inactive one is dropped first


@dataclass(slots=True)
class Throttle:
    """Count each client's failed attempts, at most *limit* in *window* seconds; *clock* returns
    monotonic seconds.
    """

    clock: Callable[[], float]
    limit: int = MAX_FAILURES
    window: float = WINDOW_SECONDS
    _failures: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def retry_after(self, client: str) -> int:
        """Return the whole seconds until *client* may try again, 0 if it may now."""
        with self._lock:
            window_start, count = self._failures.get(address_key(client), (0.0, 0))
        remaining = window_start + self.window - self.clock()
        return max(0, int(remaining) + 1) if count >= self.limit and remaining > 0 else 0

    def record_failure(self, client: str) -> None:
        """Count a failed attempt; the first one starts a window."""
        key, now = address_key(client), self.clock()
        with self._lock:
            window_start, count = self._failures.pop(key, (now, 0))
            self._failures[key] = (
                (now, 1) if now - window_start >= self.window else (window_start, count + 1)
            )
            if len(self._failures) > _MAX_CLIENTS:
                self._failures.popitem(last=False)
