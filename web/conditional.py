"""Set entity tags and evaluate conditional and range requests.

This is the only place that reads If-None-Match, If-Modified-Since and Range. Source:
https://www.rfc-editor.org/rfc/rfc9110 sections 8.8 (validators), 13 (conditions) and 14 (ranges).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

_TAG = re.compile(r'(?:W/)?("[^"]*")')
SAFE_METHODS = ("GET", "HEAD")


def matches_etag(headers: Mapping[str, str], *etags: str) -> bool:
    """Return whether the header If-None-Match is ``*`` or names one of *etags*.

    Weak and strong tags count as the same (section 13.1.2).
    """
    sent = headers.get("if-none-match", "")
    return sent.strip() == "*" or not {etag.removeprefix("W/") for etag in etags}.isdisjoint(
        _TAG.findall(sent)
    )


def is_not_modified(headers: Mapping[str, str], *etags: str, modified: float | None) -> bool:
    """Return whether the client has the response with one of *etags*, last changed at *modified*,
    in seconds since 1970.

    A date counts only without If-None-Match (section 13.2.2), and only if it equals *modified*: the
    time of a run is its start, and its changes were published later. None: unknown.
    """
    if "if-none-match" in headers:
        return matches_etag(headers, *etags)
    return modified is not None and parse_http_date(headers.get("if-modified-since")) == modified


def parse_http_date(date: str | None) -> float | None:
    """Return an HTTP date in seconds since 1970; None if it is absent or invalid, and then ignored
    (section 13.1.3).
    """
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, TypeError):
        return None


_BODY_HEADERS = ("content-length", "content-type", "content-encoding")


def tagging(scope: Scope, send: Send) -> Send:
    """Return a send function that sets the hash of the body as ETag of complete responses to GET
    and HEAD, and answers 304 to a client that has it.

    Responses that have an ETag, must not be stored, or are streamed pass unchanged.
    """
    start_messages: list[Message] = []

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and _needs_etag(message):
            start_messages.append(message)
            return
        if start_messages:
            start = start_messages.pop()
            if not message.get("more_body", False):
                message = _set_etag(scope, start, message)
            await send(start)
        await send(message)

    return sending if scope["method"] in SAFE_METHODS else send


def _needs_etag(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return (
        start["status"] == HTTPStatus.OK
        and "etag" not in headers
        and "no-store" not in headers.get("cache-control", "")
    )


def _set_etag(scope: Scope, start: Message, last: Message) -> Message:
    """Set the ETag of the response *start* with the body *last*; return the body message to send."""
    headers = MutableHeaders(raw=start["headers"])
    headers["ETag"] = f'"{blake2b(last.get("body", b""), digest_size=12).hexdigest()}"'
    headers.setdefault("Cache-Control", "no-cache")
    if not matches_etag(Headers(scope=scope), headers["etag"]):
        return last
    start["status"] = int(HTTPStatus.NOT_MODIFIED)
    for name in _BODY_HEADERS:
        del headers[name]
    return {**last, "body": b""}


_SINGLE_RANGE = re.compile(
    r"\s*+bytes\s*+=\s*+(\d{0,18})\s*+-\s*+(\d{0,18})\s*+\Z", re.IGNORECASE | re.ASCII
)


class RangeNotSatisfiable(Exception):
    """The range contains no byte of the response (416)."""


def parse_range(
    range_header: str | None, if_range: str | None, etag: str, size: int
) -> range | None:
    """Return the requested bytes of *size*, None for all; raises RangeNotSatisfiable.

    *range_header* is Range, *if_range* If-Range, which must equal the strong *etag*. Several ranges
    are answered in full, as section 14.2 allows.

    >>> parse_range("bytes=2-5", None, '"x"', 10), parse_range("bytes=-3", None, '"x"', 10), parse_range("bytes=4-", '"y"', '"x"', 10)
    (range(2, 6), range(7, 10), None)
    """
    match = _SINGLE_RANGE.match(range_header or "")
    if (
        match is None
        or match[0].rstrip().endswith("=-")
        or (if_range is not None and if_range.strip() != etag)
    ):
        return None
    if not match[1] and not match[2]:
        return None
    first, last = (
        (int(match[1]), int(match[2] or size)) if match[1] else (max(0, size - int(match[2])), size)
    )
    if match[1] and match[2] and last < first:
        return None  # section 14.1.1: an invalid range is ignored
    byte_range = range(first, min(last + 1, size))
    if not byte_range:
        raise RangeNotSatisfiable
    return byte_range
