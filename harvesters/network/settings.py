"""How registries are asked: retries, pauses, robots.txt, and what all requests of an installation have
in common.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

import httpx
import stamina
import structlog
from protego import Protego
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from harvesters.errors import (
    RetryLaterError,
    RobotsError,
    TemporaryFetchError,
    TooManyRedirectsError,
    UnexpectedStatusError,
)
from harvesters.network.reply import USER_AGENT_TOKEN, Reply

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


# Seconds of crawl-delay that are kept: at more, a registry of a hundred pages would take hours.
MAX_CRAWL_DELAY = 60.0
_SIZE = 512 * 1024  # Bytes that are read: RFC 9309 asks for at least 500 KiB.


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one host (RFC 9309); *url* is the address of its robots.txt, *lines* its text.

    *delay* is the requested number of seconds between two requests, zero if none is requested.
    """

    url: str
    lines: tuple[str, ...]
    rules: Protego
    delay: float = 0.0

    def forbids(self, address: str) -> tuple[int, str] | None:
        """Return the number of the line that forbids *address*, from 1, and its text; None if it is
        allowed.
        """
        if self.rules.can_fetch(address, USER_AGENT_TOKEN):
            return None
        numbers = [n for n, line in enumerate(self.lines) if line.strip().lower().startswith("di")]

        def is_allowed(count: int) -> bool:
            """Return whether *address* is allowed without the first lines that forbid something."""
            blank = {*numbers[:count]}
            lines = ("Disallow:" if n in blank else line for n, line in enumerate(self.lines))
            return Protego.parse("\n".join(lines)).can_fetch(address, USER_AGENT_TOKEN)

        count = bisect_left(range(len(numbers)), True, lo=1, key=is_allowed)
        number = numbers[count - 1]
        return number + 1, self.lines[number].strip()[:200]


def parse_robots(url: str, content: bytes) -> Robots:
    """Parse a robots.txt; unknown lines are ignored, as the specification says. An empty one allows
    all.
    """
    text = content[:_SIZE].decode("utf-8-sig", "replace")
    rules = Protego.parse(text)
    rate = rules.request_rate(USER_AGENT_TOKEN)
    paced = rate.seconds / rate.requests if rate and rate.requests else 0.0
    delay = max(rules.crawl_delay(USER_AGENT_TOKEN) or 0.0, paced, 0.0)
    return Robots(url, tuple(text.splitlines()), rules, delay)


@dataclass(slots=True)
class RobotsCheck:
    """The rules of the hosts that were asked; *request* requests a robots.txt and follows
    redirects.

    An *override* (who permitted access, in writing) sets Disallow aside, not the crawl-delay.
    """

    request: Callable[[str], Reply]
    override: str = ""
    _rules: dict[str, Robots] = field(default_factory=dict)

    def crawl_delay(self, url: httpx.URL) -> float:
        """Return the seconds between two requests that the host of *url* asks for, at most
        ``MAX_CRAWL_DELAY``.

        Raises RobotsError if its robots.txt forbids *url*, or if its server fails.
        """
        address = str(url.copy_with(path="/robots.txt", query=None, fragment=None))
        if address not in self._rules:
            self._rules[address] = self._request_rules(address)
        rules = self._rules[address]
        if not self.override and (line := rules.forbids(str(url))):
            raise RobotsError(
                '%(url)s: %(robots)s forbids it in line %(number)s, "%(line)s"; ask its publisher '
                'for "User-agent: %(token)s" and "Allow: %(path)s" there, or for a grant',
                url=str(url),
                robots=rules.url,
                number=line[0],
                line=line[1],
                token=USER_AGENT_TOKEN,
                path=url.path,
            )
        return min(rules.delay, MAX_CRAWL_DELAY)

    def _request_rules(self, address: str) -> Robots:
        """Request a robots.txt: 4xx or too many redirects mean that there is none, 5xx that nothing
        is allowed at present.
        """
        try:
            reply = self.request(address)
        except TooManyRedirectsError:
            return parse_robots(address, b"")
        except (RetryLaterError, UnexpectedStatusError) as error:
            raise RobotsError(
                "%(error)s; without a readable robots.txt no requests are allowed (RFC 9309); try "
                "again later",
                error=error.reason,
            ) from error
        rules = parse_robots(address, reply.content if reply.status == 200 else b"")
        if rules.delay > MAX_CRAWL_DELAY:
            log.warning(
                "crawl-delay reduced to the maximum",
                robots=address,
                requested=rules.delay,
                applied=MAX_CRAWL_DELAY,
                action="agree on a pause with its publisher",
            )
        return rules
