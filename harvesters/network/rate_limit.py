"""Pace: the pause between two requests to a host, which all runs of a process share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol


class RateLimiter(Protocol):
    """Who may ask a host when; pauses are in seconds."""

    def acquire(self, host: str, pause: float) -> None:
        """Wait for the turn to ask *host*."""

    def block_host(self, host: str, seconds: float) -> None:
        """Let nobody ask *host* before so many *seconds* have passed."""


@dataclass(slots=True)
class LocalRateLimiter:
    """When each host may be asked next; *sleep* takes seconds, *clock* gives seconds that never run backwards."""

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _asked: dict[str, tuple[float, float]] = field(default_factory=dict)  # the newest request's time, and the pause that it asked for
    _held: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def acquire(self, host: str, pause: float) -> None:
        """Wait for the turn to ask *host*: *pause* seconds after the request before, or longer where that one asked for more."""
        with self._lock:
            now = self.clock()
            before, asked = self._asked.get(host, (now, 0.0))
            due = max(now, self._held.get(host, now))
            if host in self._asked:
                due = max(due, before + max(pause, asked))
            self._asked[host] = (due, pause)
        if due > now:
            self.sleep(due - now)

    def block_host(self, host: str, seconds: float) -> None:
        """Let nobody ask *host* before so many *seconds* have passed, as its Retry-After says."""
        with self._lock:
            self._held[host] = max(self._held.get(host, 0.0), self.clock() + seconds)
