"""Seal: how much a request may bring, how many are at work, and the headers that keep each answer where it belongs."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harvesters.desk.pages import POLICY

AT_ONCE = 8  # requests at work: threads wait for a ledger in trouble, and the public part needs threads too
LARGEST = 65_536  # bytes of a body: the longest is a note of 2,000 letters
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers say "Origin: null" of our own forms
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Seal:
    """The outermost part of the desk's app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, which takes no turn from others however slowly it comes; then wait for a turn."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        is_head = scope["method"] == "HEAD"

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if (location := urlsplit(headers.get("location", ""))).netloc:  # whatever host the request named
                    headers["Location"] = location._replace(scheme="", netloc="").geturl()
            elif is_head:  # the headers are those of GET, its length too (RFC 9110, section 9.3.2)
                message = {**message, "body": b""}
            await send(message)

        if is_head:
            scope = {**scope, "method": "GET"}

        try:
            body = await _body(receive)
        except ClientDisconnect:  # half a request is none
            return None
        if body is None:
            told = {"type": "about:blank", "title": "Content Too Large", "status": 413, "detail": f"a body has at most {LARGEST:,} bytes"}
            return await JSONResponse(told, 413, media_type="application/problem+json")(scope, receive, sealed)
        async with self._turns:
            return await self._app(scope, _again(body, receive), sealed)


async def _body(receive: Receive) -> bytes | None:
    """Read a request's body whole; None where it is too large."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > LARGEST:
            return None
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read to who reads it next."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def given() -> Message:
        return messages.pop() if messages else await receive()

    return given
