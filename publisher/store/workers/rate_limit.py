"""Limit the evaluation time of each client by a token bucket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from publisher.errors import QuotaExceeded
from publisher.limits import Limits
from vocab.addresses import address_key

_NAME = "query-seconds"
_MAX_CLIENTS = 10_000  # at this number, clients that have their full budget again are dropped


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """The budget of a client in seconds: *left* is below 0 if overdrawn, *full* is the time until
    it is complete again.
    """

    quota: float
    window: float
    left: float
    full: float

    def headers(self) -> dict[str, str]:
        """Return the headers of the IETF draft:
        https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (10).
        """
        return {
            "RateLimit-Policy": f'"{_NAME}";q={self.quota:.0f};w={self.window:.0f};qu="seconds"',
            "RateLimit": f'"{_NAME}";r={max(0, int(self.left))};t={ceil(self.full)}',
        }


class RateLimiter:
    """The token buckets of all clients; *now* returns the seconds of a monotonic clock.

    The cost of a query is known when it has ended, so a client may start one while anything is
    left, and may overdraw.
    """

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        self._quota, self._window, self._now = limits.budget, limits.window, now
        # by client: seconds used, and the time of that balance
        self._balances: dict[str, tuple[float, float]] = {}

    def status(self, client: str) -> RateLimitStatus | None:
        """Return the status of a client; None if there is no budget, or for internal queries."""
        if not self._quota or not client:
            return None
        used = self._used(client)
        return RateLimitStatus(
            self._quota, self._window, self._quota - used, used * self._window / self._quota
        )

    def admit(self, client: str) -> None:
        """Raise QuotaExceeded if nothing is left."""
        status = self.status(client)
        if status and status.left <= 0:
            wait = max(1, ceil((1 - status.left) * self._window / self._quota))
            raise QuotaExceeded(
                f"this address has used its {self._quota:g} seconds of evaluation time; try again in {wait} seconds, "
                "repeat an earlier query unchanged (a cached response costs nothing), or run the query as an export",
                wait,
            )

    def charge(self, client: str, seconds: float) -> None:
        """Take *seconds* from a client's bucket."""
        if not self._quota or not client:
            return
        if len(self._balances) >= _MAX_CLIENTS:
            self._balances = {
                other: self._balances[other]
                for other in list(self._balances)
                if self._used(other) > 0
            }
        self._balances[client] = (self._used(client) + seconds, self._now())

    def _used(self, client: str) -> float:
        used, since = self._balances.get(client, (0.0, 0.0))
        return max(0.0, used - (self._now() - since) * self._quota / self._window)


def client_key(scope: Mapping[str, Any]) -> str:
    """Return the key of the client that sent a request with this ASGI *scope*; "" if it has no
    address.
    """
    return address_key(scope["client"][0]) if scope.get("client") else ""
