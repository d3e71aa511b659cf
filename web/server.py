"""Run uvicorn, with limits on request heads and on read and write times, and trailer fields.

uvicorn limits neither a request's head nor the time that a client takes to send or read, and sends
no trailer fields (RFC 9110, section 6.5). This module adds both to its httptools protocol.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

log = structlog.get_logger(component="connection")

# Each takes one of the 1,024 file handles that a process has by default.
MAX_CONNECTIONS = 1000
SHUTDOWN_SECONDS = 3  # for running responses to finish at shutdown
MAX_URL = 65_535  # bytes: the parser's limit
MAX_HEAD = 128 << 10  # bytes of address and headers
HEAD_TIMEOUT = 10.0  # seconds
BODY_TIMEOUT = 30.0  # seconds: enough for a query of 256 KiB over a very slow line
READ_TIMEOUT = 30.0  # seconds in which a client must read the last chunk, at most 64 KiB


class LimitedConnection(HttpToolsProtocol):
    """A connection with limits. The timeouts are class attributes, so that tests can shorten them
    in a subclass.
    """

    head_timeout, body_timeout, read_timeout = HEAD_TIMEOUT, BODY_TIMEOUT, READ_TIMEOUT
    _timer: asyncio.TimerHandle | None = None
    _length = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._set_timer(self.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_timer(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._too_long and not self.transport.is_closing():
            is_url = len(self.url) > MAX_URL
            self._close_with(
                HTTPStatus.REQUEST_URI_TOO_LONG
                if is_url
                else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._length = 0
        self._set_timer(self.head_timeout)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._length += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._length += len(name) + len(value)

    def on_headers_complete(self) -> None:
        if not self._too_long:
            super().on_headers_complete()
        self._set_timer(self.body_timeout)

    def on_message_complete(self) -> None:
        self._set_timer(None)
        if not self._too_long:
            super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; abort it later if the client never reads its last bytes."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(self.read_timeout, self.transport.abort)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, _TrailerApp(cycle, app, self.read_timeout))

    @property
    def _too_long(self) -> bool:
        return self._length > MAX_HEAD or (self._length > 0 and len(self.url) > MAX_URL)

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._on_timeout)

    def _on_timeout(self) -> None:
        log.warning(
            "closing connection: request read timed out",
            client=self.client[0] if self.client else "",
        )
        self._close_with(HTTPStatus.REQUEST_TIMEOUT)

    def _close_with(self, status: HTTPStatus) -> None:
        if self.cycle is None or self.cycle.response_complete:
            line = f"HTTP/1.1 {status.value} {status.phrase}"
            self.transport.write(
                f"{line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
            )
            self.transport.close()
        else:
            self.transport.abort()


class _TrailerApp:
    """The app of one request. It sends trailer fields, waits a limited time for a slow client, and may
    be cancelled once the client has disconnected.
    """

    def __init__(
        self, cycle: RequestResponseCycle, app: ASGI3Application, read_timeout: float
    ) -> None:
        self._cycle, self._app, self._read_timeout = cycle, app, read_timeout
        self._trailers = False

    async def __call__(
        self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        scope.setdefault("extensions", {})["http.response.trailers"] = {}

        async def sending(message: ASGISendEvent) -> None:
            await self._send(message, send)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            # The app stops its work when the client leaves; uvicorn would log that as an error.
            if not self._cycle.disconnected:
                raise

    async def _send(self, message: ASGISendEvent, send: ASGISendCallable) -> None:
        if self._cycle.flow.write_paused and not self._cycle.disconnected:
            try:
                async with asyncio.timeout(self._read_timeout):
                    await self._cycle.flow.drain()
            except TimeoutError:
                log.warning(
                    "closing connection: client read too slowly",
                    client=(self._cycle.scope["client"] or [""])[0],
                )
                self._cycle.disconnected = True
                self._cycle.message_event.set()  # wakes tasks that wait for a disconnect
                self._cycle.transport.abort()
        if message["type"] == "http.response.start":
            self._trailers = message.get("trailers", False)
        if message["type"] == "http.response.trailers":
            return self._end(message["headers"])
        if (
            message["type"] == "http.response.body"
            and self._trailers
            and not message.get("more_body", False)
        ):
            message = {**message, "more_body": True}  # the trailers end the body
        await send(message)

    def _end(self, fields: Any) -> None:
        """End a chunked body with its trailer section (RFC 9112, section 7.1.2)."""
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


def create_config(
    app: ASGIApp,
    host: str,
    port: int,
    proxies: str = "",
    connection: type[LimitedConnection] = LimitedConnection,
) -> uvicorn.Config:
    """Return the server's configuration. *proxies*: addresses or networks whose X-Forwarded-For is
    trusted; "" trusts none.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=connection,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),  # else any client could claim any address
        forwarded_allow_ips=proxies or "",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def run(config: uvicorn.Config) -> None:
    """Serve until SIGINT or SIGTERM; exit with code 3 if the server cannot start."""
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again after shutdown
        server.run()
    if not server.started:
        sys.exit(3)
