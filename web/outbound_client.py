"""The HTTP client for requests to other hosts, of harvesters and publisher: it refuses addresses
outside the public internet, and ends a response at a deadline.

The host is resolved for each connection, all its addresses must be public, and the connection goes
to the very address that was checked, so that a name cannot become private between check and use.
"""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore
import httpx

from vocab.addresses import is_public

Resolve = Callable[[str, int], list[str]]  # IP addresses of a host; raises OSError
TIMEOUT_SECONDS = 10.0  # the limit of each step of a request


class PrivateAddressError(httpcore.ConnectError):
    """The host has a private address and is not in STOCKTAKE_ALLOW_HOSTS. httpx wraps it as the
    cause of a ConnectError.
    """

    def __init__(self, host: str, address: str) -> None:
        super().__init__(
            f"{host} has the private address {address}. To allow it: STOCKTAKE_ALLOW_HOSTS={host}"
        )
        self.host, self.address = host, address


def resolve_host(host: str, port: int) -> list[str]:
    return [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Deadline:
    """The time by which a response must be complete, headers included: never, until ``start``."""

    def __init__(self, seconds: float = math.inf) -> None:
        self.start(seconds)

    def start(self, seconds: float) -> None:
        """Set the deadline to *seconds* from now."""
        self._end = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._end

    def remaining(self, timeout: float | None, error: type[Exception]) -> float | None:
        """Return the smaller of *timeout* and the remaining seconds; raises *error* if none remain."""
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise error("deadline exceeded")
        return timeout if seconds == math.inf else min(seconds, timeout or math.inf)


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose every operation ends at the deadline, so that a slow server cannot block a
    reader forever.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.remaining(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.remaining(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        seconds = self._deadline.remaining(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(
            self._stream.start_tls(ssl_context, server_hostname, seconds), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _PublicAddresses(httpcore.SyncBackend):
    def __init__(
        self,
        allow: frozenset[str],
        deadline: Deadline,
        resolve: Resolve,
        dial: httpcore.NetworkBackend,
    ) -> None:
        self._allow, self._deadline, self._resolve, self._dial = allow, deadline, resolve, dial

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = list(dict.fromkeys(self._resolve(host, port)))
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        private = [address for address in addresses if not is_public(address)]
        if private and host not in self._allow:
            raise PrivateAddressError(host, private[0])
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            seconds = self._deadline.remaining(timeout, httpcore.ConnectTimeout)
            try:
                stream = self._dial.connect_tcp(
                    address, port, seconds, local_address, socket_options
                )
                return _DeadlineStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class GuardedTransport(httpx.HTTPTransport):
    """A transport for public hosts and those in *allow*. *resolve* and *dial* replace the network in
    tests.
    """

    def __init__(
        self,
        allow: frozenset[str] = frozenset(),
        deadline: Deadline | None = None,
        resolve: Resolve = resolve_host,
        dial: httpcore.NetworkBackend | None = None,
    ) -> None:
        super().__init__(trust_env=False)
        guard = _PublicAddresses(
            allow, deadline or Deadline(), resolve, dial or httpcore.SyncBackend()
        )
        # There is no public parameter of httpx for a network backend.
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(), network_backend=guard
        )


def create_client(transport: httpx.BaseTransport, timeout: float = TIMEOUT_SECONDS) -> httpx.Client:
    """Return a client that follows no redirects and reads no settings from the environment."""
    return httpx.Client(transport=transport, timeout=timeout, trust_env=False)
