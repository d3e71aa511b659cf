"""Refuse connections to addresses off the public internet, and end responses at a deadline."""

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
from harvesters.reasons import Reason
from vocab.addresses import is_public

Options = Iterable[httpcore.SOCKET_OPTION] | None
Resolve = Callable[[str, int], list[str]]  # IP addresses of a host; raises OSError


def resolve_host(host: str, port: int) -> list[str]:
    """Return the IP addresses of *host*; raises OSError if it has none."""
    return [
        str(address[4][0]) for address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    ]


@dataclass(slots=True)
class Deadline:
    """The time by which a response must be complete, headers included; *end* is in seconds of the
    monotonic clock.
    """

    end: float = math.inf

    def start(self, seconds: float) -> None:
        """Set the deadline to *seconds* from now."""
        self.end = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Return whether the deadline has passed."""
        return time.monotonic() > self.end

    def remaining(self, timeout: float | None, error: type[Exception]) -> float | None:
        """Return the smaller of *timeout* and the remaining seconds; raises *error* if none remain."""
        if self.end == math.inf:
            return timeout
        seconds = self.end - time.monotonic()
        if seconds <= 0:
            raise error("deadline exceeded")
        return seconds if timeout is None else min(timeout, seconds)


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose every operation ends at the deadline, so that a slow server cannot block a
    reader forever.
    """

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
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(
            ssl_context, server_hostname, self._deadline.remaining(timeout, httpcore.ConnectTimeout)
        )
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Guard(httpcore.SyncBackend):
    """Connect to the very address that was checked, so that a name cannot become private between
    check and use.
    """

    def __init__(
        self,
        allow: frozenset[str],
        deadline: Deadline,
        resolve: Resolve,
        dial: httpcore.NetworkBackend,
    ) -> None:
        self.allow = allow
        self.deadline = deadline
        self.resolve = resolve
        self.dial = dial

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore.NetworkStream:
        addresses = self._resolve_public(host, port)
        for number, address in enumerate(addresses, 1):
            seconds = self.deadline.remaining(timeout, httpcore.ConnectTimeout)
            try:
                return _DeadlineStream(
                    self.dial.connect_tcp(address, port, seconds, local_address, socket_options),
                    self.deadline,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    def _resolve_public(self, host: str, port: int) -> list[str]:
        try:
            addresses = list(dict.fromkeys(self.resolve(host, port)))
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        private = [address for address in addresses if not is_public(address)]
        if private and host not in self.allow:
            raise RefusedError(Reason("private_address", {"host": host, "address": private[0]}))
        return addresses


class _Transport(httpx.HTTPTransport):
    """httpx's transport with a pool of checked connections; httpx has no public parameter for a
    network backend.
    """

    def __init__(self, guard: _Guard) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(), network_backend=guard
        )


def safe_transport(
    allow: frozenset[str],
    deadline: Deadline | None = None,
    resolve: Resolve = resolve_host,
    dial: httpcore.NetworkBackend | None = None,
) -> httpx.BaseTransport:
    """Return a transport that refuses addresses off the public internet, except those of the hosts
    in *allow*.

    *resolve* and *dial* replace the network in tests.
    """
    return _Transport(
        _Guard(allow, deadline or Deadline(), resolve, dial or httpcore.SyncBackend())
    )
