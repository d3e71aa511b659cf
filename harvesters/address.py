"""Addresses: where on the network we go, and where we don't."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import typing

import httpcore
import httpx

from harvesters.errors import RefusedError


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the open internet: not private, loopback, link-local, reserved or multicast.

    >>> is_public("10.0.0.1"), is_public("::ffff:127.0.0.1"), is_public("1.1.1.1")
    (False, False, True)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_global and not (mapped or ip).is_multicast


class _Guard(httpcore.SyncBackend):
    """Connect to the very address that was checked, so that a name cannot turn private between check and use."""

    def __init__(self, allow: frozenset[str]) -> None:
        self.allow = allow

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: typing.Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        address = str(found[0][4][0])
        if host not in self.allow and not all(is_public(str(item[4][0])) for item in found):
            raise RefusedError(f"{host} is at {address}, off the open internet; name it in STOCKTAKE_ALLOW_HOSTS if you trust it")
        return super().connect_tcp(address, port, timeout, local_address, socket_options)


class _Transport(httpx.HTTPTransport):
    """httpx's own transport over a pool whose connections are checked; httpx has no public way to hand a backend in."""

    def __init__(self, allow: frozenset[str]) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=_Guard(allow))


def guarded(allow: frozenset[str]) -> httpx.BaseTransport:
    """Give a transport that refuses addresses off the open internet, except those of the hosts in *allow*."""
    return _Transport(allow)
