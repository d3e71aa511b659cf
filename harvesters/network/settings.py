"""How registries are asked: what all requests of an installation have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from harvesters.network.fetch import Fetch, utc_now
from harvesters.network.rate_limit import LocalRateLimiter, RateLimiter
from harvesters.network.reply import ResponseArchive
from harvesters.network.retry import RetryPolicy
from harvesters.quiet_hours import QuietHours
from harvesters.stored_response import Validator


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

    def client(
        self,
        pause: float,
        archive: ResponseArchive | None = None,
        validators: Mapping[str, Validator] | None = None,
        *,
        robots: bool = True,
        robots_override: str = "",
        quiet_hours: QuietHours | None = None,
        base: str = "",
        now: Callable[[], datetime] = utc_now,
    ) -> Fetch:
        """Return an open HTTP client with these settings; see ``Fetch`` for the arguments."""
        return Fetch(
            self.contact,
            pause,
            self.allow,
            archive,
            validators or {},
            self.retry_policy,
            self.transport,
            self.rate_limiter,
            robots,
            robots_override,
            quiet_hours,
            base,
            now,
        )
