"""The middleware that requests to the portal and to the admin pages pass first. It checks their host,
names and measures them, limits their size, sets their language, and sets the security headers of
responses. Limits count what a client does by its address.

Sources: https://www.rfc-editor.org/rfc/rfc9112 section 3.2 (Host),
https://www.rfc-editor.org/rfc/rfc3986 section 3.2.2 (its form),
https://prometheus.io/docs/practices/naming/,
https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4 (Accept-Language),
https://www.rfc-editor.org/rfc/rfc4647#section-3.4 (its lookup).
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, suppress
from fnmatch import fnmatchcase
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import uuid4

import structlog
from cachetools import TLRUCache
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from languages.translations import LANGUAGES, PARAMETER, RequestLocale, use_locale
from web.respond import problem_response

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\Z")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # seconds
_NO_HOST = "A request names the host that it is for in one header Host (RFC 9112, section 3.2)"

# Load nothing from other hosts, run no inline scripts, and forbid framing.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # The URL may contain a query; with no-referrer, browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "cross-origin",  # the data is for everyone
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
}
_PRIVATE = {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin"}
FRAMED = "/embed/"  # only pages under this path may be shown in frames of other sites
FRAMED_POLICY = CONTENT_SECURITY_POLICY.replace("frame-ancestors 'none'", "frame-ancestors *")
_COOKIE, _YEAR = "language", 31_536_000  # the cookie with the language, and seconds that it is kept
_HSTS = "max-age=31536000"  # a year; includeSubDomains is the operator's decision
# A query string has at most as many bytes, well below the parser's limit; longer queries need POST.
MAX_QUERY_STRING = 48 << 10
MAX_BODY = 1 << 20  # bytes: a query of 256 KiB is at most 768 KiB when it is percent-encoded
MAX_PRIVATE_BODY = 65_536  # bytes: the longest is a note of 2,000 characters
# The rest of a too large body is read and discarded up to as many bytes and seconds.
DRAIN_BYTES, DRAIN_SECONDS = 16 << 20, 5.0
# Private apps answer few requests at once: these may wait for a locked ledger, and the portal needs
# threads too.
MAX_CONCURRENT_REQUESTS = 8


class RequestMetrics:
    """Counts, times and traces requests. The registry is its own, so that several apps in one
    process do not share it.

    *open_span* is called as ``journal.tracing.open_span``. *paths* are the first parts of the app's
    paths; all others are counted together as "other".
    """

    def __init__(
        self, open_span: Callable[..., AbstractContextManager[Any]], paths: Collection[str]
    ) -> None:
        self._open_span, self._paths = open_span, frozenset(paths)
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "stocktake_http_requests",
            "Requests by the first part of the path and by status",
            ["path", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "stocktake_http_request_seconds",
            "Seconds from a request to the end of its response",
            ["path"],
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.cached_pages = Counter(
            "stocktake_page_cache",
            "Pages that came from the page cache (hit) or not (miss)",
            ["result"],
            registry=self.registry,
        )

    async def measure(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let *app* answer a request, and measure it until its response has ended."""
        status, started = 500, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        first = scope["path"].split("/", 2)[1].partition(".")[0]
        path = f"/{first if first in self._paths else 'other'}"
        attributes = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "http.route": path,
        }
        name = f"{scope['method']} {path}"
        try:
            with self._open_span(name, attributes, Headers(scope=scope)) as span:
                await app(scope, receive, sending)
                span.set({"http.response.status_code": status})
                if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    span.fail(f"status {status}")
        finally:
            self.requests.labels(path, str(status)).inc()
            self.seconds.labels(path).observe(time.perf_counter() - started)


