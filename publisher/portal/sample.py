"""Fetch the sample of a registry that a visitor names by its address. Nothing is stored."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

import httpx

from publisher.portal.field_suggestions import MAX_SAMPLE
from vocab.iris import is_web
from web.outbound_client import PrivateAddressError, create_client

_MAX_ROBOTS = 64 * 1024  # bytes of robots.txt that are read
_SECONDS = 20  # for robots.txt and the sample
_NOT_FOUND = 404
_ERRORS = 400  # statuses from here on are errors


class SampleError(Exception):
    """The sample cannot be fetched; *kind* is a kind of the errors of previews, the text describes
    it in English.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


async def fetch_sample(url: str, client: httpx.AsyncClient | None = None) -> bytes:
    """Return the first bytes at a public *url*, if its robots.txt permits it; raises SampleError.

    The client refuses private addresses and follows no redirects. Tests pass another *client*.
    """
    if not is_web(url):
        raise SampleError("refused", "The address is no http or https address")
    try:
        async with asyncio.timeout(_SECONDS), client or create_client() as http:
            if not await _is_permitted(http, url):
                raise SampleError("robots", "robots.txt does not allow access")
            return await _read(http, url, MAX_SAMPLE)
    except TimeoutError as error:
        raise SampleError("late", f"The sample did not arrive within {_SECONDS} seconds") from error
    except httpx.HTTPError as error:
        private = isinstance(error.__cause__, PrivateAddressError)
        raise SampleError("refused" if private else "unreachable", type(error).__name__) from error
    except (httpx.InvalidURL, ValueError) as error:
        raise SampleError("refused", "The address is invalid") from error


async def _is_permitted(http: httpx.AsyncClient, url: str) -> bool:
    """Return whether robots.txt permits the request (https://www.rfc-editor.org/rfc/rfc9309)."""
    parts = urlsplit(url)
    try:
        text = await _read(http, f"{parts.scheme}://{parts.netloc}/robots.txt", _MAX_ROBOTS)
    except SampleError as error:
        return error.kind == "missing"
    robots = RobotFileParser()
    robots.parse(text.decode("utf-8", "replace").splitlines())
    return robots.can_fetch("stocktake", url)


async def _read(http: httpx.AsyncClient, url: str, limit: int) -> bytes:
    received = bytearray()
    async with http.stream("GET", url) as response:
        if response.status_code >= _ERRORS or response.is_redirect:
            kind = "missing" if response.status_code == _NOT_FOUND else "unreachable"
            raise SampleError(kind, f"The server answered {response.status_code}")
        async for chunk in response.aiter_bytes():
            received += chunk[: limit - len(received)]
            if len(received) >= limit:
                break
    return bytes(received)
