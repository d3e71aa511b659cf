"""Add security headers to every response, and reject requests over the limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.host import own_path, with_public_host
from web.problems import problem_response

# Load nothing from other hosts, run no inline scripts, and forbid framing.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # the URL may contain a query
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "cross-origin",  # the data is for everyone
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
}
FRAMED = "/embed/"  # only pages under this path may be shown in frames of other sites
_FRAMED_POLICY = CONTENT_SECURITY_POLICY.replace("frame-ancestors 'none'", "frame-ancestors *")
_HSTS = "max-age=31536000"  # a year; includeSubDomains is the operator's decision
# bytes of a query string, well below the parser's limit; longer queries need POST
MAX_QUERY_STRING = 48 << 10
MAX_BODY = 1 << 20  # bytes: a query of 256 KiB is at most 768 KiB when it is percent-encoded
BODY_TIMEOUT = 30.0  # for the complete body
# bytes and seconds in which the rest of a too large body is read and discarded
DRAIN_BYTES, DRAIN_SECONDS = 16 << 20, 5.0


class _RequestRejected(Exception):
    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class SecurityMiddleware:
    """The outermost middleware. *add_headers* adds more headers to each response.

    *url* is the public URL with which absolute links begin; "": taken from the request, for callers
    in this process.
    """

    def __init__(
        self, app: ASGIApp, add_headers: Callable[[Scope, MutableHeaders], None], url: str = ""
    ) -> None:
        self._app, self._add_headers, self._url = app, add_headers, url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the app, or reject it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if self._url:
            scope = with_public_host(scope, self._url)
        started, body = False, _LimitedBody(receive)

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                self._set_headers(scope, headers)
                if scope["path"].startswith(FRAMED) and message["status"] in (
                    HTTPStatus.OK,
                    HTTPStatus.NOT_MODIFIED,
                ):
                    headers["Content-Security-Policy"] = _FRAMED_POLICY
                    del headers["X-Frame-Options"]
            await send(message)

        try:
            _check_size(scope)
            await self._app(scope, body, sending)
        except _RequestRejected as rejection:
            if rejection.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                await body.drain()
            if not started:
                response = problem_response(
                    rejection.status,
                    rejection.status.phrase,
                    str(rejection),
                    {"Connection": "close"},
                )
                await response(scope, receive, sending)
        except ClientDisconnect:
            pass  # the client disconnected before its request was complete

    def _set_headers(self, scope: Scope, headers: MutableHeaders) -> None:
        is_framed = headers.get("Content-Security-Policy", "").endswith("frame-ancestors *")
        for name, value in _HEADERS.items():
            if not (is_framed and name == "X-Frame-Options"):
                headers.setdefault(name, value)
        if self._url and (location := own_path(headers.get("location", ""), self._url)):
            headers["Location"] = location
        if scope["scheme"] == "https":
            headers.setdefault("Strict-Transport-Security", _HSTS)
        self._add_headers(scope, headers)


def _check_size(scope: Scope) -> None:
    if len(scope["query_string"]) > MAX_QUERY_STRING:
        raise _RequestRejected(
            HTTPStatus.REQUEST_URI_TOO_LONG,
            f"The query string is longer than {MAX_QUERY_STRING} bytes; send it by POST as a form",
        )
    length = Headers(scope=scope).get("content-length", "")
    if length.isdecimal() and int(length) > MAX_BODY:
        raise _RequestRejected(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The request body is larger than {MAX_BODY} bytes"
        )


class _LimitedBody:
    """Receive a request body within limits of size and time. Later messages (disconnect) pass
    unchanged.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size, self._ended = 0, False
        self._deadline: float | None = None

    async def __call__(self) -> Message:
        if self._ended:
            return await self._receive()
        self._deadline = self._deadline or asyncio.get_running_loop().time() + BODY_TIMEOUT
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise _RequestRejected(
                HTTPStatus.REQUEST_TIMEOUT,
                f"The request body was not received within {BODY_TIMEOUT:g} seconds",
            ) from error
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._size > MAX_BODY:
            raise _RequestRejected(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The request body is larger than {MAX_BODY} bytes",
            )
        return message

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
