"""Ask registries, the only access to the network: retries, pauses, robots.txt, redirects and quiet
hours, and what all requests of an installation have in common.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from types import TracebackType
from typing import Protocol

import httpx
import stamina
import structlog
from protego import Protego
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from harvesters.archive import Archive, ArchivedResponse
from harvesters.errors import (
    HarvestError,
    InvalidURLError,
    QuietHoursError,
    RefusedError,
    RetryLaterError,
    RobotsError,
    TemporaryFetchError,
    TooManyRedirectsError,
    TransferError,
    UnexpectedStatusError,
)
from harvesters.network.reply import (
    OFFERED,
    USER_AGENT_TOKEN,
    Reply,
    check_response,
    check_robots_response,
    is_redirect,
    merge_responses,
    read_body,
)
from harvesters.page_model import SourcePosition, Validator
from harvesters.reasons import Reason, Value
from harvesters.source import QuietHours
from web.outbound_client import Deadline, GuardedTransport, PrivateAddressError

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
            last_request, last_pause = self._last_requests.get(host, (-inf, 0.0))
            free = last_request + max(pause, last_pause)
            due = max(now, self._blocked_until.get(host, now), free)
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


# ---- requests

# Redirects that are followed: RFC 9309 asks for five, and no honest registry needs three.
_MAX_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class _Request:
    """A GET; the body of a reply with status 200 is written to the file *download_path*, unless that
    is None.
    """

    headers: Mapping[str, str]
    download_path: Path | None = None
    is_for_robots: bool = False


def utc_now() -> datetime:
    """Return the present instant, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(slots=True)
