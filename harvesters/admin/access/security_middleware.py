"""Limit the size and number of requests, and set the security headers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harvesters.admin.pages import POLICY

# threads may wait for a locked ledger, and the public app needs threads too
MAX_CONCURRENT_REQUESTS = 8
MAX_BODY_BYTES = 65_536  # the longest is a note of 2,000 characters
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    # with no-referrer, browsers say "Origin: null" of our own forms
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityMiddleware:
    """The outermost middleware of the admin app, and of others like it.

    A body has at most *max_body* bytes; *uploads* has the limits of single paths;
    *policy* is the Content-Security-Policy.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_body: int = MAX_BODY_BYTES,
        uploads: Mapping[str, int] | None = None,
        policy: str = POLICY,
    ) -> None:
        self._app, self._max_body, self._uploads = app, max_body, uploads or {}
        self._headers = {**_HEADERS, "Content-Security-Policy": policy}
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, which occupies no slot however slow the client is; then wait for a slot."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        is_head = scope["method"] == "HEAD"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                # independent of the Host header
                if (location := urlsplit(headers.get("location", ""))).netloc:
                    headers["Location"] = location._replace(scheme="", netloc="").geturl()
            elif is_head:  # same headers as GET, including the length (RFC 9110, section 9.3.2)
                message = {**message, "body": b""}
            await send(message)

        if is_head:
            scope = {**scope, "method": "GET"}

        try:
            longest = self._uploads.get(scope["path"], self._max_body)
            body = await _read_body(receive, longest)
        except ClientDisconnect:  # the client left before it sent the body
            return None
        if body is None:
            problem = {
                "type": "about:blank",
                "title": "Content Too Large",
                "status": 413,
                "detail": f"a body has at most {longest:,} bytes",
            }
            return await JSONResponse(problem, 413, media_type="application/problem+json")(
                scope, receive, send_with_headers
            )
        async with self._slots:
            return await self._app(scope, _replay_body(body, receive), send_with_headers)


async def _read_body(receive: Receive, longest: int) -> bytes | None:
    """Return the request's body, or None if it is too large."""
    body, has_more = bytearray(), True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
        if len(body) > longest:
            return None
    return bytes(body)


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a receive function that first returns *body*, which was read already."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_replayed() -> Message:
        return messages.pop() if messages else await receive()

    return receive_replayed
