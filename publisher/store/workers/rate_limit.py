"""Limit the evaluation time of each client by a token bucket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Any

from publisher.errors import QuotaExceeded
from publisher.limits import Limits

_NAME = "query-seconds"
_MOST = 10_000  # clients that are remembered before those whose bucket is full again are forgotten


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """What a client has *left* of its budget, in seconds, below 0 when overdrawn, and in how many seconds it is *full* again."""

    quota: float
    window: float
    left: float
    full: float

    def headers(self) -> dict[str, str]:
        """Return the headers of the IETF draft: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (10)."""
        return {
            "RateLimit-Policy": f'"{_NAME}";q={self.quota:.0f};w={self.window:.0f};qu="seconds"',
            "RateLimit": f'"{_NAME}";r={max(0, int(self.left))};t={ceil(self.full)}',
        }


class RateLimiter:
    """The buckets of all clients; *now* gives seconds of a clock that only goes forward.

    What a question costs is known when it has ended, so a client may start while anything is left, and may overdraw.
    """

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        self._quota, self._window, self._now = limits.budget, limits.window, now
        self._spent: dict[str, tuple[float, float]] = {}  # by client: seconds spent, and when that was so

    def account(self, client: str) -> RateLimitStatus | None:
        """Return the status of a client; None where there is no budget, or no client (our own questions)."""
        if not self._quota or not client:
            return None
        spent = self._owed(client)
        return RateLimitStatus(self._quota, self._window, self._quota - spent, spent * self._window / self._quota)

    def admit(self, client: str) -> None:
        """Raise QuotaExceeded where nothing is left."""
        account = self.account(client)
        if account and account.left <= 0:
            wait = max(1, ceil((1 - account.left) * self._window / self._quota))
            raise QuotaExceeded(
                f"this address has spent its {self._quota:g} seconds of evaluation; ask again in {wait} seconds, "
                "ask the same again as it was (a kept answer costs nothing), or put the query as an export",
                wait,
            )

    def charge(self, client: str, seconds: float) -> None:
        """Take *seconds* from a client's bucket."""
        if not self._quota or not client:
            return
        if len(self._spent) >= _MOST:
            self._spent = {known: self._spent[known] for known in list(self._spent) if self._owed(known) > 0}
        self._spent[client] = (self._owed(client) + seconds, self._now())

    def _owed(self, client: str) -> float:
        spent, since = self._spent.get(client, (0.0, 0.0))
        return max(0.0, spent - (self._now() - since) * self._quota / self._window)


def client_key(scope: Mapping[str, Any]) -> str:
    """Return the key of the client that sent a request with this ASGI *scope*; "" if it has no address."""
    return address_key(scope["client"][0]) if scope.get("client") else ""


def address_key(address: str) -> str:
    """Return the key of a client by its address: a /64 network for IPv6, since one client has all of its addresses.

    >>> address_key("2001:db8::17"), address_key("192.0.2.1"), address_key("::ffff:192.0.2.1")
    ('2001:db8::/64', '192.0.2.1', '192.0.2.1')
    """
    try:
        address_ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(address_ip, IPv6Address):
        return str(address_ip)
    if address_ip.ipv4_mapped:
        return str(address_ip.ipv4_mapped)
    return f"{IPv6Address(int(address_ip) >> 64 << 64)}/64"
