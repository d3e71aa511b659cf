"""Throttle: how many wrong keys a client may show before it has to wait."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

WRONG = 10  # wrong keys in a window: a person who mistypes passes, a guesser never comes far
WINDOW = 60.0  # seconds
_CLIENTS = 10_000  # remembered at once, some 2 MB; the one that was quiet longest goes first


@dataclass(slots=True)
class Throttle:
    """Count each client's wrong keys; *clock* gives seconds that only go on."""

    clock: Callable[[], float]
    _wrong: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, client: str) -> int:
        """Give the whole seconds that *client* must wait before it may show a key again, 0 where it may now."""
        with self._lock:
            began, count = self._wrong.get(network(client), (0.0, 0))
        left = began + WINDOW - self.clock()
        return max(0, int(left) + 1) if count >= WRONG and left > 0 else 0

    def wrong(self, client: str) -> None:
        """Note a wrong key; a window begins with the first."""
        place, now = network(client), self.clock()
        with self._lock:
            began, count = self._wrong.pop(place, (now, 0))
            self._wrong[place] = (now, 1) if now - began >= WINDOW else (began, count + 1)
            if len(self._wrong) > _CLIENTS:
                self._wrong.popitem(last=False)


def network(client: str) -> str:
    """Give what counts as one client: an IPv4 address, or the /64 that one subscriber of IPv6 has.

    >>> network("192.0.2.7"), network("2001:db8::1") == network("2001:db8::2"), network("unknown")
    ('192.0.2.7', True, 'unknown')
    """
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)
