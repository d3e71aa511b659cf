"""Patches: how a journal entry is sent, which never changes: plain or gzip, whole or in parts, and not again to who holds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus

from isal import igzip
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from journal.entry import Entry
from journal.row_counts import count_rows
from publisher.http.problems import HTTPProblem
from publisher.http.ranges import RangeNotSatisfiable, parse_range
from publisher.releases.gzip_member import as_single_member

MEDIA = "application/rdf-patch"
FOREVER = "public, max-age=31536000, immutable"
_BLOCK = 1 << 18  # bytes sent at once
_CODING = re.compile(r"\s*(gzip|x-gzip|\*)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?\Z", re.IGNORECASE)


def etags(entry: Entry) -> tuple[str, str, str]:
    """Give the strong entity tags: of the plain patch, which is the entry's id, of the patch as it is sent in gzip, and of its gzip file.

    Source: https://www.rfc-editor.org/rfc/rfc9110 section 8.8.3.3: each has its own.
    """
    return f'"{entry.id}"', f'"{entry.id}-gzip"', f'"{entry.id}-file"'


def accepts_gzip(accepted: str) -> bool:
    """Tell whether an Accept-Encoding header lets us send gzip.

    >>> accepts_gzip("deflate, gzip;q=0.5"), accepts_gzip("gzip;q=0, br"), accepts_gzip("")
    (True, False, False)
    """
    found = {match[1].lower(): float(match[2] or 1) > 0 for one in accepted.split(",") if (match := _CODING.match(one))}
    return found.get("gzip", found.get("x-gzip", found.get("*", False)))


def send(request: Request, entry: Entry, *, packed: bool) -> Response:
    """Answer with an entry; *packed* is its gzip file as such, else gzip is only the way in which the patch is sent."""
    plain, gzip, file = etags(entry)
    coded = accepts_gzip(request.headers.get("accept-encoding", ""))
    headers = {
        "ETag": file if packed else gzip if coded else plain,
        "Cache-Control": FOREVER,
        "Last-Modified": format_datetime(entry.time, usegmt=True),
        "Accept-Ranges": "bytes",
    }
    if not packed:
        headers["Vary"] = "Accept-Encoding"
    held = request.headers.get("if-none-match", "")
    if held.strip() == "*" or any(one in held for one in etags(entry)):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    if packed:
        return FileResponse(entry.path, headers=headers, media_type="application/gzip")
    headers["Content-Type"] = MEDIA
    size = count_rows(entry).size
    if not coded:
        return _answer(request, headers, size, partial(_unpacked, entry))
    headers["Content-Encoding"] = "gzip"
    whole = as_single_member(entry.path, size)
    return _answer(request, headers, len(whole), whole.part)


def _answer(request: Request, headers: dict[str, str], size: int, part_of: Callable[[range], Iterator[bytes]]) -> Response:
    """Send all *size* bytes, or those that are asked for."""
    status = HTTPStatus.OK
    try:
        wanted = parse_range(request.headers.get("range"), request.headers.get("if-range"), headers["ETag"], size)
    except RangeNotSatisfiable as error:
        told = f"It has {size} bytes"
        raise HTTPProblem(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, told, {"Content-Range": f"bytes */{size}"}) from error
    if wanted:
        status, headers["Content-Range"] = HTTPStatus.PARTIAL_CONTENT, f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
    wanted = wanted or range(size)
    headers["Content-Length"] = str(len(wanted))
    if request.method == "HEAD":
        return Response(None, status, headers)
    return StreamingResponse(part_of(wanted), status, headers)


def _unpacked(entry: Entry, wanted: range) -> Iterator[bytes]:
    with igzip.open(entry.path, "rb") as file:
        file.seek(wanted.start)
        left = len(wanted)
        while left and (block := file.read(min(_BLOCK, left))):
            left -= len(block)
            yield block
