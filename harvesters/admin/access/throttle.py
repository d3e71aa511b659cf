"""Limit how often a client may try invalid keys, or do something else."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_FAILURES = 10  # in a window: allows for typing errors, stops guessing
WINDOW_SECONDS = 60.0  # seconds
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
            window_start, count = self._failures.get(network(client), (0.0, 0))
        remaining = window_start + self.window - self.clock()
        return max(0, int(remaining) + 1) if count >= self.limit and remaining > 0 else 0

    def record_failure(self, client: str) -> None:
        """Count a failed attempt; the first one starts a window."""
        client_network, now = network(client), self.clock()
        with self._lock:
            window_start, count = self._failures.pop(client_network, (now, 0))
            self._failures[client_network] = (
                (now, 1) if now - window_start >= self.window else (window_start, count + 1)
            )
            if len(self._failures) > _MAX_CLIENTS:
                self._failures.popitem(last=False)


def network(client: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 of an IPv6 subscriber.

    >>> network("192.0.2.7"), network("2001:db8::1") == network("2001:db8::2"), network("unknown")
    ('192.0.2.7', True, 'unknown')
    """
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    return (
        str(ipaddress.ip_network((address, 64), strict=False))
        if address.version == 6
        else str(address)
    )
