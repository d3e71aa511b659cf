"""How registries are asked: what all requests of an installation have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from harvesters.network.rate_limit import LocalRateLimiter, RateLimiter
from harvesters.network.retry import RetryPolicy
from harvesters.network.robots import USER_AGENT_TOKEN

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
