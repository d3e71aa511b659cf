"""Outward: the publisher's one way to ask another host, which never leads to a private network.

The name is looked up once, every address that it has must be one of the open internet, and the connection goes to just that address.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Iterable

import httpcore
import httpx

Resolve = Callable[[str, int], Awaitable[list[str]]]  # IP addresses of a host; raises OSError
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address, and may be a private one
SECONDS = 10.0  # for an answer


class Inside(httpcore.ConnectError):
    """The host lies off the open internet, and the operators have not named it among those that may."""


def is_open(address: str) -> bool:
    """Tell whether an IP address is one of the open internet: not private, loopback, link-local, reserved or multicast.

    >>> is_open("192.168.0.1"), is_open("::ffff:10.0.0.1"), is_open("64:ff9b::7f00:1"), is_open("1.1.1.1")
    (False, False, False, True)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip)
    return ip.is_global and not ip.is_multicast


async def look_up(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of *host*."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return [str(it[4][0]) for it in found]


class _Guard(httpcore.AsyncNetworkBackend):
    def __init__(self, allow: frozenset[str], resolve: Resolve) -> None:
        self._allow, self._resolve, self._dial = allow, resolve, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = list(dict.fromkeys(await self._resolve(host, port)))
        except OSError as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        inside = [address for address in found if not is_open(address)]
        if not found or (inside and host not in self._allow):
            raise Inside(f"{host} is at {', '.join(inside) or 'no address'}; name it in STOCKTAKE_ALLOW_HOSTS if you trust it")
        return await self._dial.connect_tcp(found[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own transport over a pool whose connections are checked; httpx has no public way to hand a backend in."""

    def __init__(self, guard: _Guard) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(ssl_context=ssl.create_default_context(), network_backend=guard)


def outward(allow: frozenset[str] = frozenset(), resolve: Resolve = look_up) -> httpx.AsyncClient:
    """Give a client that asks hosts of the open internet, and those in *allow*; it follows no redirect. *resolve* is handed in by tests."""
    return httpx.AsyncClient(transport=_Transport(_Guard(allow, resolve)), timeout=SECONDS, follow_redirects=False, trust_env=False)