class RequestMiddleware:
    """Answer 400 to a request with no Host, several, or an invalid one (HTTP/1.0 needs none), and
    add the ``X-Request-ID`` of a reverse proxy, or a new one, as ``request`` to each log line.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics | None = None) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        sent = Headers(scope=scope).get("x-request-id", "")
        name = sent if _REQUEST_ID.match(sent) else uuid4().hex
        with structlog.contextvars.bound_contextvars(request=name):
            if self._metrics:
                await self._metrics.measure(self._answer, scope, receive, send)
            else:
                await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        is_named = len(hosts) == 1 and _HOST.match(hosts[0])
        if is_named or (not hosts and scope["http_version"] == "1.0"):
            return await self._app(scope, receive, send)
        status, closing = HTTPStatus.BAD_REQUEST, {"Connection": "close"}
        await problem_response(status, status.phrase, _NO_HOST, closing)(scope, receive, send)


class _RequestRejected(Exception):
    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class SecurityMiddleware:
    """Add the security headers, reject requests over the limits of size, and set the locale of the
    others.

    A body has at most *max_body* bytes; *uploads* has the limits of single paths, which may be patterns. *url* is the
    public URL with which absolute links begin; "": taken from the request. *exposed* are the
    headers that scripts of other sites may read; without any, other sites may read nothing.
    *add_headers* adds more headers to a response. *private*: nothing is stored by browsers, and a
    few requests at once are answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        policy: str = CONTENT_SECURITY_POLICY,
        max_body: int = MAX_BODY,
        uploads: Mapping[str, int] | None = None,
        url: str = "",
        exposed: Collection[str] = (),
        add_headers: Callable[[Scope, MutableHeaders], None] | None = None,
        private: bool = False,
    ) -> None:
        self._page_app, self._app = app, self._answer_in_language
        if exposed:
            self._app = CORSMiddleware(
                self._app,
                allow_origins=["*"],
                allow_methods=("GET", "HEAD", "POST", "DELETE", "OPTIONS"),
                allow_headers=["*"],
                expose_headers=[*exposed],
            )
        self._headers = {**_HEADERS, **(_PRIVATE if private else {})}
        self._headers["Content-Security-Policy"] = policy
        self._max_body, self._uploads = max_body, uploads or {}
        self._url, self._add_headers = url, add_headers
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS) if private else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._page_app(scope, receive, send)
        if self._url:
            scope = with_public_host(scope, self._url)
        started = False
        body = _LimitedBody(receive, self._longest_body(scope["path"]))

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                self._set_headers(scope, headers, message["status"])
            await send(message)

        try:
            body.check_length(scope)
            if self._slots:
                await self._answer_privately(self._slots, scope, body, sending)
            else:
                await self._app(scope, body, sending)
        except _RequestRejected as rejection:
            if rejection.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                await body.drain()
            if not started:
                title, closing = rejection.status.phrase, {"Connection": "close"}
                response = problem_response(rejection.status, title, str(rejection), closing)
                await response(scope, receive, sending)
        except ClientDisconnect:
            pass  # the client disconnected before its request was complete

    def _longest_body(self, path: str) -> int:
        limits = (most for pattern, most in self._uploads.items() if fnmatchcase(path, pattern))
        return next(limits, self._max_body)

    async def _answer_privately(
        self, slots: asyncio.Semaphore, scope: Scope, body: _LimitedBody, send: Send
    ) -> None:
        """Answer when a slot is free. The body is read first, so that a slow client takes no slot.
        HEAD is answered as GET, without the body.
        """
        is_head = scope["method"] == "HEAD"
        unread: list[Message] = [{"type": "http.request", "body": await body.read()}]

        async def receive() -> Message:
            return unread.pop() if unread else await body()

        async def sending(message: Message) -> None:
            if is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        async with slots:
            await self._app(
                {**scope, "method": "GET" if is_head else scope["method"]}, receive, sending
            )

    async def _answer_in_language(self, scope: Scope, receive: Receive, send: Send) -> None:
        locale = _request_locale(scope)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                _set_language(scope, headers, message["status"], locale.language)
            await send(message)

        with use_locale(locale):
            await self._page_app(scope, receive, sending)

    def _set_headers(self, scope: Scope, headers: MutableHeaders, status: int) -> None:
        if scope["path"].startswith(FRAMED) and status in (200, HTTPStatus.NOT_MODIFIED):
            headers["Content-Security-Policy"] = FRAMED_POLICY
        is_framed = headers.get("Content-Security-Policy", "").endswith("frame-ancestors *")
        for name, value in self._headers.items():
            if not (is_framed and name == "X-Frame-Options"):
                headers.setdefault(name, value)
        location = headers.get("location", "")
        if self._url and (path := own_path(location, self._url)):
            headers["Location"] = path
        elif self._slots and (parts := urlsplit(location)).netloc:  # without Host
            headers["Location"] = parts._replace(scheme="", netloc="").geturl()
        if scope["scheme"] == "https":
            headers.setdefault("Strict-Transport-Security", _HSTS)
        if self._add_headers:
            self._add_headers(scope, headers)


