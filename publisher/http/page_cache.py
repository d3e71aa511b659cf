"""Kept: whole pages of the state that is shown, so that what many read is made once, and goes packed to those who take it so.

A page depends on what is shown, its address, its reader's language and the clock, which no page tells closer than to a minute: so what is
kept is exact. Those who ask for the same page while it is made wait for it together.

Source: https://www.rfc-editor.org/rfc/rfc9110 sections 8.4 (Content-Encoding), 12.5.3 (Accept-Encoding) and 13 (conditions).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from http import HTTPStatus

from isal import igzip
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from publisher.languages.request_locale import current_locale

MAX_CACHE_BYTES = 64 << 20  # bytes of all pages that are kept, packed and not
COMPRESSION_LEVEL = 2  # of isal's three: a page of 100 kB in some 1 ms, to a quarter of it
MINUTE = 60  # seconds: the clock of pages
CACHED_ROUTES = frozenset(
    ("", "search", "concept", "scheme", "source", "page", "matrix", "map", "trends", "gaps", "events", "documents", "posts", "prizes",
     "registries", "organizations", "things")
)  # fmt: skip
_ACCEPTS_GZIP = re.compile(r"(?:^|,)\s*+(?:gzip|\*)\s*+(?:;\s*+q=(?!0(?:\.0*+)?\s*+(?:,|$))[^,]*+)?(?:,|$)")
_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_CONDITIONS = (b"if-none-match", b"if-modified-since")
_GZIP_SUFFIX = "-gzip"  # behind the tag of a page that is sent packed: it is another representation


@dataclass(frozen=True, slots=True)
class _CachedPage:
    """An answer: its *packed* body is there only of a page that can be kept."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    packed: bytes | None


class PageCacheMiddleware:
    """Keep the pages that *app* makes; *version* names what is shown, "" while nothing is, *now* gives seconds."""

    def __init__(self, app: ASGIApp, version: Callable[[], str], now: Callable[[], float] = time.time) -> None:
        self._app, self._version, self._now = app, version, now
        self._size = 0
        self._pages: OrderedDict[Hashable, _CachedPage] = OrderedDict()
        self._made: dict[Hashable, asyncio.Task[_CachedPage]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what is kept, or as the app does."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].split("/", 2)[1].partition(".")[0] not in CACHED_ROUTES:
            return await self._app(scope, receive, send)
        headers, version = Headers(scope=scope), self._version()
        if not version or "text/html" not in headers.get("accept", ""):
            return await self._app(scope, receive, send)
        where = (scope.get("root_path", ""), scope["scheme"], headers.get("host", ""), scope["path"], scope["query_string"])
        key = (version, int(self._now() // MINUTE), current_locale().language, headers["accept"], *where)
        await _send_page(await self._page(key, scope), headers, send)

    async def _page(self, key: Hashable, scope: Scope) -> _CachedPage:
        if key in self._pages:
            self._pages.move_to_end(key)
            return self._pages[key]
        if key not in self._made:
            self._made[key] = asyncio.create_task(self._make(key, scope))
            self._made[key].add_done_callback(lambda _: self._made.pop(key))
        return await asyncio.shield(self._made[key])

    async def _make(self, key: Hashable, scope: Scope) -> _CachedPage:
        said: list[Message] = []
        asked: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            return asked.pop() if asked else await asyncio.Future()  # whoever waits for it may leave, the page is made all the same

        async def send(message: Message) -> None:
            said.append(message)

        headers = [(name, value) for name, value in scope["headers"] if name not in _CONDITIONS]
        await self._app({**scope, "headers": headers}, receive, send)
        start, body = said[0], b"".join(message.get("body", b"") for message in said[1:])
        told = Headers(raw=start["headers"])
        whole = start["status"] == HTTPStatus.OK and told.get("content-type", "").startswith("text/html")
        page = _CachedPage(start["status"], start["headers"], body, igzip.compress(body, COMPRESSION_LEVEL, mtime=0) if whole else None)
        if page.packed is not None:
            self._keep(key, page)
        return page

    def _keep(self, key: Hashable, page: _CachedPage) -> None:
        self._pages[key] = page
        self._size += _size(page)
        while self._size > MAX_CACHE_BYTES:
            self._size -= _size(self._pages.popitem(last=False)[1])


def _size(page: _CachedPage) -> int:
    return len(page.body) + len(page.packed or b"") + 2_000  # what it takes beside its bodies


async def _send_page(page: _CachedPage, asked: Headers, send: Send) -> None:
    headers = MutableHeaders(raw=list(page.headers))
    packed = page.packed if _ACCEPTS_GZIP.search(asked.get("accept-encoding", "").lower()) else None
    if page.packed is not None:
        headers.add_vary_header("Accept-Encoding")
    if packed is not None:
        headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(packed))
        if "etag" in headers:
            headers["ETag"] = headers["etag"][:-1] + _GZIP_SUFFIX + '"'
    status, body = page.status, page.body if packed is None else packed
    if page.status == HTTPStatus.OK and _not_modified(asked, headers):
        status, body = HTTPStatus.NOT_MODIFIED, b""
        for name in ("content-length", "content-type", "content-encoding"):
            del headers[name]
    await send({"type": "http.response.start", "status": int(status), "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})


def _not_modified(asked: Headers, told: MutableHeaders) -> bool:
    """Tell whether the reader holds the page already, packed or not; a date counts only where it is the one that was told."""
    if (known := asked.get("if-none-match")) is not None:
        tag = _TAG.match(told.get("etag", ""))
        return tag is not None and (known.strip() == "*" or _without_gzip_suffix(tag[1]) in map(_without_gzip_suffix, _TAG.findall(known)))
    return "last-modified" in told and asked.get("if-modified-since") == told["last-modified"]


def _without_gzip_suffix(tag: str) -> str:
    return tag.removesuffix(_GZIP_SUFFIX)
