"""Read the sample of a registry that a visitor pastes, uploads, or names by its address. Nothing is
stored.
"""

from __future__ import annotations

import asyncio
from email.parser import BytesParser
from email.policy import HTTP
from http import HTTPStatus
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

import httpx
from starlette.requests import Request

from publisher.portal.field_suggestions import MAX_SAMPLE
from publisher.sparql.protocol import FORM, parse_form, read_body
from vocab.iris import is_web
from web.host import check_origin
from web.outbound_client import PrivateAddressError, create_client
from web.problems import HTTPProblem

MULTIPART = "multipart/form-data"
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


def parse_multipart(content_type: str, body: bytes) -> dict[str, bytes]:
    """Return the fields of a form in multipart/form-data (RFC 7578), files too; {} if it is
    invalid.

    >>> body = b'--x\\r\\nContent-Disposition: form-data; name="a"\\r\\n\\r\\n1\\r\\n--x--\\r\\n'
    >>> parse_multipart("multipart/form-data; boundary=x", body)
    {'a': b'1'}
    """
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    fields: dict[str, bytes] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes) and (payload or name not in fields):
            fields[name] = payload
    return fields


async def read_form(request: Request, most: int, most_fields: int) -> dict[str, bytes]:
    """Return the fields of a form, files too; raises HTTPProblem if another site sends it, or if it
    is no form or too large.

    *most* is the number of bytes of a form with a file, *most_fields* of one without.
    """
    check_origin(request)
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == MULTIPART:
        return parse_multipart(content_type, await read_body(request, most))
    if kind != FORM:
        raise HTTPProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"POST the form as {FORM}", {"Accept-Post": FORM}
        )
    fields = parse_form(await read_body(request, most_fields))
    return {name: values[0].encode("utf-8", "replace") for name, values in fields.items()}


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
