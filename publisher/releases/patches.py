"""Send journal entries: plain or gzip, complete or ranges of bytes. An entry never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus

from isal import igzip
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from journal.entry import Entry
from journal.row_counts import count_rows
from publisher.releases.gzip_member import as_single_member
from web.conditional import RangeNotSatisfiable, matches_etag, parse_range
from web.negotiation import accepts_gzip
from web.problems import HTTPProblem

MEDIA = "application/rdf-patch"
FOREVER = "public, max-age=31536000, immutable"
_BLOCK = 1 << 18  # bytes sent at once


def etags(entry: Entry) -> tuple[str, str, str]:
    """Return the strong entity tags of the plain patch (the entry's id), of the patch in gzip, and
    of the gzip file.

    Source: https://www.rfc-editor.org/rfc/rfc9110 section 8.8.3.3: each encoding has its own.
    """
    return f'"{entry.id}"', f'"{entry.id}-gzip"', f'"{entry.id}-file"'


def send(request: Request, entry: Entry, *, as_file: bool) -> Response:
    """Return a response with an entry: its gzip file, or the patch, compressed in transfer if the
    client accepts gzip.
    """
    plain, gzip, file = etags(entry)
    compressed = accepts_gzip(request.headers.get("accept-encoding"))
    headers = {
        "ETag": file if as_file else gzip if compressed else plain,
        "Cache-Control": FOREVER,
        "Last-Modified": format_datetime(entry.time, usegmt=True),
        "Accept-Ranges": "bytes",
    }
    if not as_file:
        headers["Vary"] = "Accept-Encoding"
    if matches_etag(request.headers, *etags(entry)):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    if as_file:
        return FileResponse(entry.path, headers=headers, media_type="application/gzip")
    headers["Content-Type"] = MEDIA
    size = count_rows(entry).size
    if not compressed:
        return _respond(request, headers, size, partial(_read_uncompressed, entry))
    headers["Content-Encoding"] = "gzip"
    member = as_single_member(entry.path, size)
    return _respond(request, headers, len(member), member.read)


def _respond(
    request: Request, headers: dict[str, str], size: int, read: Callable[[range], Iterator[bytes]]
) -> Response:
    """Return a response with all *size* bytes, or with the requested range."""
    status = HTTPStatus.OK
    try:
        byte_range = parse_range(
            request.headers.get("range"), request.headers.get("if-range"), headers["ETag"], size
        )
    except RangeNotSatisfiable as error:
        detail = f"The patch has {size} bytes; request a range within them"
        raise HTTPProblem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, detail, {"Content-Range": f"bytes */{size}"}
        ) from error
    if byte_range:
        status, headers["Content-Range"] = (
            HTTPStatus.PARTIAL_CONTENT,
            f"bytes {byte_range.start}-{byte_range.stop - 1}/{size}",
        )
    byte_range = byte_range or range(size)
    headers["Content-Length"] = str(len(byte_range))
    if request.method == "HEAD":
        return Response(None, status, headers)
    return StreamingResponse(read(byte_range), status, headers)


def _read_uncompressed(entry: Entry, byte_range: range) -> Iterator[bytes]:
    with igzip.open(entry.path, "rb") as file:
        file.seek(byte_range.start)
        remaining = len(byte_range)
        while remaining and (block := file.read(min(_BLOCK, remaining))):
            remaining -= len(block)
            yield block
