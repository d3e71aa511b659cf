"""How registries are asked: retries, pauses, and what all requests of an installation have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Protocol

import httpx
import stamina
import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from harvesters.errors import RetryLaterError, TemporaryFetchError, UnexpectedStatusError

USER_AGENT_TOKEN = "Stocktake"  # Our product token, as in the User-agent lines of a robots.txt.

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Timeouts, size limits and retries of requests.

    *read_timeout* and *connect_timeout* are seconds without a byte, *response_timeout* those of a
    whole response with its headers. *max_bytes* limits a response as received, and as decoded.
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
        return iter(
            stamina.retry_context(
                on=self._retry_decision,
                attempts=self.max_attempts,
                timeout=None,
                wait_initial=self.wait_initial,
                wait_max=self.wait_max,
                wait_jitter=min(1.0, self.wait_initial),
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

    def log_retry(details: RetryDetails) -> None:
        log.info(
            "retrying request",
            reason=str(details.caused_by),
            wait=round(details.wait_for, 1),
            retry=details.retry_num,
        )

    set_on_retry_hooks([log_retry])


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


class RateLimiter(Protocol):
    """Decides when a host may be requested; durations are in seconds."""

    def acquire(self, host: str, pause: float) -> None:
        """Wait until *host* may be requested."""

    def block_host(self, host: str, seconds: float) -> None:
        """Block requests to *host* for *seconds*."""


@dataclass(slots=True)
class LocalRateLimiter:
    """A rate limiter for the threads of one process; *sleep* takes seconds, *clock* returns
    monotonic seconds.
    """

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    # The time of the last request to each host, and the pause that it asked for.
    _last_requests: dict[str, tuple[float, float]] = field(default_factory=dict)
    _blocked_until: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def acquire(self, host: str, pause: float) -> None:
        """Wait until *host* may be requested: *pause* seconds after the last request, or longer if
        that one asked for more.
        """
        with self._lock:
            now = self.clock()
            last_request, last_pause = self._last_requests.get(host, (now, 0.0))
            due = max(now, self._blocked_until.get(host, now))
            if host in self._last_requests:
                due = max(due, last_request + max(pause, last_pause))
            self._last_requests[host] = (due, pause)
        if due > now:
            self.sleep(due - now)

    def block_host(self, host: str, seconds: float) -> None:
        with self._lock:
            self._blocked_until[host] = max(
                self._blocked_until.get(host, 0.0), self.clock() + seconds
            )


_AGENT = f"{USER_AGENT_TOKEN}/0.1 (+https://w3id.org/wsis-stocktaking/; {{contact}})"


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How registries are asked.

    *contact* is sent in the User-Agent. Private addresses are refused except those of the hosts in
    *allow*. *rate_limiter* is shared by all clients. *transport* replaces the network.
    """

    contact: str = "no contact given"
    allow: frozenset[str] = frozenset()
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    transport: httpx.BaseTransport | None = None
    rate_limiter: RateLimiter = field(default_factory=LocalRateLimiter)

    @classmethod
    def offline(cls, max_attempts: int = 1) -> NetworkSettings:
        """Return settings for archived responses, which are returned without delay."""
        return cls(retry_policy=RetryPolicy(max_attempts=max_attempts, wait_initial=0, wait_max=0))

    @property
    def agent(self) -> str:
        return _AGENT.format(
            contact=" ".join(self.contact.encode("ascii", "replace").decode().split())
        )
