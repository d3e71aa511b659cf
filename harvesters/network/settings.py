"""How registries are asked: what all requests of an installation have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

import httpx

from harvesters.network.retry import RetryPolicy
from harvesters.network.robots import USER_AGENT_TOKEN


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


_AGENT = f"{USER_AGENT_TOKEN}/0.1 (+https://w3id.org/wsis-stocktaking/; {{contact}})"


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How registries are asked.

    *contact* is sent in the User-Agent. Private addresses are refused except those of the hosts in
    *allow*. *rate_limiter* is shared by all clients. *transport* replaces the network.
    """

    contact: str = "no contact given"
    allow: frozenset[str] = frozenset()
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    transport: httpx.BaseTransport | None = None
    rate_limiter: RateLimiter = field(default_factory=LocalRateLimiter)

    @classmethod
    def offline(cls, transport: httpx.BaseTransport, max_attempts: int = 1) -> NetworkSettings:
        """Return settings for archived responses, which *transport* returns without delay."""
        policy = RetryPolicy(max_attempts=max_attempts, wait_initial=0.0, wait_max=0.0)
        return cls(retry_policy=policy, transport=transport)

    @property
    def agent(self) -> str:
        """Return our User-Agent."""
        return _AGENT.format(
            contact=" ".join(self.contact.encode("ascii", "replace").decode().split())
        )