def _request_locale(scope: Scope) -> RequestLocale:
    headers, query = Headers(scope=scope), scope["query_string"].decode("latin-1")
    language = negotiate_language(
        query, headers.get("cookie", ""), headers.get("accept-language", "")
    )
    # A key may contain %2F.
    path = scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1") or scope["path"]
    origin = f"{scope['scheme']}://{headers.get('host', '')}"
    return RequestLocale(language, path, query, scope["method"], origin)


def _set_language(scope: Scope, headers: MutableHeaders, status: int, language: str) -> None:
    """Name the language of a page; if the address names it, redirects keep it, and a cookie stores it,
    but for pages in frames of other sites, which store nothing in the visitor's browser.
    """
    is_page = headers.get("content-type", "").startswith("text/html")
    if is_page:
        headers["Content-Language"] = language
        headers.add_vary_header("Accept-Language")
        headers.add_vary_header("Cookie")
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    if query.get(PARAMETER) != language or scope["path"].startswith(FRAMED):
        return
    if location := headers.get("location"):
        headers["Location"] = _with_language(location, language)
    if is_page or status == HTTPStatus.NOT_MODIFIED:
        headers.append("Set-Cookie", f"{_COOKIE}={language}; Path=/; Max-Age={_YEAR}; SameSite=Lax")


def negotiate_language(query: str, cookies: str, accept: str) -> str:
    """Return the language: of the address, else of the cookie, else of the browser's
    Accept-Language, else English.

    >>> negotiate_language("lang=ar", "language=fr", "es")
    'ar'
    >>> negotiate_language("", "language=fr", "es")
    'fr'
    >>> negotiate_language("", "", "pt;q=0.9, es-MX;q=0.8, fr;q=0.1")
    'es'
    """
    requested = dict(parse_qsl(query)).get(PARAMETER, "")
    if requested in LANGUAGES:
        return requested
    stored = _language_cookie(cookies)
    return stored if stored in LANGUAGES else _accepted_language(accept)


