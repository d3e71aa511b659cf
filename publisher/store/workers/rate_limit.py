"""Limit the evaluation time of each client by a token bucket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

from cachetools import LRUCache

from publisher.errors import QuotaExceeded
from publisher.limits import Limits
from vocab.addresses import address_key

_NAME = "query-seconds"
_MAX_CLIENTS = 100_000  # clients that are remembered, those that asked last


class RateLimiter:
    """The token buckets of all clients; *now* returns the seconds of a monotonic clock.

    The cost of a query is known when it has ended, so a client may start one while anything is
    left, and may overdraw.
    """

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        self._quota, self._window, self._now = limits.budget, limits.window, now
        # by client: seconds used, and the time of that balance
        self._balances: LRUCache[str, tuple[float, float]] = LRUCache(_MAX_CLIENTS)

    def remaining(self, client: str) -> float | None:
        """Return the seconds that a client has left, below 0 if overdrawn; None if there is no
        budget, or for internal queries.
        """
        if not self._quota or not client:
            return None
        used, since = self._balances.get(client, (0.0, 0.0))
        return self._quota - max(0.0, used - (self._now() - since) * self._quota / self._window)

    def headers(self, client: str) -> dict[str, str]:
        """Return the headers of the IETF draft, none if there is no budget:
        https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (10).
        """
        left = self.remaining(client)
        if left is None:
            return {}
        full = ceil((self._quota - left) * self._window / self._quota)
        return {
            "RateLimit-Policy": f'"{_NAME}";q={self._quota:.0f};w={self._window:.0f};qu="seconds"',
            "RateLimit": f'"{_NAME}";r={max(0, int(left))};t={full}',
        }

    def admit(self, client: str) -> None:
        """Raise QuotaExceeded if nothing is left."""
        left = self.remaining(client)
        if left is not None and left <= 0:
            wait = max(1, ceil((1 - left) * self._window / self._quota))
            raise QuotaExceeded(
                f"this address has used its {self._quota:g} seconds of evaluation time; try again in {wait} seconds, "
                "repeat an earlier query unchanged (a cached response costs nothing), or run the query as an export",
                wait,
            )

    def charge(self, client: str, seconds: float) -> None:
        """Take *seconds* from a client's bucket."""
        left = self.remaining(client)
        if left is not None:
            self._balances[client] = self._quota - left + seconds, self._now()


def client_key(scope: Mapping[str, Any]) -> str:
    """Return the key of the client that sent a request with this ASGI *scope*; "" if it has no
    address.
    """
    return address_key(scope["client"][0]) if scope.get("client") else ""
