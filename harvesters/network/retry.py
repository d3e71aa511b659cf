"""Again: when a request that failed is worth another try, and how that is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import stamina
import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from harvesters.errors import RetryLaterError, TemporaryFetchError, UnexpectedStatusError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how much.

    *read* and *connect* are seconds without a byte, *answer* those of a whole answer with its headers, *size* the bytes of an
    answer (as it comes, and decoded), *file_answer* and *file_size* those of one that is brought into a file; *tries* those of a
    request. Between tries lie *first* seconds, doubled each time up to *most*; a registry that asks for more than *longest* is
    left for this run.
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
        """Give one try after the other, with the wait between them."""
        wait = {"wait_initial": self.wait_initial, "wait_max": self.wait_max, "wait_jitter": min(1.0, self.wait_initial)}
        return iter(stamina.retry_context(on=self._again, attempts=self.max_attempts, timeout=None, **wait))

    def _again(self, error: Exception) -> bool | float:
        """Tell stamina whether to try again, and when."""
        if isinstance(error, RetryLaterError) and error.after is not None:
            return error.after if error.after <= self.max_retry_after else False
        return isinstance(error, TemporaryFetchError) and not isinstance(error, UnexpectedStatusError)


def install_retry_logging() -> None:
    """Log each retry as an event of ours; for the whole program, so its front door calls it."""
    set_on_retry_hooks([_tell])


def _tell(details: RetryDetails) -> None:
    log.info("retrying request", reason=str(details.caused_by), wait=round(details.wait_for, 1), retry=details.retry_num)


def retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds; None where there is none to read.

    A date is counted from the reply's own Date header, since the registry's clock may be wrong, and without one from *now*.

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
