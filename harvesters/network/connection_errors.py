"""Exceptions for requests that got no response: what failed, and what to do."""

from __future__ import annotations

import re

import httpx

from harvesters.errors import (
    HarvestError,
    InvalidHTTPError,
    ReadTimeoutError,
    RefusedError,
    UnreachableError,
)
from harvesters.reasons import Reason, Value
from web.outbound_client import PrivateAddressError


def transport_error(url: httpx.URL, error: httpx.TransportError) -> HarvestError:
    """Return the exception for a request without a response."""
    if isinstance(cause := error.__cause__, PrivateAddressError):
        values = {"host": cause.host, "address": cause.address}
        return RefusedError(
            Reason(
                "%(host)s has the private address %(address)s. To allow it: "
                "STOCKTAKE_ALLOW_HOSTS=%(host)s",
                **values,
            )
        )
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        values = {"url": str(url), "error": str(error) or type(error).__name__}
        return ReadTimeoutError(Reason("%(url)s: no answer in time: %(error)s", **values))
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in str(error):
        return InvalidHTTPError(
            Reason("%(url)s: the response is not HTTP: %(error)s", url=str(url), error=str(error))
        )
    return UnreachableError(_connection_reason(url, error))


def _connection_reason(url: httpx.URL, error: httpx.TransportError) -> Reason:
    """Return the server that cannot be reached, why, and what to do; the path does not matter."""
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    server = f"{url.host}:{port}"
    text = re.sub(r"^\[[^\]]*\] ", "", str(error))
    values: dict[str, Value] = {"server": server, "error": text or Reason("no reason is known")}
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Reason(
            "%(server)s: the server's certificate is not valid (%(error)s); report this to the "
            "registry",
            **values,
        )
    if isinstance(error, httpx.ConnectTimeout):
        return Reason(
            "could not connect to %(server)s (%(error)s); check that the registry is running, "
            "and that the source's url is right",
            server=server,
            error=Reason("no answer in time"),
        )
    if isinstance(error, httpx.ConnectError):
        return Reason(
            "could not connect to %(server)s (%(error)s); check that the registry is running, "
            "and that the source's url is right",
            **values,
        )
    return Reason(
        "%(server)s: the connection broke before a response began (%(error)s); try again later",
        **values,
    )
