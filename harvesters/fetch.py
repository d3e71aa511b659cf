"""Fetch: the one door to the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Protocol

import httpx
import stamina
import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from harvesters.address import guarded
from harvesters.errors import DeniedError, FetchError, OutageError, RefusedError, TooLargeError
from harvesters.record import Position

AGENT = "Stocktake/0.1 (+https://w3id.org/wsis-stocktaking/; {contact})"
log = structlog.get_logger()

_HOPS = 5  # redirects followed, as browsers' fetch allows 20 and no honest registry needs 3
_LONGEST_WAIT = 300.0  # seconds of Retry-After that a run waits for; longer is an outage
_BUSY = {429, 500, 502, 503, 504}
_AWAY = {301, 302, 303, 307, 308}


class Keeper(Protocol):
    """What keeps a reply before anyone parses it; harvesters.archive does."""

    def keep(self, url: str, status: int, headers: list[tuple[str, str]], content: bytes) -> Position:
        """Keep a reply and tell where it lies."""
        ...


@dataclass(frozen=True, slots=True)
class Validator:
    """What a registry gave to ask "changed since?" with: its ETag and Last-Modified, as it wrote them."""

    etag: str | None
    modified: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: *content* is decoded from its transfer, *unchanged* tells a 304, *at* where it lies in the archive."""

    url: str
    status: int
    headers: httpx.Headers
    content: bytes
    at: Position | None = None

    @property
    def unchanged(self) -> bool:
        """Tell whether the registry said that nothing has changed."""
        return self.status == 304

    @property
    def media_type(self) -> str:
        """Give the media type in lower case without parameters, empty where none was sent."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how much: seconds for each read and for a whole answer, bytes of an answer, tries of a request."""

    read: float = 60.0
    answer: float = 300.0
    size: int = 512 * 1024 * 1024
    tries: int = 5


