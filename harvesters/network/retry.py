"""Decide whether a failed request is retried, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import stamina
import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from harvesters.errors import (
    RetryLaterError,
    TemporaryFetchError,
    UnexpectedStatusError,
)

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
