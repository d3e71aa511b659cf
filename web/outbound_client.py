"""The HTTP client for requests to other hosts; it rejects private networks.

The host is resolved once, all its addresses must be public, and the connection goes to the first
checked address that answers. ``harvesters.network.ssrf_guard`` does the same without asyncio, with
a deadline for each response; here callers use ``asyncio.timeout``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable

import httpcore
import httpx

from vocab.addresses import is_public

# returns the IP addresses of a host; raises OSError
Resolve = Callable[[str, int], Awaitable[list[str]]]
TIMEOUT_SECONDS = 10.0  # for a response


class PrivateAddressError(httpcore.ConnectError):
    """The host has a private address and is not in STOCKTAKE_ALLOW_HOSTS."""


async def resolve_host(host: str, port: int) -> list[str]:
    """Resolve *host* with the system's resolver."""
    addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return [str(info[4][0]) for info in addresses]


class _PublicAddressBackend(httpcore.AsyncNetworkBackend):
    def __init__(
        self, allow: frozenset[str], resolve: Resolve, dial: httpcore.AsyncNetworkBackend
    ) -> None:
        self._allow, self._resolve, self._dial = allow, resolve, dial

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = list(dict.fromkeys(await self._resolve(host, port)))
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        private = [address for address in addresses if not is_public(address)]
        if private and host not in self._allow:
            raise PrivateAddressError(
                f"{host} has the private address {', '.join(private)}. "
                f"To allow it: STOCKTAKE_ALLOW_HOSTS={host}"
            )
        for number, address in enumerate(addresses, 1):
            try:
                return await self._dial.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's transport with a connection pool that checks addresses. httpx has no public option
    for a network backend.
    """

    def __init__(self, guard: _PublicAddressBackend) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(), network_backend=guard
        )


def create_client(
    allow: frozenset[str] = frozenset(),
    resolve: Resolve = resolve_host,
    dial: httpcore.AsyncNetworkBackend | None = None,
) -> httpx.AsyncClient:
    """Return a client for public hosts and those in *allow*. It follows no redirects. *resolve* and
    *dial* replace the network in tests.
    """
    return httpx.AsyncClient(
        transport=_Transport(
            _PublicAddressBackend(allow, resolve, dial or httpcore.AnyIOBackend())
        ),
        timeout=TIMEOUT_SECONDS,
        follow_redirects=False,
        trust_env=False,
    )