def _language_cookie(cookies: str) -> str:
    try:
        cookie = SimpleCookie(cookies).get(_COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def _accepted_language(accept: str) -> str:
    ranked: list[tuple[float, int, str]] = []
    for position, part in enumerate(accept.split(",")[:50]):
        name, _, weight = part.partition(";")
        try:
            quality = float(weight.partition("=")[2] or 1) if weight else 1.0
        except ValueError:
            continue
        ranked.append((-quality, position, name.strip().partition("-")[0].lower()))
    return next(
        (name for quality, _, name in sorted(ranked) if name in LANGUAGES and quality < 0), "en"
    )


def _with_language(location: str, language: str) -> str:
    """Return the path *location* with the language as a parameter; an address elsewhere is
    unchanged.

    >>> _with_language("/initiative/a/1?tab=history#top", "ar")
    '/initiative/a/1?tab=history&lang=ar#top'
    """
    url = urlsplit(location)
    if url.netloc or not url.path.startswith("/") or PARAMETER in dict(parse_qsl(url.query)):
        return location
    return urlunsplit(
        url._replace(query="&".join(filter(None, (url.query, urlencode({PARAMETER: language})))))
    )


class _LimitedBody:
    """Receive a request body of at most *longest* bytes; ``web.server`` limits its time. Later
    messages (disconnect) pass unchanged.
    """

    def __init__(self, receive: Receive, longest: int) -> None:
        self._receive, self._longest = receive, longest
        self._size, self._ended = 0, False

    def check_length(self, scope: Scope) -> None:
        """Reject what is too long by its address or by the header Content-Length."""
        if len(scope["query_string"]) > MAX_QUERY_STRING:
            raise _RequestRejected(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                f"The query string is longer than {MAX_QUERY_STRING} bytes; send it by POST as a form",
            )
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal():
            self._check_size(int(length))

    async def __call__(self) -> Message:
        if self._ended:
            return await self._receive()
        message = await self._receive()
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        self._check_size(self._size)
        return message

    async def read(self) -> bytes:
        """Raises ClientDisconnect."""
        parts = []
        while not self._ended:
            message = await self()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
        return b"".join(parts)

    async def drain(self) -> None:
        """Discard the rest of the body, within limits: a client loses the response if the
        connection closes while it sends.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._ended and self._size < DRAIN_BYTES:
                    message = await self._receive()
                    self._size += len(message.get("body", b""))
                    self._ended = not message.get("more_body", False)

    def _check_size(self, size: int) -> None:
        if size > self._longest:
            raise _RequestRejected(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The request body is larger than {self._longest:,} bytes",
            )


def with_public_host(scope: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return the scope of a request as if it had been sent to *url*, scheme and authority, whatever
    Host it named.

    Links that a route builds from its request begin with *url*, so a client cannot inject another
    host into cached pages.
    """
    parts = urlsplit(url)
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {
        **scope,
        "scheme": parts.scheme,
        "headers": [(b"host", parts.netloc.encode("ascii")), *headers],
    }


def own_path(location: str, url: str) -> str | None:
    """Return the path of a redirect to *url* itself, so that the client stays on the host that it
    used; None for other targets.

    >>> own_path("https://a.example/dumps/", "https://a.example"), own_path("https://a.example//b.example/", "https://a.example")
    ('/dumps/', None)
    """
    path = location.removeprefix(url)
    return path if location.startswith(f"{url}/") and not path.startswith("//") else None


def address_key(address: str) -> str:
    """Return the key of the client at an address: for IPv6 its /64 network, since one client has all
    addresses of it.

    >>> address_key("2001:db8::17"), address_key("192.0.2.1"), address_key("::ffff:192.0.2.1")
    ('2001:db8::/64', '192.0.2.1', '192.0.2.1')
    """
    try:
        address_ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(address_ip, IPv6Address):
        return str(address_ip)
    if address_ip.ipv4_mapped:
        return str(address_ip.ipv4_mapped)
    return f"{IPv6Address(int(address_ip) >> 64 << 64)}/64"


def client_key(scope: Mapping[str, Any]) -> str:
    """Return the key of the client that sent a request with this ASGI *scope*; "" if it has no
    address.
    """
    return address_key(scope["client"][0]) if scope.get("client") else ""


MAX_FAILURES = 10  # failures in a window: enough for typing errors, too few for guessing
WINDOW_SECONDS = 60.0
_MAX_CLIENTS = 10_000  # about 2 MB; the longest inactive one is dropped first


class Throttle:
    """Count each client's failed attempts, at most *limit* in *window* seconds; *clock* returns
    monotonic seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        limit: int = MAX_FAILURES,
        window: float = WINDOW_SECONDS,
    ) -> None:
        self._clock, self._limit, self._window = clock, limit, window
        # The end of each client's window, and its failures in the window.
        self._failures: TLRUCache[str, tuple[float, int]] = TLRUCache(
            _MAX_CLIENTS, lambda _client, failures, _now: failures[0], clock
        )
        self._lock = threading.Lock()

    def retry_after(self, client: str) -> int:
        """Return the whole seconds until *client* may try again, 0 if it may now."""
        with self._lock:
            end, count = self._failures.get(address_key(client), (0.0, 0))
        return max(1, int(end - self._clock()) + 1) if count >= self._limit else 0

    def record_failure(self, client: str) -> None:
        """Count a failed attempt; the first one starts a window."""
        key = address_key(client)
        with self._lock:
            end, count = self._failures.get(key, (self._clock() + self._window, 0))
            self._failures[key] = end, count + 1
