"""The middleware of the publisher: headers that name the journal position of each response and the
freshness of its sources, responses to errors that no route handled, limits on pages, and a cache of
complete pages, compressed if the client accepts it.

A crawler that follows every facet finds pages without end, and each costs a query. A page costs its
client one point; each facet value beyond the first doubles it. Pages of many facets are rendered a
few at a time, and for a quarter of the time at most, whoever requests them. So many clients together
do not delay the pages that people open. ``/robots.txt`` keeps to the same limits.

A page depends on the version of the data, its URL and the client's language. One that shows the
date, or what is not in the snapshot, says by ``keep_for`` how long it is kept. Concurrent requests
for the same page share one rendering.

Sources: https://www.rfc-editor.org/rfc/rfc6585 section 4 (429), and of
https://www.rfc-editor.org/rfc/rfc9110 sections 8.4 (Content-Encoding), 10.2.3 (Retry-After), 12.5.3
(Accept-Encoding) and 13 (conditions).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from ipaddress import ip_address

import duckdb
from cachetools import LRUCache
from isal import igzip
from prometheus_client import Counter
from starlette.datastructures import Headers, MutableHeaders, QueryParams, State
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from languages.translations import TranslatableText, current_locale
from publisher.data.properties import FACETS
from publisher.errors import COST, PublisherError, QuotaExceeded, StoreBusy
from publisher.limits import Limits
from publisher.store.descriptions import (
    SourceStatus,
    count_by_state,
    next_status_change,
    source_statuses,
)
from publisher.store.query_service import QueryService
from publisher.store.workers.pool import RateLimiter
from web.middleware import client_key
from web.respond import REVALIDATED, accepts_gzip, is_not_modified, parse_http_date

DEEP = 3  # pages with at least as many facet values are rendered a few at a time
# After such a page its slot rests for this many times as long as the page took. So these pages take
# a quarter of the time at most, and a slow server begins fewer of them.
REST = 3.0
MOST_POINTS = 32  # the most points that a page costs
ALL_DATA = TranslatableText("all data is in the files of /dumps/ and /releases")
ALL_DATA_LINK = '</dumps/>; rel="related"; title="all data as files"'


def facet_depth(query: QueryParams) -> int:
    """Return the number of facet values in a URL.

    >>> facet_depth(QueryParams("q=water&goal=4&goal=5&country=404&page=2"))
    3
    """
    return sum(name in FACETS and bool(value.strip()) for name, value in query.multi_items())


def page_points(query: QueryParams) -> int:
    """Return what a page costs: 1 with at most one facet value, twice as much with each more, at
    most MOST_POINTS.

    >>> [page_points(QueryParams("&".join(["goal=4"] * depth))) for depth in (0, 1, 2, 3, 9)]
    [1, 1, 2, 4, 32]
    """
    return int(min(MOST_POINTS, 2 ** max(0, facet_depth(query) - 1)))


class PageLimits:
    """Allow each client address *limits.pages* points in *limits.window* seconds, and *limits.deep*
    renderings of pages with DEEP or more facet values at once.

    Loopback addresses are not limited: behind a proxy that is not trusted, all clients have one.
    """

    def __init__(self, limits: Limits, now: Callable[[], float] = time.monotonic) -> None:
        self._pages, self._wait = limits.pages, limits.deep_wait
        self._limiter = RateLimiter(replace(limits, budget=limits.pages), now)
        self._slots = asyncio.Semaphore(limits.deep) if limits.deep else None

    def spend(self, scope: Scope) -> None:
        """Take the points of a page from its client; raises QuotaExceeded if none are left."""
        client = client_key(scope)
        if _is_own(client):
            return
        try:
            self._limiter.admit(client)
        except QuotaExceeded as error:
            text = TranslatableText(
                "this address has used its {points} points for pages; try again in {seconds} seconds; {advice}",
                points=f"{self._pages:g}",
                seconds=error.wait,
                advice=ALL_DATA,
            )
            raise QuotaExceeded(text, error.wait, ALL_DATA_LINK) from error
        self._limiter.charge(client, page_points(QueryParams(scope["query_string"])))

    @asynccontextmanager
    async def slot(self, scope: Scope) -> AsyncIterator[None]:
        """Wait for a slot for a page with many facet values, *limits.deep_wait* seconds at most;
        raises StoreBusy.

        After a page its slot rests for REST times as long as the page took, but at most half of
        *limits.deep_wait*, so that the next request is served even if pages are slow.
        """
        if self._slots is None or facet_depth(QueryParams(scope["query_string"])) < DEEP:
            yield
            return
        try:
            async with asyncio.timeout(self._wait):
                await self._slots.acquire()
        except TimeoutError as error:
            raise StoreBusy(
                f"too many pages with {DEEP} or more facets are requested; choose fewer facets, or try again later; {ALL_DATA}",
                ALL_DATA_LINK,
            ) from error
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            yield
        finally:
            rest = min(REST * (loop.time() - begun), self._wait / 2)
            loop.call_later(rest, self._slots.release)


def _is_own(client: str) -> bool:
    try:
        return ip_address(client.partition("/")[0]).is_loopback
    except ValueError:
        return not client


# The number of the entry that is being applied: a response may show a part of it.
APPLYING_HEADER = "Stocktake-Applying-Entry"
LAG_HEADER = "Stocktake-Lag"  # number of journal entries that are not applied yet, if any
HEADER_NAMES = (
    "Stocktake-Position",
    "Stocktake-Time",
    "Stocktake-Freshness",
    "Stocktake-Confirmed",
    APPLYING_HEADER,
    LAG_HEADER,
)
# Responses from a release have this header and none of the others, which are about current data.
RELEASE_HEADER = "Stocktake-Release"
# The index of the segment that names the source, by the first segment of the path.
_SOURCE_SEGMENT = {"id": 2, "page": 2, "data": 2, "record": 1, "source": 1}
# Static files do not change; health must answer when the store does not.
_EXCLUDED = ("static", "docs", "health")

# The class of what engines in Rust raise, for example for a damaged search index: it is not public,
# and does not derive from Exception.
_PANIC = "PanicException"


class FreshnessMiddleware:
    """Add the headers of HEADER_NAMES to the responses of *app*.

    The position is read when the request arrives. The data may be newer, never older. What *app*
    raises is answered by *respond*, and raised again where that returns None, or where the response
    has begun.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: QueryService,
        respond: Callable[[Request, Exception], Awaitable[Response | None]],
    ) -> None:
        self._app, self._service, self._respond = app, service, respond
        # The number of a snapshot, the statuses of its sources, their counts, and until when these
        # are current.
        self._cached: tuple[int, dict[str, SourceStatus], str, datetime | None] = (-1, {}, "", None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        parts, has_begun = scope["path"].strip("/").split("/"), False
        headers = {} if parts[0] in _EXCLUDED else await self._headers(parts)

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            if message["type"] == "http.response.start" and RELEASE_HEADER not in (
                response := MutableHeaders(scope=message)
            ):
                response.update(headers)
                if APPLYING_HEADER in headers and response.get("Cache-Control") == REVALIDATED:
                    # The response may show a part of the entry, so no cache may take it for a state.
                    response["Cache-Control"] = "no-store"
                    del response["ETag"]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except BaseException as error:
            is_panic = type(error).__name__ == _PANIC
            if has_begun or not (isinstance(error, Exception) or is_panic):
                raise
            failure = error if isinstance(error, Exception) else RuntimeError(str(error))
            response = await self._respond(Request(scope), failure)
            if response is None:
                raise
            await response(scope, receive, send_with_headers)

    async def _headers(self, parts: list[str]) -> dict[str, str]:
        snapshot = self._service.published
        if snapshot is None:
            return {}
        headers = {
            "Stocktake-Position": str(snapshot.position),
            "Stocktake-Time": snapshot.time,
            LAG_HEADER: str(self._service.behind or ""),
            APPLYING_HEADER: str(snapshot.applying or ""),
        }
        with suppress(PublisherError, duckdb.Error):  # the response itself reports the error
            headers |= await self._freshness(parts)
        return {name: text for name, text in headers.items() if text}

    async def _freshness(self, parts: list[str]) -> dict[str, str]:
        now, current = self._service.now(), self._service.current.number
        number, statuses, counts, until = self._cached
        if number != current or (until is not None and now >= until):
            statuses = await source_statuses(self._service)
            states = count_by_state(statuses, now).items()
            counts = ", ".join(f"{state.value}={count}" for state, count in states)
            self._cached = (current, statuses, counts, next_status_change(statuses, now))
        segment = _SOURCE_SEGMENT.get(parts[0], len(parts))
        status = statuses.get(parts[segment]) if len(parts) > segment else None
        if status is None:
            return {"Stocktake-Freshness": counts}
        confirmed = status.last_full_harvest or ""
        return {"Stocktake-Freshness": status.state(now).value, "Stocktake-Confirmed": confirmed}


MAX_CACHE_BYTES = 64 << 20  # the size of all cached pages, compressed and not
COMPRESSION_LEVEL = 2  # of isal's 0 to 3: 100 kB in about 1 ms, to a quarter of the size
MINUTE = 60  # seconds
CACHED_ROUTES = frozenset(
    ("", "search", "concept", "scheme", "source", "page", "matrix", "map", "trends", "gaps", "events", "documents", "posts", "prizes",
     "sources", "organizations", "things", "compare", "embed")
)  # fmt: skip
_QUERY_PATHS = ("/sparql", "/exports", "/reconcile")
_CONDITIONS = (b"if-none-match", b"if-modified-since")
_GZIP_SUFFIX = "-gzip"  # suffix of the ETag of a compressed page: it is another representation
_kept_seconds: ContextVar[list[float]] = ContextVar("kept_seconds")


def keep_for(seconds: float) -> None:
    """Keep the page that is being rendered for *seconds* at most, not as long as the data stay."""
    if (limits := _kept_seconds.get(None)) is not None:
        limits.append(seconds)


@dataclass(frozen=True, slots=True)
class _CachedPage:
    """A response, which is kept *until* a time; *compressed* is None if it is no page."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    compressed: bytes | None
    until: float


def page_version(service: QueryService, state: State) -> str:
    """Return the version under which pages are cached; "" while none may be."""
    if service.snapshot is None or not service.is_consistent:
        return ""
    # The navigation links to submissions while they are open.
    return f"{service.snapshot.version} {state.submissions_open()}"


def add_budget(service: QueryService, scope: Scope, headers: MutableHeaders) -> None:
    """Add what a query cost, and what is left of the client's budget."""
    if not scope["path"].startswith(_QUERY_PATHS):
        return
    headers.update(service.rate_limiter.headers(client_key(scope)))
    if "trailer" not in headers:
        headers.setdefault(COST, "0.000")


class PageMiddleware:
    """Limit and cache the pages of *app*.

    *version* returns that of the data, "" while there are none; *now* returns seconds. *requests*
    counts hits and misses by the label "result".
    """

    def __init__(
        self,
        app: ASGIApp,
        version: Callable[[], str],
        requests: Counter,
        limits: PageLimits,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app, self._version, self._requests, self._now = app, version, requests, now
        self._limits = limits
        self._pages: LRUCache[Hashable, _CachedPage] = LRUCache(MAX_CACHE_BYTES, _size)
        self._pending: dict[Hashable, asyncio.Task[_CachedPage]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if scope["path"].split("/", 2)[1].partition(".")[0] not in CACHED_ROUTES:
            return await self._app(scope, receive, send)
        self._limits.spend(scope)
        headers, version = Headers(scope=scope), self._version()
        is_html = "text/html" in headers.get("accept", "")
        if scope["method"] != "GET" or not version or not is_html:
            return await self._answer(scope, receive, send)
        key = (
            version,
            current_locale().language,
            headers["accept"],
            scope["scheme"],
            headers.get("host", ""),
            scope["path"],
            scope["query_string"],
        )
        await _send_page(await self._get_page(key, scope), headers, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._limits.slot(scope):
            await self._app(scope, receive, send)

    async def _get_page(self, key: Hashable, scope: Scope) -> _CachedPage:
        page = self._pages.get(key)
        page = page if page and page.until > self._now() else None
        self._requests.labels("hit" if page else "miss").inc()
        if page:
            return page
        if key not in self._pending:
            self._pending[key] = asyncio.create_task(self._render(key, scope))
            self._pending[key].add_done_callback(lambda _: self._pending.pop(key))
        return await asyncio.shield(self._pending[key])

    async def _render(self, key: Hashable, scope: Scope) -> _CachedPage:
        messages: list[Message] = []
        body_messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            # The page is rendered even if the client disconnects.
            return body_messages.pop() if body_messages else await asyncio.Future()

        async def send(message: Message) -> None:
            messages.append(message)

        limits: list[float] = []
        _kept_seconds.set(limits)  # the task of the rendering has a context of its own
        began = self._now()
        headers = [(name, value) for name, value in scope["headers"] if name not in _CONDITIONS]
        await self._answer({**scope, "headers": headers}, receive, send)
        start, body = messages[0], b"".join(message.get("body", b"") for message in messages[1:])
        response_headers = Headers(raw=start["headers"])
        is_page = start["status"] == HTTPStatus.OK and response_headers.get(
            "content-type", ""
        ).startswith("text/html")
        page = _CachedPage(
            start["status"],
            start["headers"],
            body,
            igzip.compress(body, COMPRESSION_LEVEL, mtime=0) if is_page else None,
            began + min(limits, default=math.inf),
        )
        if is_page and page.until > began:
            with suppress(ValueError):  # larger than the cache
                self._pages[key] = page
        return page


def _size(page: _CachedPage) -> int:
    return len(page.body) + len(page.compressed or b"") + 2_000  # overhead besides the bodies


async def _send_page(page: _CachedPage, request_headers: Headers, send: Send) -> None:
    headers = MutableHeaders(raw=list(page.headers))
    compressed = page.compressed if accepts_gzip(request_headers.get("accept-encoding")) else None
    if page.compressed is not None:
        headers.add_vary_header("Accept-Encoding")
    if compressed is not None:
        headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(compressed))
        if "etag" in headers:
            headers["ETag"] = headers["etag"][:-1] + _GZIP_SUFFIX + '"'
    status, body = page.status, page.body if compressed is None else compressed
    if page.status == HTTPStatus.OK and _not_modified(request_headers, headers):
        status, body = HTTPStatus.NOT_MODIFIED, b""
        for name in ("content-length", "content-type", "content-encoding"):
            del headers[name]
    await send({"type": "http.response.start", "status": int(status), "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})


def _not_modified(request_headers: Headers, response_headers: MutableHeaders) -> bool:
    """Return whether the client has the page, compressed or not."""
    tag = response_headers.get("etag", "")[:-1].removesuffix(_GZIP_SUFFIX)
    etags = (f'{tag}"', f'{tag}{_GZIP_SUFFIX}"') if tag else ()
    return is_not_modified(
        request_headers, *etags, modified=parse_http_date(response_headers.get("last-modified"))
    )
