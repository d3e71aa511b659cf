"""Send invalid or unusual HTTP responses byte by byte, error responses of registries and of their
proxies, and robots.txt.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from demo.scenario import Fault

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_BYTE_INTERVAL = 0.02  # seconds between two bytes of a slow response
_MAX_BLOCKS = 4096  # megabytes of the decompressed bomb

Script = Callable[[], AsyncIterator[bytes]]


class RawProtocol(HttpToolsProtocol):
    """uvicorn's protocol, extended to pass the connection to the app."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"wire": {"transport": self.transport}}


class RawResponse(Response):
    """A response whose bytes a script yields; the connection is closed afterwards."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = scope.get("extensions", {}).get("wire")
        if wire is None:
            await Response("this fault needs a real connection\n", 501)(scope, receive, send)
            return
        transport = wire["transport"]
        async for part in self.script():
            if transport.is_closing():
                break
            transport.write(part)
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _send(start: bytes, again: bytes | None = None) -> AsyncIterator[bytes]:
    """Yield *start*, then *again* without end if it is given."""
    yield start
    while again is not None:
        await asyncio.sleep(_BYTE_INTERVAL)
        yield again


async def _bomb() -> AsyncIterator[bytes]:
    yield _HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    blank = b" " * 1_000_000
    for _ in range(_MAX_BLOCKS):
        yield pack.compress(blank) + pack.flush(zlib.Z_SYNC_FLUSH)
        await asyncio.sleep(0)
    yield pack.flush()


SCRIPTS: Mapping[Fault, Script] = {
    Fault.LORIS: partial(_send, _HEAD + b"X-Wait: ", b"."),
    Fault.DRIP: partial(_send, _HEAD + b"Content-Length: 100000\r\n\r\n[", b" "),
    Fault.STALL: partial(_send, _HEAD + b"Content-Length: 1000\r\n\r\n[1, 2", b""),
    Fault.SHORT: partial(_send, _HEAD + b"Content-Length: 1000\r\n\r\n[1, 2]"),
    Fault.CHUNK: partial(
        _send,
        _HEAD + b"Transfer-Encoding: chunked\r\n\r\n6\r\n[1, 2,\r\nno number\r\n3]\r\n0\r\n\r\n",
    ),
    Fault.BOMB: _bomb,
    Fault.SCRAP: partial(
        _send, _HEAD + b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\n[1, 2]"
    ),
    Fault.ALIEN: partial(_send, b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
}


ErrorResponse = tuple[int, Mapping[str, str], str, bytes]  # status, headers, media type, body

_BOT_PROTECTION_PAGE = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><noscript>Enable JavaScript and cookies to continue"
    b'</noscript><script>window._cf_chl_opt={};</script><script src="/cdn-cgi/challenge-platform/h/g/orchestrate"></script></body></html>\n'
)
_ROBOTS = "User-agent: *\nDisallow: /control\n"
# Clients must refuse private addresses, so that this one is never requested.
_PRIVATE_URL = "http://10.0.0.1/latest/meta-data/"


def error_responses(url: str, now: datetime) -> Mapping[Fault, ErrorResponse]:
    """Return the response of each fault; *url* is the requested address, *now* the registry's time."""
    later = format_datetime(now + timedelta(seconds=2), usegmt=True)
    wall = {"cf-mitigated": "challenge", "Server": "cloudflare"}
    return {
        Fault.LIMITED: (429, {"Retry-After": "2"}, "text/plain", b"too many requests\n"),
        Fault.DATED: (503, {"Retry-After": later}, "text/plain", b"back soon\n"),
        Fault.DOWN: (503, {}, "text/plain", b"out of service\n"),
        Fault.DENIED: (403, {}, "application/json", b'{"error": "no key"}\n'),
        Fault.WALL: (403, wall, "text/html; charset=UTF-8", _BOT_PROTECTION_PAGE),
        Fault.INWARD: (302, {"Location": _PRIVATE_URL}, "text/plain", b""),
        Fault.ROUND: (302, {"Location": url}, "text/plain", b""),
    }


def robots(faults: frozenset[Fault]) -> tuple[int, str]:
    if Fault.MUTE in faults:
        return 503, "out of service\n"
    lines = "Disallow: /\n" if Fault.FORBIDS in faults else ""
    lines += "Crawl-delay: 1.5\n" if Fault.CRAWL in faults else ""
    return 200, _ROBOTS + (f"\nUser-agent: Stocktake\n{lines}Disallow: /control\n" if lines else "")
