"""Cache complete pages of the current snapshot, compressed if the client accepts it, within limits.

A page depends on the version of the data, its URL and the client's language. One that shows the
date, or what is not in the snapshot, says by ``keep_for`` how long it is kept. Concurrent requests
for the same page share one rendering.

Source: https://www.rfc-editor.org/rfc/rfc9110 sections 8.4 (Content-Encoding), 12.5.3
(Accept-Encoding) and 13 (conditions).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Hashable
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus

from cachetools import LRUCache
from isal import igzip
from prometheus_client import Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from languages.request_locale import current_locale
from web.respond import accepts_gzip, is_not_modified, parse_http_date

MAX_CACHE_BYTES = 64 << 20  # the size of all cached pages, compressed and not
COMPRESSION_LEVEL = 2  # of isal's 0 to 3: 100 kB in about 1 ms, to a quarter of the size
MINUTE = 60  # seconds
CACHED_ROUTES = frozenset(
    ("", "search", "concept", "scheme", "source", "page", "matrix", "map", "trends", "gaps", "events", "documents", "posts", "prizes",
     "sources", "organizations", "things", "compare", "embed")
)  # fmt: skip
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


class PageMiddleware:
    """Limit and cache the pages of *app*.

    *spend* is called with each request for a page, and *slot* is the context in which it is
    rendered; both raise where a limit is reached. *version* returns that of the data, "" while
    there are none; *now* returns seconds. *requests* counts hits and misses by the label "result".
    """

    def __init__(
        self,
        app: ASGIApp,
        version: Callable[[], str],
        requests: Counter,
        spend: Callable[[Scope], None],
        slot: Callable[[Scope], AbstractAsyncContextManager[None]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app, self._version, self._requests, self._now = app, version, requests, now
        self._spend, self._slot = spend, slot
        self._pages: LRUCache[Hashable, _CachedPage] = LRUCache(MAX_CACHE_BYTES, _size)
        self._pending: dict[Hashable, asyncio.Task[_CachedPage]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if scope["path"].split("/", 2)[1].partition(".")[0] not in CACHED_ROUTES:
            return await self._app(scope, receive, send)
        self._spend(scope)
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
        async with self._slot(scope):
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
