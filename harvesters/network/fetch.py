"""Send requests to registries: the only access to the network."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import httpx
import structlog

from harvesters.errors import (
    HarvestError,
    InvalidURLError,
    QuietHoursError,
    RetryLaterError,
    RobotsError,
    TooManyRedirectsError,
    UnexpectedStatusError,
)
from harvesters.network import robots
from harvesters.network.body_reader import read_body, read_to_file
from harvesters.network.connection_errors import transport_error
from harvesters.network.encoding import OFFERED
from harvesters.network.rate_limit import LocalRateLimiter, RateLimiter
from harvesters.network.reply import Reply, ResponseArchive, ResponseCheck, is_redirect, merge_responses
from harvesters.network.response_check import (
    check_response,
    check_robots_response,
    robots_unavailable_error,
)
from harvesters.network.retry import RetryPolicy
from harvesters.network.robots import USER_AGENT_TOKEN, Robots
from harvesters.network.ssrf_guard import Deadline, safe_transport
from harvesters.quiet_hours import QuietHours
from harvesters.reasons import Reason, Value
from harvesters.stored_response import SourcePosition, Validator

AGENT = f"{USER_AGENT_TOKEN}/0.1 (+https://w3id.org/wsis-stocktaking/; {{contact}})"
log = structlog.get_logger()

_MAX_REDIRECTS = 5  # redirects followed, as RFC 9309 asks for robots.txt; no honest registry needs 3
def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Fetch(AbstractContextManager["Fetch"]):
    """An HTTP client that waits *pause* seconds between requests to a host, retries, and refuses
    private addresses.

    *validators* are the last run's by address; ``seen`` collects this run's. Redirects are followed
    and checked at every hop, and addresses that are private, loopback or link-local are refused
    after DNS unless their host is in *allow*. Each host's robots.txt is obeyed, its crawl-delay
    too; a *robots_override* (who permitted access, in writing) sets its Disallow aside. No requests
    are sent in *quiet_hours*. *rate_limiter* is shared by all clients of a process.
    ``outcome_counts`` counts how requests ended, ``responses`` adds up sizes and times; see
    ``merge_responses``. *base* is the prefix of our own IRIs.
    """

    contact: str = "no contact given"
    pause: float = 1.0
    allow: frozenset[str] = frozenset()
    archive: ResponseArchive | None = None
    validators: Mapping[str, Validator] = field(default_factory=dict)
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    transport: httpx.BaseTransport | None = None
    rate_limiter: RateLimiter = field(default_factory=LocalRateLimiter)
    robots: bool = True
    robots_override: str = ""
    quiet_hours: QuietHours | None = None
    base: str = ""
    now: Callable[[], datetime] = _now
    seen: dict[str, Validator] = field(default_factory=dict)
    outcome_counts: Counter[str] = field(default_factory=Counter)
    responses: dict[str, int] = field(default_factory=dict)
    _robots_cache: dict[str, Robots] = field(default_factory=dict)
    _deadline: Deadline = field(default_factory=Deadline)
    _download_path: Path | None = None
    _request_body: Mapping[str, str] | bytes | None = None
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        """Open the HTTP client."""
        self._client = httpx.Client(
            transport=self.transport or safe_transport(self.allow, self._deadline),
            headers={"User-Agent": self.agent, "Accept-Encoding": OFFERED},
            timeout=httpx.Timeout(
                self.retry_policy.read_timeout, connect=self.retry_policy.connect_timeout
            ),
            trust_env=False,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the HTTP client."""
        self._client.close()

    @property
    def agent(self) -> str:
        """Return our User-Agent."""
        return AGENT.format(
            contact=" ".join(self.contact.encode("ascii", "replace").decode().split())
        )

    def post(self, url: str, body: Mapping[str, str] | bytes, *, accept: str = "*/*") -> Reply:
        """Send a query, a form or an XML document, to an address that takes it by POST only;
        retries and raises like ``get``.

        It must not change anything on the server, since it may be sent more than once.
        """
        self._request_body = body
        try:
            return self._follow(
                str(self._parse_url(url)),
                {"Accept": accept},
                lambda reply: check_response(reply, accept, self.agent),
            )
        finally:
            self._request_body = None

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
        address = str(self._parse_url(url, params=params))
        headers = {"Accept": accept, **(self._conditional_headers(address) if conditional else {})}
        reply = self._follow(
            address, headers, lambda reply: check_response(reply, accept, self.agent)
        )
        old = self.validators.get(address)
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
            self._download_path = Path(folder) / "body"
            try:
                reply = self.get(url, accept=accept, conditional=conditional)
            finally:
                self._download_path = None
            yield reply

    def get_range(self, url: str, byte_range: range, etag: str | None = None) -> Reply:
        """Return the bytes *byte_range* of a file, with status 206; the whole file, with 200, if
        its ETag differs from *etag*.

        Raises like ``get``. Source: https://www.rfc-editor.org/rfc/rfc9110 section 14.
        """
        headers = {
            "Range": f"bytes={byte_range.start}-{byte_range.stop - 1}",
            "Accept-Encoding": "identity",
            **({"If-Range": etag} if etag else {}),
        }
        return self._follow(
            url,
            {"Accept": "*/*", **headers},
            lambda reply: check_response(reply, "*/*", self.agent) if reply.status != 206 else None,
        )

    def validator(self, address: str) -> Validator | None:
        """Return the validator of the last run for *address*, None if it has none."""
        return self.validators.get(address)

    def forget(self, address: str) -> None:
        """Drop the validator of this run for *address*: the next run requests it without condition."""
        self.seen.pop(address, None)

    def _conditional_headers(self, address: str) -> dict[str, str]:
        known = self.validators.get(address)
        pairs = (
            (("If-None-Match", known.etag), ("If-Modified-Since", known.modified)) if known else ()
        )
        return {name: value for name, value in pairs if value}

    def _follow(
        self,
        address: str,
        headers: Mapping[str, str],
        check: ResponseCheck,
        *,
        check_robots: bool = True,
    ) -> Reply:
        """Send a request and follow redirects; robots.txt, rate limit and retries apply to each
        hop.
        """
        url = self._parse_url(address)
        for _ in range(_MAX_REDIRECTS + 1):
            if url.scheme not in {"http", "https"}:
                raise self._count_error(
                    InvalidURLError(
                        Reason("redirect_not_web", {"address": address, "url": str(url)})
                    )
                )
            pause = self._check_robots(url) if check_robots and self.robots else self.pause
            reply = self._send_with_retries(url, headers, check, pause)
            if not is_redirect(reply):
                return reply
            url = self._parse_url(str(url), reply.headers["location"])
        raise self._count_error(
            TooManyRedirectsError(
                Reason(
                    "too_many_redirects",
                    {"address": address, "limit": _MAX_REDIRECTS, "url": str(url)},
                )
            )
        )

    def _send_with_retries(
        self, url: httpx.URL, headers: Mapping[str, str], check: ResponseCheck, pause: float
    ) -> Reply:
        for attempt in self.retry_policy.attempts():
            if attempt.num > 1:
                self.outcome_counts["retried"] += 1
            with attempt:
                return self._attempt(url, headers, check, pause)
        raise AssertionError("the last try gives or raises")

    def _attempt(
        self, url: httpx.URL, headers: Mapping[str, str], check: ResponseCheck, pause: float
    ) -> Reply:
        """Send a request once, and count its outcome: the number of requests is the sum of their
        outcomes.
        """
        self._wait_for_turn(url, pause)
        self.outcome_counts["sent"] += 1
        try:
            reply = self._send(url, headers)
            if not is_redirect(reply):
                check(reply)
        except HarvestError as error:
            if isinstance(error, RetryLaterError) and error.after:
                self.rate_limiter.block_host(
                    url.host, min(error.after, self.retry_policy.max_retry_after)
                )
            self._count_error(error)
            raise
        self.outcome_counts[
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
                InvalidURLError(Reason("invalid_url", {"url": printable, "error": str(error)}))
            ) from error

    def _count_error(self, error: HarvestError) -> HarvestError:
        self.outcome_counts[error.outcome] += 1
        return error

    def _check_robots(self, url: httpx.URL) -> float:
        """Return the pause that this host asks for; raises RobotsError if its robots.txt forbids
        the address.
        """
        rules = self._robots_rules(
            str(url.copy_with(path="/robots.txt", query=None, fragment=None))
        )
        if not self.robots_override and (line := rules.forbids(str(url))):
            values: dict[str, Value] = {
                "url": str(url),
                "robots": rules.url,
                "number": line[0],
                "line": line[1],
                "token": USER_AGENT_TOKEN,
                "path": url.path,
            }
            raise self._count_error(RobotsError(Reason("robots_forbids", values)))
        return max(self.pause, min(rules.delay, robots.MAX_CRAWL_DELAY))

    def _robots_rules(self, address: str) -> Robots:
        if address not in self._robots_cache:
            self._robots_cache[address] = rules = self._fetch_robots(address)
            if rules.delay > robots.MAX_CRAWL_DELAY:
                fields = {
                    "requested": rules.delay,
                    "applied": robots.MAX_CRAWL_DELAY,
                    "action": "agree on a pause with its publisher",
                }
                log.warning("crawl-delay reduced to the maximum", robots=address, **fields)
        return self._robots_cache[address]

    def _fetch_robots(self, address: str) -> Robots:
        """Fetch a robots.txt: 4xx or too many redirects mean that there is none, 5xx that nothing
        is allowed at present.
        """
        download_path, self._download_path, request_body, self._request_body = (
            self._download_path,
            None,
            self._request_body,
            None,
        )
        try:
            reply = self._follow(
                address, {"Accept": "text/plain"}, check_robots_response, check_robots=False
            )
        except TooManyRedirectsError:
            return robots.allow_all(address)
        except (RetryLaterError, UnexpectedStatusError) as error:
            raise self._count_error(robots_unavailable_error(error)) from error
        finally:
            self._download_path, self._request_body = download_path, request_body
        return (
            robots.parse_robots(address, reply.content)
            if reply.status == 200
            else robots.allow_all(address)
        )

    def _wait_for_turn(self, url: httpx.URL, pause: float) -> None:
        self.rate_limiter.acquire(url.host, pause)
        if self.quiet_hours and (end := self.quiet_hours.ends_at(self.now())):
            values = {
                "host": url.host,
                "hours": str(self.quiet_hours),
                "end": f"{end:%Y-%m-%d %H:%M}",
            }
            raise self._count_error(QuietHoursError(Reason("quiet_hours", values)))

    def _send(self, url: httpx.URL, headers: Mapping[str, str]) -> Reply:
        self._deadline.start(
            self.retry_policy.file_timeout
            if self._download_path
            else self.retry_policy.response_timeout
        )
        path, digest, begun = None, "", time.monotonic()
        try:
            with self._open_stream(url, headers) as response:
                if self._download_path and response.status_code == 200:
                    path = self._download_path
                    content, digest = read_to_file(
                        response, path, self.retry_policy.max_file_bytes, self._deadline
                    )
                else:
                    content = read_body(response, self.retry_policy.max_bytes, self._deadline)
        except httpx.TransportError as error:
            raise transport_error(url, error) from error
        size = path.stat().st_size if path else len(content)
        milliseconds = round((time.monotonic() - begun) * 1000)
        counted = {"count": 1, "bytes": size, "milliseconds": milliseconds, "slowest": milliseconds}
        self.responses = merge_responses(self.responses, counted)
        reply = Reply(
            str(url), response.status_code, response.headers, content, path=path, file_digest=digest
        )
        return replace(reply, at=self._archive_reply(reply)) if self.archive else reply

    def _open_stream(
        self, url: httpx.URL, headers: Mapping[str, str]
    ) -> AbstractContextManager[httpx.Response]:
        if self._request_body is None:
            return self._client.stream("GET", url, headers=headers)
        if isinstance(self._request_body, bytes):
            return self._client.stream(
                "POST",
                url,
                headers={**headers, "Content-Type": "application/xml"},
                content=self._request_body,
            )
        return self._client.stream("POST", url, headers=headers, data=self._request_body)

    def _archive_reply(self, reply: Reply) -> SourcePosition | None:
        pairs = list(reply.headers.multi_items())
        if self.archive is None:
            return None
        if reply.path is not None:
            return self.archive.write_file(reply.url, reply.status, pairs, reply.path)
        return self.archive.write_response(reply.url, reply.status, pairs, reply.content)