@dataclass(slots=True)
class Fetch(AbstractContextManager["Fetch"]):
    """Ask registries: politely (*pause* seconds between requests to a host), patiently, and never where we must not go.

    *validators* are the last run's by address; ``seen`` gathers this run's. Redirects are followed and checked at every
    hop, and addresses that are private, loopback or link-local are refused after DNS unless their host is in *allow*.
    """

    contact: str = "no contact given"
    pause: float = 1.0
    allow: frozenset[str] = frozenset()
    keeper: Keeper | None = None
    validators: Mapping[str, Validator] = field(default_factory=dict)
    patience: Patience = Patience()
    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep
    seen: dict[str, Validator] = field(default_factory=dict)
    requests: int = 0
    _next: dict[str, float] = field(default_factory=dict)
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        """Open the client."""
        self._client = httpx.Client(
            transport=self.transport or guarded(self.allow),
            headers={"User-Agent": AGENT.format(contact=self.contact)},
            timeout=httpx.Timeout(self.patience.read, connect=15.0),
            trust_env=False,
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the client."""
        self._client.close()

    def get(self, url: str, params: Mapping[str, str] | None = None, *, accept: str = "*/*", conditional: bool = False) -> Reply:
        """Get an answer with status 200, or 304 where *conditional* and nothing has changed.

        Tries again on 429, 5xx and broken connections, after Retry-After where it is given. Raises OutageError when that
        does not help, DeniedError on 401, 403, 404 and 410, RefusedError, TooLargeError; each names the address.
        """
        address = str(httpx.URL(url).copy_merge_params(params) if params else httpx.URL(url))
        headers = {"Accept": accept, **(self._conditions(address) if conditional else {})}
        for attempt in stamina.retry_context(on=_backoff, attempts=self.patience.tries, timeout=None, wait_initial=0.5, wait_max=30.0):
            with attempt:
                reply = self._follow(address, headers)
        if reply.status == 200:
            self.seen[address] = Validator(reply.headers.get("etag"), reply.headers.get("last-modified"))
        elif reply.unchanged and (old := self.validators.get(address)):
            self.seen[address] = old
        return reply

    def _conditions(self, address: str) -> dict[str, str]:
        known = self.validators.get(address)
        pairs = (("If-None-Match", known.etag), ("If-Modified-Since", known.modified)) if known else ()
        return {name: value for name, value in pairs if value}

    def _follow(self, address: str, headers: Mapping[str, str]) -> Reply:
        url = httpx.URL(address)
        for _ in range(_HOPS + 1):
            if url.scheme not in {"http", "https"}:
                raise RefusedError(f"{address}: leads to {url}, which is no web address")
            self._wait(url.host)
            reply = self._once(url, headers)
            if reply.status not in _AWAY or "location" not in reply.headers:
                return _judged(reply)
            url = url.join(reply.headers["location"])
        raise FetchError(f"{address}: more than {_HOPS} redirects, the last to {url}; correct the card's url")

    def _wait(self, host: str) -> None:
        now = time.monotonic()
        if (due := self._next.get(host, 0.0)) > now:
            self.sleep(due - now)
        self._next[host] = max(due, now) + self.pause

    def _once(self, url: httpx.URL, headers: Mapping[str, str]) -> Reply:
        self.requests += 1
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                content = self._body(response)
        except httpx.InvalidURL as error:
            raise RefusedError(f"{url}: no address that can be asked: {error}") from error
        except httpx.DecodingError as error:
            raise OutageError(f"{url}: its body is not in the encoding that it declares: {error}") from error
        except httpx.TransportError as error:
            raise OutageError(f"{url}: {type(error).__name__}: {error}") from error
        pairs = list(response.headers.multi_items())
        at = self.keeper.keep(str(url), response.status_code, pairs, content) if self.keeper else None
        return Reply(str(url), response.status_code, response.headers, content, at)

    def _body(self, response: httpx.Response) -> bytes:
        until = time.monotonic() + self.patience.answer
        parts: list[bytes] = []
        size = 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > self.patience.size:
                raise TooLargeError(f"{response.url}: over {self.patience.size} bytes; ask for smaller pages in the card's options")
            if time.monotonic() > until:
                raise OutageError(f"{response.url}: its answer took over {self.patience.answer:.0f} seconds")
        return b"".join(parts)




def _judged(reply: Reply) -> Reply:
    if reply.status in {200, 304}:
        return reply
    if reply.status in _BUSY:
        raise Busy(f"{reply.url}: answered {reply.status}", retry_after(reply.headers.get("retry-after"), datetime.now(UTC)))
    if reply.status in {401, 403, 404, 410}:
        raise DeniedError(f"{reply.url}: answered {reply.status}; correct the card's url, or ask the registry to let us in")
    raise OutageError(f"{reply.url}: answered {reply.status}")


class Busy(OutageError):
    """A registry that asks us to come again; *after* seconds, None where it does not say when."""

    def __init__(self, message: str, after: float | None) -> None:
        super().__init__(message)
        self.after = after


def tell_retries() -> None:
    """Have each new try told in our own words; for the whole program, so its front door calls it."""
    set_on_retry_hooks([_tell])


def _tell(details: RetryDetails) -> None:
    log.info("asked again", why=str(details.caused_by), wait=details.wait_for, tries=details.retry_num)


def _backoff(error: Exception) -> bool | float:
    """Tell stamina whether to try again, and when."""
    if isinstance(error, Busy) and error.after is not None:
        return error.after if error.after <= _LONGEST_WAIT else False
    return isinstance(error, OutageError)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from *now*; None where there is none to read.

    Source: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after

    >>> retry_after("120", datetime(2026, 1, 1, tzinfo=UTC))
    120.0
    >>> retry_after("Thu, 01 Jan 2026 00:00:30 GMT", datetime(2026, 1, 1, tzinfo=UTC))
    30.0
    """
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return max(0.0, (when - now).total_seconds())
