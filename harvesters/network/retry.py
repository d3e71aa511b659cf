"""Decide whether a failed request is retried, and when."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import stamina
import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from harvesters.errors import (
    HarvestError,
    InvalidHTTPError,
    ReadTimeoutError,
    RefusedError,
    RetryLaterError,
    TemporaryFetchError,
    UnexpectedStatusError,
    UnreachableError,
)
from harvesters.reasons import Reason, Value
from web.outbound_client import PrivateAddressError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Timeouts, size limits and retries of requests.

    *read_timeout* and *connect_timeout* are seconds without a byte, *response_timeout* those of a
    whole response, headers included, *max_bytes* limits a response (as received, and decoded);
    *file_timeout* and *max_file_bytes* apply to downloads into a file. *max_attempts* counts a
    request's attempts. The wait between them starts with *wait_initial* seconds and doubles up to
    *wait_max*; a Retry-After of more than *max_retry_after* seconds ends the run.
    """

    read_timeout: float = 60.0
    connect_timeout: float = 15.0
    response_timeout: float = 300.0
    max_bytes: int = 512 * 1024 * 1024
    file_timeout: float = 3600.0
    max_file_bytes: int = 8 * 1024**3
    max_attempts: int = 5
    wait_initial: float = 0.5
    wait_max: float = 30.0
    max_retry_after: float = 300.0

    def attempts(self) -> Iterator[stamina.Attempt]:
        """Yield the attempts of a request, with the wait between them."""
        wait = {
            "wait_initial": self.wait_initial,
            "wait_max": self.wait_max,
            "wait_jitter": min(1.0, self.wait_initial),
        }
        return iter(
            stamina.retry_context(
                on=self._retry_decision, attempts=self.max_attempts, timeout=None, **wait
            )
        )

    def _retry_decision(self, error: Exception) -> bool | float:
        """Return to stamina whether to retry, or after how many seconds."""
        if isinstance(error, RetryLaterError) and error.after is not None:
            return error.after if error.after <= self.max_retry_after else False
        return isinstance(error, TemporaryFetchError) and not isinstance(
            error, UnexpectedStatusError
        )


def install_retry_logging() -> None:
    """Log each retry with structlog, in the whole process."""
    set_on_retry_hooks([_log_retry])


def _log_retry(details: RetryDetails) -> None:
    log.info(
        "retrying request",
        reason=str(details.caused_by),
        wait=round(details.wait_for, 1),
        retry=details.retry_num,
    )


def retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """Parse a Retry-After header, seconds or an HTTP date, into seconds; None if there is none.

    A date is relative to the response's Date header, since the registry's clock may be wrong, or
    else to *now*.


    Source: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after

    >>> retry_after("120", None, datetime(2026, 1, 1, tzinfo=UTC))
    120.0
    >>> retry_after("Thu, 01 Jan 2026 00:00:30 GMT", None, datetime(2026, 1, 1, tzinfo=UTC))
    30.0
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    when = _date(text)
    return None if when is None else max(0.0, (when - (_date(date or "") or now)).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


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
