"""Send journal entries: plain or gzip, complete or ranges of bytes. An entry never changes.

The file of an entry has two gzip members, of which many clients decode only the first, so it is sent
as one. The first member has only the line with the entry's id. Nothing is compressed again: that
line becomes a stored block in front of the second member's blocks
(https://www.rfc-editor.org/rfc/rfc1952, https://www.rfc-editor.org/rfc/rfc1951 section 3.2.4).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from isal import igzip, isal_zlib
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from journal.entry import Entry
from journal.row_counts import count_rows
from web.conditional import RangeNotSatisfiable, parse_range
from web.negotiation import accepts_gzip
from web.problems import HTTPProblem
from web.respond import unchanged

MEDIA = "application/rdf-patch"
FOREVER = "public, max-age=31536000, immutable"
_BLOCK = 1 << 18  # bytes sent at once
# of a gzip member: deflate, without name and time, unknown system
_HEAD = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])
_TAIL = 8  # bytes: CRC-32 and length
_FIRST = 4096  # bytes at the start of the file that contain the first member


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
    if response := unchanged(request, headers, etags=etags(entry)):
        return response
    if as_file:
        return FileResponse(entry.path, headers=headers, media_type="application/gzip")
    headers["Content-Type"] = MEDIA
    size = count_rows(entry).size
    if not compressed:
        return _respond(request, headers, size, _read_blocks(partial(igzip.open, entry.path, "rb")))
    headers["Content-Encoding"] = "gzip"
    return _respond(request, headers, *single_member(entry.path, size))


def _respond(
    request: Request, headers: dict[str, str], size: int, content: Iterable[bytes]
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
    return StreamingResponse(_cut(content, byte_range), status, headers)


def _cut(content: Iterable[bytes], byte_range: range) -> Iterator[bytes]:
    """Yield the bytes of *content* in *byte_range*."""
    position = 0
    for block in content:
        start, stop = (max(0, end - position) for end in (byte_range.start, byte_range.stop))
        yield block[start:stop]
        position += len(block)
        if position >= byte_range.stop:
            return


def _read_blocks(
    open_file: Callable[[], BinaryIO], start: int = 0, end: int | None = None
) -> Iterator[bytes]:
    """Yield the bytes of a file from the offset *start* to *end*, None for its end."""
    with open_file() as file:
        file.seek(start)
        while block := file.read(_BLOCK if end is None else min(_BLOCK, end - file.tell())):
            yield block


def single_member(path: Path, size: int) -> tuple[int, Iterable[bytes]]:
    """Return the two members of the file at *path* as one: its length and its bytes. Uncompressed,
    the file has *size* bytes.
    """
    with path.open("rb") as file:
        beginning = file.read(_FIRST)
        end = file.seek(-_TAIL, 2)
        trailer = file.read(_TAIL)
    first = zlib.decompressobj(31)
    line = first.decompress(beginning)
    start = len(beginning) - len(first.unused_data) + len(_HEAD)
    length = len(line).to_bytes(2, "little")
    front = _HEAD + b"\0" + length + bytes(byte ^ 0xFF for byte in length) + line
    crc = isal_zlib.crc32_combine(
        zlib.crc32(line), int.from_bytes(trailer[:4], "little"), size - len(line)
    )
    back = crc.to_bytes(4, "little") + (size % (1 << 32)).to_bytes(4, "little")
    body = _read_blocks(lambda: path.open("rb"), start, end)
    return len(front) + end - start + len(back), chain([front], body, [back])
