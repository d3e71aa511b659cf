"""The wire: answers that no web framework sends, written byte by byte onto the connection."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from harvesters.demo.fate import Fault

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_DRIP = 0.02  # seconds between two bytes of what comes too slowly
_MOST = 4096  # pieces of a megabyte that a bomb unfolds to, if nobody stops it

Play = Callable[[], AsyncIterator[bytes]]


class WireProtocol(HttpToolsProtocol):
    """uvicorn's own protocol, which hands the connection to the app."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {"wire": {"transport": self.transport}}


class Wire(Response):
    """An answer whose very bytes a play writes; the connection is closed behind it."""

    def __init__(self, play: Play) -> None:
        super().__init__()
        self.play = play

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until the play or the client ends."""
        wire = scope.get("extensions", {}).get("wire")
        if wire is None:
            await Response("this fault needs a real connection\n", 501)(scope, receive, send)
            return
        transport = wire["transport"]
        async for part in self.play():
            if transport.is_closing():
                break
            transport.write(part)
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _loris() -> AsyncIterator[bytes]:
    yield _HEAD + b"X-Wait: "
    while True:
        await asyncio.sleep(_DRIP)
        yield b"."


async def _drip() -> AsyncIterator[bytes]:
    yield _HEAD + b"Content-Length: 100000\r\n\r\n["
    while True:
        await asyncio.sleep(_DRIP)
        yield b" "


async def _stall() -> AsyncIterator[bytes]:
    yield _HEAD + b"Content-Length: 1000\r\n\r\n[1, 2"
    while True:
        await asyncio.sleep(_DRIP)
        yield b""


async def _short() -> AsyncIterator[bytes]:
    yield _HEAD + b"Content-Length: 1000\r\n\r\n[1, 2]"


async def _chunk() -> AsyncIterator[bytes]:
    yield _HEAD + b"Transfer-Encoding: chunked\r\n\r\n6\r\n[1, 2,\r\nno number\r\n3]\r\n0\r\n\r\n"


async def _bomb() -> AsyncIterator[bytes]:
    yield _HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    blank = b" " * 1_000_000
    for _ in range(_MOST):
        yield pack.compress(blank) + pack.flush(zlib.Z_SYNC_FLUSH)
        await asyncio.sleep(0)
    yield pack.flush()


async def _scrap() -> AsyncIterator[bytes]:
    yield _HEAD + b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\n[1, 2]"


async def _alien() -> AsyncIterator[bytes]:
    yield b"SSH-2.0-OpenSSH_9.6\r\n\r\n"


PLAYS: Mapping[Fault, Play] = {
    Fault.LORIS: _loris, Fault.DRIP: _drip, Fault.STALL: _stall, Fault.SHORT: _short, Fault.CHUNK: _chunk,
    Fault.BOMB: _bomb, Fault.SCRAP: _scrap, Fault.ALIEN: _alien,
}  # fmt: skip
