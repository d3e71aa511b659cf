"""Outward: the publisher's one way to ask another host, which never leads to a private network.

The name is looked up once, every address that it has must be one of the open internet, and the connection goes to just that address.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable

import httpcore
import httpx

from vocab.addresses import is_public

Resolve = Callable[[str, int], Awaitable[list[str]]]  # IP addresses of a host; raises OSError
TIMEOUT_SECONDS = 10.0  # for an answer


class PrivateAddressError(httpcore.ConnectError):
    """The host lies off the open internet, and the operators have not named it among those that may."""


async def resolve_host(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of *host*."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return [str(it[4][0]) for it in found]


class _PublicAddressBackend(httpcore.AsyncNetworkBackend):
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
        inside = [address for address in found if not is_public(address)]
        if not found or (inside and host not in self._allow):
            raise PrivateAddressError(f"{host} is at {', '.join(inside) or 'no address'}; name it in STOCKTAKE_ALLOW_HOSTS if you trust it")
        return await self._dial.connect_tcp(found[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own transport over a pool whose connections are checked; httpx has no public way to hand a backend in."""

    def __init__(self, guard: _PublicAddressBackend) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(ssl_context=ssl.create_default_context(), network_backend=guard)


def create_client(allow: frozenset[str] = frozenset(), resolve: Resolve = resolve_host) -> httpx.AsyncClient:
    """Give a client that asks hosts of the open internet, and those in *allow*; it follows no redirect. *resolve* is handed in by tests."""
    return httpx.AsyncClient(
        transport=_Transport(_PublicAddressBackend(allow, resolve)), timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False
    )