class Fetch(AbstractContextManager["Fetch"]):
    """An HTTP client that waits *pause* seconds between requests to a host, retries, and refuses
    private addresses.

    *validators* are the last run's by address; ``seen`` collects this run's. Redirects are followed
    and checked at every hop, and addresses that are private, loopback or link-local are refused
    after DNS unless *network* allows their host. Each host's robots.txt is obeyed, its crawl-delay
    too; a *robots_override* (who permitted access, in writing) sets its Disallow aside. No requests
    are sent in *quiet_hours*. ``outcome_counts`` counts how requests ended, ``responses`` adds up
    sizes and times; see ``merge_responses``. *base* is the prefix of our own IRIs. *stored* returns
    the archived response to an address, which is then not requested.
    *observe* is called with None before a request, then with its reply; it may raise the error of a
    reply.
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    pause: float = 1.0
    archive: Archive | None = None
    validators: Mapping[str, Validator] = field(default_factory=dict)
    robots: bool = True
    robots_override: str = ""
    quiet_hours: QuietHours | None = None
    base: str = ""
    now: Callable[[], datetime] = utc_now
    stored: Callable[[str], ArchivedResponse | None] = lambda _: None
    observe: Callable[[Reply | None], None] = lambda _: None
    seen: dict[str, Validator] = field(default_factory=dict)
    outcome_counts: Counter[str] = field(default_factory=Counter)
    responses: dict[str, int] = field(default_factory=dict)
    _deadline: Deadline = field(default_factory=Deadline)
    _robots: dict[str, Protego] = field(default_factory=dict)
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(
            transport=self.network.transport
            or GuardedTransport(self.network.allow, self._deadline),
            headers={"User-Agent": self.network.agent, "Accept-Encoding": OFFERED},
            timeout=httpx.Timeout(
                self.network.retry_policy.read_timeout,
                connect=self.network.retry_policy.connect_timeout,
            ),
            trust_env=False,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        *,
        accept: str = "*/*",
        conditional: bool = False,
    ) -> Reply:
        """Return a reply with status 200, or 304 if *conditional* and nothing has changed: the
        registry says so, or its body has the digest of the last run's.

        Retries temporary failures, after Retry-After if given. Raises a FetchError (see
        harvesters.errors), or WebPageError if *accept* asks for data and a web page is received;
        each message names the address, and the remedy if there is one.
        """
        return self._get(str(self._parse_url(url, params=params)), accept, conditional)

    def _get(
        self, address: str, accept: str, conditional: bool, download_path: Path | None = None
    ) -> Reply:
        headers, old = {"Accept": accept}, self.validators.get(address)
        if conditional and old:
            known = {"If-None-Match": old.etag, "If-Modified-Since": old.modified}
            headers |= {name: value for name, value in known.items() if value}
        request = _Request(headers, download_path=download_path)
        reply = self._follow(address, request)
        if reply.status == 200:
            etag, modified = reply.headers.get("etag"), reply.headers.get("last-modified")
            self.seen[address] = Validator(etag, modified, reply.digest if conditional else None)
            if conditional and old and old.digest == reply.digest:
                return replace(reply, status=304, content=b"")
        elif reply.not_modified and old:
            self.seen[address] = old
        return reply

    @contextmanager
    def download(
        self, url: str, *, accept: str = "*/*", conditional: bool = False
    ) -> Iterator[Reply]:
        """Get a reply like ``get``, but into a file that exists until the end of the context, so
        that memory stays flat.

        The limits are those for files in *retry_policy*.
        """
        with TemporaryDirectory(prefix="stocktake-") as folder:
            yield self._get(str(self._parse_url(url)), accept, conditional, Path(folder) / "body")

    def get_range(self, url: str, byte_range: range, etag: str | None = None) -> Reply:
        """Return the bytes *byte_range* of a file, with status 206; the whole file, with 200, if
        its ETag differs from *etag*.

        Raises like ``get``. Source: https://www.rfc-editor.org/rfc/rfc9110 section 14.
        """
        headers = {
            "Accept": "*/*",
            "Range": f"bytes={byte_range.start}-{byte_range.stop - 1}",
            "Accept-Encoding": "identity",
            **({"If-Range": etag} if etag else {}),
        }
        return self._follow(url, _Request(headers))

    def forget(self, address: str) -> None:
        """Drop the validator of this run for *address*: the next run requests it without condition."""
        self.seen.pop(address, None)

    def _follow(self, address: str, request: _Request) -> Reply:
        """Send a request and follow redirects; robots.txt, rate limit and retries apply to each
        hop.
        """
        url = self._parse_url(address)
        for _ in range(_MAX_REDIRECTS + 1):
            if url.scheme not in {"http", "https"}:
                raise self._count_error(
                    InvalidURLError(
                        "%(address)s: redirects to %(url)s, which is not a web address",
                        address=address,
                        url=str(url),
                    )
                )
            pause = self._pause_for(url, request)
            self.observe(None)
            reply = self._send_with_retries(url, request, pause)
            if not is_redirect(reply):
                self.observe(reply)
                return reply
            url = self._parse_url(str(url), reply.headers["location"])
        raise self._count_error(
            TooManyRedirectsError(
                "%(address)s: more than %(limit)s redirects, the last to %(url)s; correct the "
                "source's url",
                address=address,
                limit=_MAX_REDIRECTS,
                url=str(url),
            )
        )

    def _pause_for(self, url: httpx.URL, request: _Request) -> float:
        """Return the seconds before a request to *url*: *pause*, or more if the host asks for more,
        up to ``MAX_CRAWL_DELAY``.

        Raises RobotsError if its robots.txt forbids *url*, or if its server fails.
        """
        if request.is_for_robots or not self.robots:
            return self.pause
        address = str(url.copy_with(path="/robots.txt", query=None, fragment=None))
        if address not in self._robots:
            self._robots[address] = self._request_robots(address)
        rules = self._robots[address]
        if not (self.robots_override or rules.can_fetch(str(url), USER_AGENT_TOKEN)):
            raise self._count_error(
                RobotsError(
                    '%(url)s: %(robots)s forbids it; ask its publisher for "User-agent: %(token)s" '
                    'and "Allow: %(path)s" there, or for a grant',
                    url=str(url),
                    robots=address,
                    token=USER_AGENT_TOKEN,
                    path=url.path,
                )
            )
        return max(self.pause, min(rules.crawl_delay(USER_AGENT_TOKEN) or 0, MAX_CRAWL_DELAY))

    def _request_robots(self, address: str) -> Protego:
        """Request a robots.txt: 4xx or too many redirects mean that there is none, 5xx that nothing
        is allowed at present.
        """
        content = b""
        try:
            reply = self._follow(address, _Request({"Accept": "text/plain"}, is_for_robots=True))
            content = reply.content if reply.status == 200 else b""
        except TooManyRedirectsError:
            pass
        except (RetryLaterError, UnexpectedStatusError) as error:
            raise self._count_error(
                RobotsError(
                    "%(error)s; without a readable robots.txt no requests are allowed (RFC 9309); try "
                    "again later",
                    error=error.reason,
                )
            ) from error
        rules = Protego.parse(content[:_SIZE].decode("utf-8-sig", "replace"))
        if (delay := rules.crawl_delay(USER_AGENT_TOKEN) or 0) > MAX_CRAWL_DELAY:
            log.warning(
                "crawl-delay reduced to the maximum",
                robots=address,
                requested=delay,
                applied=MAX_CRAWL_DELAY,
                action="agree on a pause with its publisher",
            )
        return rules

    def _send_with_retries(self, url: httpx.URL, request: _Request, pause: float) -> Reply:
        for attempt in self.network.retry_policy.attempts():
            if attempt.num > 1:
                self.outcome_counts["retried"] += 1
            with attempt:
                return self._attempt(url, request, pause)
        raise AssertionError("the last try gives or raises")

    def _attempt(self, url: httpx.URL, request: _Request, pause: float) -> Reply:
        """Send a request once, and count its outcome: the number of requests is the sum of their
        outcomes.
        """
        stored = self.stored(str(url))
        if stored is None:
            self._wait_for_turn(url, pause)
        counts = self.outcome_counts if stored is None or stored.is_new else Counter[str]()
        counts["sent"] += 1
        try:
            reply = self._send(url, request, stored)
            if request.is_for_robots:
                check_robots_response(reply)
            elif not is_redirect(reply) and (reply.status != 206 or "Range" not in request.headers):
                check_response(reply, request.headers["Accept"], self.network.agent)
        except HarvestError as error:
            if isinstance(error, RetryLaterError) and error.after:
                self.network.rate_limiter.block_host(
                    url.host, min(error.after, self.network.retry_policy.max_retry_after)
                )
            self._count_error(error)
            raise
        counts[
            "redirected"
            if is_redirect(reply)
            else "unchanged"
            if reply.not_modified
            else "answered"
        ] += 1
        return reply

    def _parse_url(
        self, url: str, location: str | None = None, params: Mapping[str, str] | None = None
    ) -> httpx.URL:
        try:
            parsed = httpx.URL(url) if location is None else httpx.URL(url).join(location)
            return parsed.copy_merge_params(params) if params else parsed
        except (httpx.InvalidURL, UnicodeError) as error:
            printable = (location or url).encode("utf-8", "backslashreplace").decode()
            raise self._count_error(
                InvalidURLError("%(url)s: invalid URL: %(error)s", url=printable, error=str(error))
            ) from error

    def _count_error(self, error: HarvestError) -> HarvestError:
        self.outcome_counts[error.outcome] += 1
        return error

    def _wait_for_turn(self, url: httpx.URL, pause: float) -> None:
        self.network.rate_limiter.acquire(url.host, pause)
        if self.quiet_hours and (end := self.quiet_hours.ends_at(self.now())):
            raise self._count_error(
                QuietHoursError(
                    "%(host)s: its quiet hours are %(hours)s UTC; the run continues after %(end)s UTC",
                    host=url.host,
                    hours=str(self.quiet_hours),
                    end=f"{end:%Y-%m-%d %H:%M}",
                )
            )

    def _send(self, url: httpx.URL, request: _Request, stored: ArchivedResponse | None) -> Reply:
        policy = self.network.retry_policy
        self._deadline.start(
            policy.file_timeout if request.download_path else policy.response_timeout
        )
        begun = time.monotonic()
        try:
            stream = self._client.stream("GET", url, headers=request.headers)
            opened = closing(stored.open()) if stored else stream
            with opened as response:
                path = request.download_path if response.status_code == 200 else None
                most = policy.max_file_bytes if path else policy.max_bytes
                content, digest = read_body(response, most, self._deadline, path)
        except httpx.TransportError as error:
            raise _transport_error(url, error) from error
        size = path.stat().st_size if path else len(content)
        milliseconds = round((time.monotonic() - begun) * 1000)
        counted = {"count": 1, "bytes": size, "milliseconds": milliseconds, "slowest": milliseconds}
        if stored is None or stored.is_new:
            self.responses = merge_responses(self.responses, counted)
        reply = Reply(
            str(url), response.status_code, response.headers, content, path=path, file_digest=digest
        )
        return replace(reply, at=stored.position if stored else self._archive(reply))

    def _archive(self, reply: Reply) -> SourcePosition | None:
        if self.archive is None:
            return None
        pairs, content = list(reply.headers.multi_items()), reply.path or reply.content
        return self.archive.write_response(reply.url, reply.status, pairs, content)


def _transport_error(url: httpx.URL, error: httpx.TransportError) -> HarvestError:
    """Return the exception for a request without a response, which names the server that cannot be
    reached, why, and what to do.
    """
    if isinstance(cause := error.__cause__, PrivateAddressError):
        text = "%(host)s has the private address %(address)s. To allow it: STOCKTAKE_ALLOW_HOSTS=%(host)s"
        return RefusedError(text, host=cause.host, address=cause.address)
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        why = str(error) or type(error).__name__
        return TransferError(
            "%(url)s: no answer in time: %(error)s", "stalled", url=str(url), error=why
        )
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in str(error):
        return TransferError(
            "%(url)s: the response is not HTTP: %(error)s",
            "malformed",
            url=str(url),
            error=str(error),
        )
    text = "%(server)s: the connection broke before a response began (%(error)s); try again later"
    fault: Value = re.sub(r"^\[[^\]]*\] ", "", str(error)) or Reason("no reason is known")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        text = "%(server)s: the server's certificate is not valid (%(error)s); report this to the registry"
    elif isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        text = (
            "could not connect to %(server)s (%(error)s); check that the registry is running, "
            "and that the source's url is right"
        )
        fault = Reason("no answer in time") if isinstance(error, httpx.ConnectTimeout) else fault
    server = f"{url.host}:{url.port or {'http': 80, 'https': 443}[url.scheme]}"
    return TransferError(text, server=server, error=fault)
