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
        return RefusedError(Reason("private_address", values))
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        values = {"url": str(url), "error": str(error) or type(error).__name__}
        return ReadTimeoutError(Reason("no_answer_in_time", values))
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in str(error):
        return InvalidHTTPError(Reason("invalid_http", {"url": str(url), "error": str(error)}))
    return UnreachableError(_connection_reason(url, error))


def _connection_reason(url: httpx.URL, error: httpx.TransportError) -> Reason:
    """Return the server that cannot be reached, why, and what to do; the path does not matter."""
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    server = f"{url.host}:{port}"
    text = re.sub(r"^\[[^\]]*\] ", "", str(error))
    values: dict[str, Value] = {"server": server, "error": text or Reason("unknown_cause")}
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Reason("invalid_certificate", values)
    if isinstance(error, httpx.ConnectTimeout):
        return Reason("no_connection", {**values, "error": Reason("no_connection_in_time")})
    if isinstance(error, httpx.ConnectError):
        return Reason("no_connection", values)
    return Reason("connection_broke", values)
