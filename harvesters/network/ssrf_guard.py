"""Addresses: where on the network we go, and where we don't, and by when an answer must be there."""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from harvesters.errors import RefusedError
from vocab.addresses import is_public

Options = Iterable[httpcore.SOCKET_OPTION] | None
Resolve = Callable[[str, int], list[str]]  # IP addresses of a host; raises OSError


def resolve_host(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of *host*; raises OSError where it has none."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(slots=True)
class Deadline:
    """The moment by which an answer must have come, headers too; *until* is in seconds of the monotonic clock."""

    end: float = math.inf

    def start(self, seconds: float) -> None:
        """Let an answer take so many *seconds* from now."""
        self.end = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Tell whether the time is up."""
        return time.monotonic() > self.end

    def remaining(self, timeout: float | None, error: type[Exception]) -> float | None:
        """Shorten *timeout* to what is left; raises *error* where nothing is."""
        if self.end == math.inf:
            return timeout
        left = self.end - time.monotonic()
        if left <= 0:
            raise error("it did not come to its end in time")
        return left if timeout is None else min(timeout, left)


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose every step ends by the deadline: a server that sends a byte now and then keeps no reader for ever."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.remaining(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.remaining(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.remaining(timeout, httpcore.ConnectTimeout))
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Guard(httpcore.SyncBackend):
    """Connect to the very address that was checked, so that a name cannot turn private between check and use."""

    def __init__(self, allow: frozenset[str], deadline: Deadline, resolve: Resolve, dial: httpcore.NetworkBackend) -> None:
        self.allow = allow
        self.deadline = deadline
        self.resolve = resolve
        self.dial = dial

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None, socket_options: Options = None
    ) -> httpcore.NetworkStream:
        found = self._checked(host, port)
        for number, address in enumerate(found, 1):
            left = self.deadline.remaining(timeout, httpcore.ConnectTimeout)
            try:
                return _DeadlineStream(self.dial.connect_tcp(address, port, left, local_address, socket_options), self.deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(found):
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    def _checked(self, host: str, port: int) -> list[str]:
        try:
            found = list(dict.fromkeys(self.resolve(host, port)))
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        inside = [address for address in found if not is_public(address)]
        if inside and host not in self.allow:
            raise RefusedError(f"{host} has the private address {inside[0]}. To allow it: STOCKTAKE_ALLOW_HOSTS={host}")
        return found


class _Transport(httpx.HTTPTransport):
    """httpx's own transport over a pool whose connections are checked; httpx has no public way to hand a backend in."""

    def __init__(self, guard: _Guard) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=guard)


def safe_transport(
    allow: frozenset[str],
    deadline: Deadline | None = None,
    resolve: Resolve = resolve_host,
    dial: httpcore.NetworkBackend | None = None,
) -> httpx.BaseTransport:
    """Give a transport that refuses addresses off the open internet, except those of the hosts in *allow*.

    *resolve* and *dial* stand for the network in tests.
    """
    return _Transport(_Guard(allow, deadline or Deadline(), resolve, dial or httpcore.SyncBackend()))
