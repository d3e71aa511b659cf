"""Limit how often a client may try invalid keys, or repeat another costly request."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cachetools import TLRUCache

from vocab.addresses import address_key

MAX_FAILURES = 10  # failures in a window: enough for typing errors, too few for guessing
WINDOW_SECONDS = 60.0
_MAX_CLIENTS = 10_000  # about 2 MB; the longest inactive one is dropped first


class Throttle:
    """Count each client's failed attempts, at most *limit* in *window* seconds; *clock* returns
    monotonic seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        limit: int = MAX_FAILURES,
        window: float = WINDOW_SECONDS,
    ) -> None:
        self._clock, self._limit, self._window = clock, limit, window
        # The end of each client's window, and its failures in the window.
        self._failures: TLRUCache[str, tuple[float, int]] = TLRUCache(
            _MAX_CLIENTS, lambda _client, failures, _now: failures[0], clock
        )
        self._lock = threading.Lock()

    def retry_after(self, client: str) -> int:
        """Return the whole seconds until *client* may try again, 0 if it may now."""
        with self._lock:
            end, count = self._failures.get(address_key(client), (0.0, 0))
        return max(1, int(end - self._clock()) + 1) if count >= self._limit else 0

    def record_failure(self, client: str) -> None:
        """Count a failed attempt; the first one starts a window."""
        key = address_key(client)
        with self._lock:
            end, count = self._failures.get(key, (self._clock() + self._window, 0))
            self._failures[key] = end, count + 1
