"""Space out requests to a host over all runs of a process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol


class RateLimiter(Protocol):
    """Decides when a host may be requested; durations are in seconds."""

    def acquire(self, host: str, pause: float) -> None:
        """Wait until *host* may be requested."""

    def block_host(self, host: str, seconds: float) -> None:
        """Block requests to *host* for *seconds*."""


@dataclass(slots=True)
class LocalRateLimiter:
    """A rate limiter for the threads of one process; *sleep* takes seconds, *clock* returns
    monotonic seconds.
    """

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    # the newest request's time, and the pause that it asked for
    _last_requests: dict[str, tuple[float, float]] = field(default_factory=dict)
    _blocked_until: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def acquire(self, host: str, pause: float) -> None:
        """Wait until *host* may be requested: *pause* seconds after the last request, or longer if
        that one asked for more.
        """
        with self._lock:
            now = self.clock()
            last_request, last_pause = self._last_requests.get(host, (now, 0.0))
            due = max(now, self._blocked_until.get(host, now))
            if host in self._last_requests:
                due = max(due, last_request + max(pause, last_pause))
            self._last_requests[host] = (due, pause)
        if due > now:
            self.sleep(due - now)

    def block_host(self, host: str, seconds: float) -> None:
        """Block requests to *host* for *seconds*, as its Retry-After says."""
        with self._lock:
            self._blocked_until[host] = max(
                self._blocked_until.get(host, 0.0), self.clock() + seconds
            )
