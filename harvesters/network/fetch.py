"""Fetch: the one door to the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Protocol

import httpx
import structlog

from harvesters.errors import (
    HarvestError,
    InvalidHTTPError,
    InvalidURLError,
    QuietHoursError,
    ReadTimeoutError,
    RetryLaterError,
    RobotsError,
    TooManyRedirectsError,
    UnexpectedStatusError,
    UnreachableError,
)
from harvesters.network import robots
from harvesters.network.body_reader import read_body, read_to_file
from harvesters.network.encoding import OFFERED
from harvesters.network.rate_limit import LocalRateLimiter, RateLimiter
from harvesters.network.response_check import check_response, check_robots_response, robots_unavailable_error
from harvesters.network.retry import RetryPolicy
from harvesters.network.robots import USER_AGENT_TOKEN, Robots
from harvesters.network.ssrf_guard import Deadline, safe_transport
from harvesters.page_model import SourcePosition
from harvesters.quiet_hours import QuietHours

AGENT = f"{USER_AGENT_TOKEN}/0.1 (+https://w3id.org/wsis-stocktaking/; {{contact}})"
log = structlog.get_logger()

_HOPS = 5  # redirects followed, as RFC 9309 asks for robots.txt; no honest registry needs 3
_AWAY = {301, 302, 303, 307, 308}


class ResponseArchive(Protocol):
    """What keeps a reply before anyone parses it; harvesters.archive does."""

    def write_response(self, url: str, status: int, headers: list[tuple[str, str]], content: bytes) -> SourcePosition:
        """Keep a reply and tell where it lies."""
        ...

    def write_file(self, url: str, status: int, headers: list[tuple[str, str]], path: Path) -> SourcePosition:
        """Keep a reply whose body lies in a file, and tell where it lies."""
        ...


@dataclass(frozen=True, slots=True)
class Validator:
    """What a registry gave to ask "changed since?" with: its ETag and Last-Modified, as it wrote them."""

    etag: str | None
    modified: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: *content* is decoded from its transfer, *unchanged* tells a 304, *at* where it lies in the archive.

    Of an answer that was brought into a file (*path*), *content* is the beginning, and *digest* that of the whole.
    """

    url: str
    status: int
    headers: httpx.Headers
    content: bytes
    at: SourcePosition | None = None
    path: Path | None = None
    file_digest: str = ""

    @property
    def not_modified(self) -> bool:
        """Tell whether the registry said that nothing has changed."""
        return self.status == 304

    @property
    def digest(self) -> str:
        """Give what tells the answer from another one: a digest of its bytes."""
        return self.file_digest or blake2b(self.content, digest_size=8).hexdigest()

    @property
    def media_type(self) -> str:
        """Give the media type in lower case without parameters, empty where none was sent."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()


ResponseCheck = Callable[[Reply], None]  # raises what is wrong with a reply


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Fetch(AbstractContextManager["Fetch"]):
    """Ask registries: politely (*pause* seconds between requests to a host), patiently, and never where we must not go.

    *validators* are the last run's by address; ``seen`` gathers this run's. Redirects are followed and checked at every
    hop, and addresses that are private, loopback or link-local are refused after DNS unless their host is in *allow*.
    Each host's robots.txt is kept to, its crawl-delay too; a *grant* (who let us in, in writing) sets its Disallow aside. No
    request is made in *quiet* hours. *pace* is shared by all doors of a process. ``met`` counts how each request ended. *base* is what
    our own IRIs begin with, by which who asks another Stocktake knows what came from us.
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
    _rules: dict[str, Robots] = field(default_factory=dict)
    _deadline: Deadline = field(default_factory=Deadline)
    _into: Path | None = None
    _asked: Mapping[str, str] | bytes | None = None
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        """Open the client."""
        self._client = httpx.Client(
            transport=self.transport or safe_transport(self.allow, self._deadline),
            headers={"User-Agent": self.agent, "Accept-Encoding": OFFERED},
            timeout=httpx.Timeout(self.retry_policy.read_timeout, connect=self.retry_policy.connect_timeout),
            trust_env=False,
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the client."""
        self._client.close()

    @property
    def agent(self) -> str:
        """Give our User-Agent."""
        return AGENT.format(contact=" ".join(self.contact.encode("ascii", "replace").decode().split()))

    def post(self, url: str, asked: Mapping[str, str] | bytes, *, accept: str = "*/*") -> Reply:
        """Put a question, a form or an XML document, that an address takes by POST only; tried again and raising as ``get`` does.

        It must be one that changes nothing, since it may be put more than once.
        """
        self._asked = asked
        try:
            return self._follow(str(self._parsed(url)), {"Accept": accept}, lambda it: check_response(it, accept, self.agent))
        finally:
            self._asked = None

    def get(self, url: str, params: Mapping[str, str] | None = None, *, accept: str = "*/*", conditional: bool = False) -> Reply:
        """Get an answer with status 200, or 304 where *conditional* and nothing has changed.

        Tries again where an outage may pass, after Retry-After where it is given. Raises a FetchError whose class tells what
        was met (harvesters.errors draws them), WebPageError where *accept* asks for data and a web page comes; each names the
        address, and the cure where there is one.
        """
        address = str(self._parsed(url, params=params))
        headers = {"Accept": accept, **(self._conditions(address) if conditional else {})}
        reply = self._follow(address, headers, lambda it: check_response(it, accept, self.agent))
        if reply.status == 200:
            self.seen[address] = Validator(reply.headers.get("etag"), reply.headers.get("last-modified"))
        elif reply.not_modified and (old := self.validators.get(address)):
            self.seen[address] = old
        return reply

    @contextmanager
    def download(self, url: str, *, accept: str = "*/*", conditional: bool = False) -> Iterator[Reply]:
        """Get an answer as ``get`` does, but into a file that lasts as long as the context, so that memory stays flat.

        It may be as large, and take as long, as *patience* lets a file.
        """
        with TemporaryDirectory(prefix="stocktake-") as folder:
            self._into = Path(folder) / "body"
            try:
                reply = self.get(url, accept=accept, conditional=conditional)
            finally:
                self._into = None
            yield reply

    def get_range(self, url: str, wanted: range, etag: str | None = None) -> Reply:
        """Get the bytes *wanted* of a file, with status 206; all of it, with 200, where it is not the one named *etag*, or has no parts.

        Raises as ``get`` does. Source: https://www.rfc-editor.org/rfc/rfc9110 section 14.
        """
        asked = {"Range": f"bytes={wanted.start}-{wanted.stop - 1}", "Accept-Encoding": "identity", **({"If-Range": etag} if etag else {})}
        return self._follow(url, {"Accept": "*/*", **asked}, lambda it: check_response(it, "*/*", self.agent) if it.status != 206 else None)

    def _conditions(self, address: str) -> dict[str, str]:
        known = self.validators.get(address)
        pairs = (("If-None-Match", known.etag), ("If-Modified-Since", known.modified)) if known else ()
        return {name: value for name, value in pairs if value}

    def _follow(self, address: str, headers: Mapping[str, str], judged: ResponseCheck, *, admit: bool = True) -> Reply:
        """Ask, and go where the answers lead; each hop has its own robots.txt, its own turn and its own tries."""
        url = self._parsed(address)
        for _ in range(_HOPS + 1):
            if url.scheme not in {"http", "https"}:
                raise self._counted(InvalidURLError(f"{address}: redirects to {url}, which is not a web address"))
            pause = self._admitted(url) if admit and self.robots else self.pause
            reply = self._patiently(url, headers, judged, pause)
            if not _leads_on(reply):
                return reply
            url = self._parsed(str(url), reply.headers["location"])
        raise self._counted(TooManyRedirectsError(f"{address}: more than {_HOPS} redirects, the last to {url}; correct the source's url"))

    def _patiently(self, url: httpx.URL, headers: Mapping[str, str], judged: ResponseCheck, pause: float) -> Reply:
        for attempt in self.retry_policy.attempts():
            if attempt.num > 1:
                self.outcome_counts["retried"] += 1
            with attempt:
                return self._try(url, headers, judged, pause)
        raise AssertionError("the last try gives or raises")

    def _try(self, url: httpx.URL, headers: Mapping[str, str], judged: ResponseCheck, pause: float) -> Reply:
        """Ask once, and count how it ended: what was asked is the sum of how it ended."""
        self._wait(url, pause)
        self.outcome_counts["asked"] += 1
        try:
            reply = self._once(url, headers)
            if not _leads_on(reply):
                judged(reply)
        except HarvestError as error:
            if isinstance(error, RetryLaterError) and error.after:
                self.rate_limiter.block_host(url.host, min(error.after, self.retry_policy.max_retry_after))
            self._counted(error)
            raise
        self.outcome_counts["redirected" if _leads_on(reply) else "unchanged" if reply.not_modified else "answered"] += 1
        return reply

    def _parsed(self, url: str, location: str | None = None, params: Mapping[str, str] | None = None) -> httpx.URL:
        try:
            parsed = httpx.URL(url) if location is None else httpx.URL(url).join(location)
            return parsed.copy_merge_params(params) if params else parsed
        except (httpx.InvalidURL, UnicodeError) as error:
            shown = (location or url).encode("utf-8", "backslashreplace").decode()
            raise self._counted(InvalidURLError(f"{shown}: no address that can be asked: {error}")) from error

    def _counted(self, error: HarvestError) -> HarvestError:
        self.outcome_counts[error.outcome] += 1
        return error

    def _admitted(self, url: httpx.URL) -> float:
        """Give the pause that this host asks for; raises RobotsError where its robots.txt forbids the address."""
        rules = self._robots(str(url.copy_with(path="/robots.txt", query=None, fragment=None)))
        if not self.robots_override and (line := rules.forbids(str(url))):
            cure = f'ask its publisher for "User-agent: {USER_AGENT_TOKEN}" and "Allow: {url.path}" there, or for a grant'
            raise self._counted(RobotsError(f"{url}: {rules.url} forbids it in {line}; {cure}"))
        return max(self.pause, min(rules.delay, robots.MAX_CRAWL_DELAY))

    def _robots(self, address: str) -> Robots:
        if address not in self._rules:
            self._rules[address] = rules = self._ask_robots(address)
            if rules.delay > robots.MAX_CRAWL_DELAY:
                told = {"asked": rules.delay, "kept": robots.MAX_CRAWL_DELAY, "cure": "agree on a pause with its publisher"}
                log.warning("crawl-delay reduced to the maximum", robots=address, **told)
        return self._rules[address]

    def _ask_robots(self, address: str) -> Robots:
        """Read a robots.txt: 4xx or redirects without end mean that there is none, 5xx that nothing is allowed for now."""
        into, self._into, asked, self._asked = self._into, None, self._asked, None
        try:
            reply = self._follow(address, {"Accept": "text/plain"}, check_robots_response, admit=False)
        except TooManyRedirectsError:
            return robots.allow_all(address)
        except (RetryLaterError, UnexpectedStatusError) as error:
            raise self._counted(robots_unavailable_error(address, str(error).partition(": ")[2])) from error
        finally:
            self._into, self._asked = into, asked
        return robots.parse_robots(address, reply.content) if reply.status == 200 else robots.allow_all(address)

    def _wait(self, url: httpx.URL, pause: float) -> None:
        self.rate_limiter.acquire(url.host, pause)
        if self.quiet_hours and (end := self.quiet_hours.ends_at(self.now())):
            told = f"its quiet hours are {self.quiet_hours} UTC; the run goes on after {end:%Y-%m-%d %H:%M} UTC"
            raise self._counted(QuietHoursError(f"{url.host}: {told}"))

    def _once(self, url: httpx.URL, headers: Mapping[str, str]) -> Reply:
        self._deadline.start(self.retry_policy.file_timeout if self._into else self.retry_policy.response_timeout)
        path, digest = None, ""
        try:
            with self._begun(url, headers) as response:
                if self._into and response.status_code == 200:
                    path = self._into
                    content, digest = read_to_file(response, path, self.retry_policy.max_file_bytes, self._deadline)
                else:
                    content = read_body(response, self.retry_policy.max_bytes, self._deadline)
        except httpx.TransportError as error:
            raise _failed(url, error) from error
        reply = Reply(str(url), response.status_code, response.headers, content, path=path, file_digest=digest)
        return replace(reply, at=self._keep(reply)) if self.archive else reply

    def _begun(self, url: httpx.URL, headers: Mapping[str, str]) -> AbstractContextManager[httpx.Response]:
        if self._asked is None:
            return self._client.stream("GET", url, headers=headers)
        if isinstance(self._asked, bytes):
            return self._client.stream("POST", url, headers={**headers, "Content-Type": "application/xml"}, content=self._asked)
        return self._client.stream("POST", url, headers=headers, data=self._asked)

    def _keep(self, reply: Reply) -> SourcePosition | None:
        pairs = list(reply.headers.multi_items())
        if self.archive is None:
            return None
        if reply.path is not None:
            return self.archive.write_file(reply.url, reply.status, pairs, reply.path)
        return self.archive.write_response(reply.url, reply.status, pairs, reply.content)


def _failed(url: httpx.URL, error: httpx.TransportError) -> HarvestError:
    """Tell what it means that no answer began."""
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return ReadTimeoutError(f"{url}: no answer in time: {error or type(error).__name__}")
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in str(error):
        return InvalidHTTPError(f"{url}: {error}")
    return UnreachableError(f"{url}: {type(error).__name__}: {error}")


def _leads_on(reply: Reply) -> bool:
    return reply.status in _AWAY and "location" in reply.headers
