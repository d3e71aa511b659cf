"""Connection: what the server asks of a client's connection: that it speaks and listens in time, and how long a head may be.

uvicorn bounds neither a request's head nor the time that a client takes to send or to take bytes, and sends no trailer fields
(RFC 9110, section 6.5); this adds both to its protocol on httptools.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

log = structlog.get_logger(room="connection")

MAX_URL = 65_535  # bytes, which is what the parser can count to
MAX_HEAD = 128 << 10  # bytes of address and headers
HEAD_TIMEOUT = 10.0  # seconds for them
BODY_TIMEOUT = 30.0  # seconds for a body: a query of 256 KiB over the slowest line that anyone asks from
READ_TIMEOUT = 30.0  # seconds in which a client takes what it was sent last, at most 64 KiB
_URI_TOO_LONG = b"HTTP/1.1 414 URI Too Long\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_REQUEST_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_HEADERS_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class LimitedConnection(HttpToolsProtocol):
    """One connection. The times are the class's, so that a test can shorten them."""

    send_head, send_body, take = HEAD_TIMEOUT, BODY_TIMEOUT, READ_TIMEOUT
    _timer: asyncio.TimerHandle | None = None
    _length = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Wait for a head."""
        super().connection_made(transport)
        self._within(self.send_head, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._within(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, unless the head grows too long."""
        super().data_received(data)
        if self._too_long and not self.transport.is_closing():
            self._end(_URI_TOO_LONG if len(self.url) > MAX_URL else _HEADERS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._length = 0
        self._within(self.send_head, self._late)

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        super().on_url(url)
        self._length += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        super().on_header(name, value)
        self._length += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """Wait for the body."""
        if not self._too_long:
            super().on_headers_complete()
        self._within(self.send_body, self._late)

    def on_message_complete(self) -> None:
        """Have it all."""
        self._within(None)
        if not self._too_long:
            super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close what nobody uses; a client that never takes its last bytes cannot hold it open."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(self.take, self.transport.abort)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, _TrailerApp(cycle, app, self.take))

    @property
    def _too_long(self) -> bool:
        return self._length > MAX_HEAD or (self._length > 0 and len(self.url) > MAX_URL)

    def _within(self, seconds: float | None, act: Callable[[], None] | None = None) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, act) if seconds is not None and act else None

    def _late(self) -> None:
        log.warning("closing connection: request read timed out", client=self.client[0] if self.client else "")
        self._end(_REQUEST_TIMEOUT)

    def _end(self, told: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(told)
            self.transport.close()
        else:
            self.transport.abort()


class _TrailerApp:
    """The app of one request, whose messages may end with trailer fields, and wait for the client only so long."""

    def __init__(self, cycle: RequestResponseCycle, app: ASGI3Application, take: float) -> None:
        self._cycle, self._app, self._take = cycle, app, take
        self._trailers = False

    async def __call__(self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        scope.setdefault("extensions", {})["http.response.trailers"] = {}

        async def sending(message: ASGISendEvent) -> None:
            await self._send(message, send)

        await self._app(scope, receive, sending)

    async def _send(self, message: ASGISendEvent, send: ASGISendCallable) -> None:
        if self._cycle.flow.write_paused and not self._cycle.disconnected:
            try:
                async with asyncio.timeout(self._take):
                    await self._cycle.flow.drain()
            except TimeoutError:
                log.warning("closing connection: client read too slowly", client=(self._cycle.scope["client"] or [""])[0])
                self._cycle.disconnected = True
                self._cycle.message_event.set()  # who waits for the client hears that it is gone
                self._cycle.transport.abort()
        if message["type"] == "http.response.start":
            self._trailers = message.get("trailers", False)
        if message["type"] == "http.response.trailers":
            return self._end(message["headers"])
        if message["type"] == "http.response.body" and self._trailers and not message.get("more_body", False):
            message = {**message, "more_body": True}  # the end follows with the trailers
        await send(message)

    def _end(self, fields: Any) -> None:
        """End a body in chunks by its trailer section (RFC 9112, section 7.1.2)."""
        cycle = self._cycle
        if cycle.disconnected:
            return
        lines = b"".join(b"%b: %b\r\n" % (name, value) for name, value in fields)
        cycle.transport.write(b"0\r\n" + lines + b"\r\n")
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
