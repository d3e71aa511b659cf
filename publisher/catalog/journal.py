"""``/journal/``: the journal of changes, from which anyone can verify the data and rebuild any
state; ``/dumps/``: the files written by ``stocktake dump``.

An entry is sent plain or gzip, complete or in ranges of bytes. Its file has two gzip members, of
which many clients decode only the first, so it is sent as one. The first member has only the line
with the entry's id. Nothing is compressed again: that line becomes a stored block in front of the
second member's blocks (https://www.rfc-editor.org/rfc/rfc1952,
https://www.rfc-editor.org/rfc/rfc1951 section 3.2.4).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from itertools import chain
from pathlib import Path as FilePath
from typing import Annotated, Any, BinaryIO

import orjson
from fastapi import APIRouter, Path, Query
from isal import igzip, isal_zlib
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from journal.entry import Entry, count_rows
from journal.store import read_origin
from publisher.pages import PagesDep, ServiceDep, require
from publisher.rdf import Term, namespaces, text_term, typed_term
from publisher.releases.dump import DUMP_NAME, list_dumps
from publisher.store.descriptions import Description, node_statements, serialize_description
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from vocab.terms import PROV
from web.endpoints import (
    contents,
    format_parameter,
    get,
    other_contents,
    problems,
    whole_number,
)
from web.respond import (
    GRAPHS,
    HTML,
    IMMUTABLE,
    JSON,
    Format,
    GraphFormat,
    HTTPProblem,
    Link,
    accepts_gzip,
    choose_format,
    respond,
    unchanged,
)

PAGE_SIZE = 50  # default number of entries on a page
MAX_PAGE_SIZE = 1_000  # largest number of entries on a page
_MAX_NUMBER = 999_999_999
PATCH_MEDIA = "application/rdf-patch"
_BLOCK = 1 << 18  # bytes sent at once
# The head of a gzip member: deflate, without name and time, of an unknown system.
_HEAD = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])
_TAIL = 8  # bytes: CRC-32 and length
_FIRST = 4096  # bytes at the start of the file that contain the first member
_SINGLE_RANGE = re.compile(
    r"\s*+bytes\s*+=\s*+(?:(\d{1,18})\s*+-\s*+(\d{0,18})|-\s*+(\d{1,18}))\s*+", re.I | re.A
)
_ENTRY_NAME = re.compile(r"([1-9]\d{0,8})(\.gz)?\Z", re.ASCII)
_FORMATS: dict[str, Format] = {"json": JSON, **GRAPHS}


router, dumps = APIRouter(), APIRouter()


@get(
    router,
    "/journal/",
    operation_id="journal",
    summary="List the entries of the journal, the newest first",
    tags=["watch"],
    response_description="A page of entries",
    responses=other_contents(GRAPHS.values(), "JournalPage") | problems(400, 406, 503),
)
def listing(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    before: Annotated[
        int,
        Query(ge=1, le=_MAX_NUMBER, description="Only entries with a lower number"),
        whole_number(_MAX_NUMBER),
    ] = _MAX_NUMBER,
    per: Annotated[
        int,
        Query(ge=1, le=_MAX_NUMBER, description=f"Entries a page, at most {MAX_PAGE_SIZE}"),
        whole_number(PAGE_SIZE),
    ] = PAGE_SIZE,
    format: Annotated[str | None, format_parameter(_FORMATS)] = None,
) -> Response:
    """The journal is all changes of the data, from which anyone can rebuild every state."""
    chosen_format = choose_format(request, {**_FORMATS, "html": HTML}, format)
    page = _read_page(service, before, min(per, MAX_PAGE_SIZE))
    neighbours = {"next": page["next"], "prev": page["previous"]}
    links = [Link(rel, target) for rel, target in neighbours.items() if target]
    content: bytes | Response
    if isinstance(chosen_format, GraphFormat):
        content = serialize_description(_describe_page(page, service.iris), chosen_format)
    elif chosen_format is JSON:
        content = orjson.dumps(page)
    else:
        content = pages.page("journal.html", journal=page, formats=_FORMATS.values())
    return respond(request, content, chosen_format, links=links)


@get(
    router,
    "/journal/head",
    operation_id="journalHead",
    summary="Return the newest entry of the journal",
    description="A mirror reads this before it continues. The number is 0 while the journal is empty.",
    tags=["watch"],
    response_description="The newest entry",
    responses=contents(json="JournalHead") | problems(503),
)
def head(request: Request, service: ServiceDep) -> Response:
    newest = service.journal.head
    etag = f'"{newest.id}-head"' if newest else '"empty"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    empty = {"number": 0, "id": None, "previous": None, "run": None, "time": None}
    document = _head(newest) if newest else empty
    data = orjson.dumps({"base": service.iris.base, **document})
    return respond(request, data, "application/json", headers=headers)


@get(
    router,
    "/journal/{name}",
    operation_id="journalEntry",
    summary="Return an entry of the journal",
    tags=["watch"],
    response_class=Response,
    response_description="The entry as an RDF Patch, or its gzip file",
    responses=contents(PATCH_MEDIA, "application/gzip") | problems(404, 503),
)
def entry(
    request: Request,
    service: ServiceDep,
    name: Annotated[
        str,
        Path(
            description="The number of the entry; with `.gz`, the file as it is stored",
            examples=["1", "1.gz"],
        ),
    ],
) -> Response:
    """Range requests are supported. An entry never changes."""
    unknown = f"The journal has no entry {name}"
    match = require(_ENTRY_NAME.match(name), unknown)
    stored_entry = require(service.journal.entry(int(match[1])), unknown)
    as_file, compressed = match[2], accepts_gzip(request.headers.get("accept-encoding"))
    # Each encoding has its own tag (https://www.rfc-editor.org/rfc/rfc9110, section 8.8.3.3).
    plain, gzip, file = (f'"{stored_entry.id}{end}"' for end in ("", "-gzip", "-file"))
    headers = {
        "ETag": file if as_file else gzip if compressed else plain,
        "Cache-Control": IMMUTABLE,
        "Last-Modified": format_datetime(stored_entry.time, usegmt=True),
        "Accept-Ranges": "bytes",
        **({} if as_file else {"Vary": "Accept-Encoding"}),
    }
    if response := unchanged(request, headers, etags=(plain, gzip, file)):
        return response
    if as_file:
        return FileResponse(stored_entry.path, headers=headers, media_type="application/gzip")
    headers["Content-Type"] = PATCH_MEDIA
    size = count_rows(stored_entry).size
    if not compressed:
        blocks = _read_blocks(partial(igzip.open, stored_entry.path, "rb"))
        return _send_range(request, headers, size, blocks)
    headers["Content-Encoding"] = "gzip"
    return _send_range(request, headers, *_single_member(stored_entry.path, size))


def _send_range(
    request: Request, headers: dict[str, str], size: int, content: Iterable[bytes]
) -> Response:
    """Return a response with all *size* bytes, or with the requested range; several ranges, and one
    that is invalid, are answered in full (https://www.rfc-editor.org/rfc/rfc9110, section 14.2).
    """
    status, start, stop = HTTPStatus.OK, 0, size
    match = _SINGLE_RANGE.fullmatch(request.headers.get("range", ""))
    is_current = request.headers.get("if-range", headers["ETag"]).strip() == headers["ETag"]
    if match and is_current and not (match[2] and int(match[2]) < int(match[1])):
        start = int(match[1]) if match[1] else max(0, size - int(match[3]))
        stop = min(int(match[2] or size) + 1, size)
        if start >= stop:
            detail = f"The patch has {size} bytes; request a range within them"
            raise HTTPProblem(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                detail,
                {"Content-Range": f"bytes */{size}"},
            )
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD":
        return Response(None, status, headers)
    return StreamingResponse(_cut(content, start, stop), status, headers)


def _cut(content: Iterable[bytes], start: int, stop: int) -> Iterator[bytes]:
    position = 0
    for block in content:
        yield block[max(0, start - position) : max(0, stop - position)]
        position += len(block)
        if position >= stop:
            return


def _read_blocks(
    open_file: Callable[[], BinaryIO], start: int = 0, end: int | None = None
) -> Iterator[bytes]:
    """Yield the bytes of a file from the offset *start* to *end*, None for its end."""
    with open_file() as file:
        file.seek(start)
        while block := file.read(_BLOCK if end is None else min(_BLOCK, end - file.tell())):
            yield block


def _single_member(path: FilePath, size: int) -> tuple[int, Iterable[bytes]]:
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


def _read_page(service: QueryService, before: int, per: int) -> dict[str, Any]:
    """Return at most *per* entries numbered below *before*, the newest first."""
    newest, mirror = service.journal.head, read_origin(service.journal.folder)
    total = newest.number if newest else 0
    before = min(before, total + 1)
    numbers = range(before - 1, 0, -1)[:per]
    entries = [entry for number in numbers if (entry := service.journal.entry(number))]
    last = entries[-1].number if entries else 1
    newer = min(before + per, total + 1)
    return {
        "base": service.iris.base,
        "mirror_of": mirror.url if mirror else None,
        "total": total,
        "entries": [_summary(entry) for entry in entries],
        "next": f"/journal/?before={last}&per={per}" if last > 1 else None,
        "previous": f"/journal/?before={newer}&per={per}" if before <= total else None,
    }


def _head(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "id": entry.id,
        "previous": entry.previous,
        "run": entry.run,
        "time": f"{entry.time:%Y-%m-%dT%H:%M:%SZ}",
    }


def _summary(entry: Entry) -> dict[str, Any]:
    counts = count_rows(entry)
    return {
        **_head(entry),
        "bytes": entry.path.stat().st_size,
        "plain_bytes": counts.size,
        "added": counts.added,
        "removed": counts.removed,
        "patch": f"/journal/{entry.number}",
    }


def _describe_page(page: Mapping[str, Any], iris: Iris) -> Description:
    journal = f"{iris.base}journal/"
    node = {
        "@id": journal,
        "dct:hasPart": [_entry_node(item, journal, iris) for item in page["entries"]],
    }
    return Description(journal, tuple(node_statements(node)), {}, namespaces(iris))


def _entry_node(item: Mapping[str, Any], journal: str, iris: Iris) -> dict[str, str | Term | None]:
    return {
        "@id": f"{journal}{item['number']}",
        "rdf:type": f"{PROV}Entity",
        "dct:identifier": text_term(item["id"]),
        "dct:issued": typed_term(item["time"], "dateTime"),
        "prov:wasGeneratedBy": iris.run(item["run"]),
        "prov:wasDerivedFrom": f"{journal}{item['number'] - 1}" if item["previous"] else None,
        "dcat:mediaType": "https://www.iana.org/assignments/media-types/application/rdf-patch",
        "dcat:byteSize": typed_term(item["bytes"], "integer"),
        f"{iris.operations}quadsAdded": typed_term(item["added"], "integer"),
        f"{iris.operations}quadsRemoved": typed_term(item["removed"], "integer"),
    }


@get(dumps, "/dumps/", include_in_schema=False)
def list_of_dumps(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """List the files that ``stocktake dump`` wrote."""
    page = pages.page("dumps.html", files=list_dumps(service.data / "dumps"))
    return respond(request, page, HTML)


@get(
    dumps,
    "/dumps/{name}",
    operation_id="dump",
    summary="Return a dump of all data at a journal entry, or its checksum",
    tags=["have"],
    response_class=Response,
    response_description="The file",
    responses=contents("application/gzip", "text/plain") | problems(404),
)
def dump(
    request: Request,
    service: ServiceDep,
    name: Annotated[str, Path(description="The name of the file; `/dumps/` lists them")],
) -> Response:
    """Range requests are supported."""
    match, path = DUMP_NAME.match(name), service.data / "dumps" / name
    match = require(match if path.is_file() else None, f"There is no dump {name}")
    media = "text/plain; charset=utf-8" if match[2] else "application/gzip"
    return respond(request, path, media)
