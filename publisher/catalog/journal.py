"""``/journal/``: the journal of changes, from which anyone can verify the data and rebuild any
state; ``/dumps/``: the files written by ``stocktake dump``.

An entry is sent as text, or as its gzip file, complete or in ranges of bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from email.utils import format_datetime
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query
from isal import igzip
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from journal.entry import Entry, count_rows
from journal.store import read_origin
from publisher.pages import PagesDep, ServiceDep
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
    Link,
    require,
    respond,
    respond_in,
    unchanged,
)

PAGE_SIZE = 50  # default number of entries on a page
MAX_PAGE_SIZE = 1_000  # largest number of entries on a page
_MAX_NUMBER = 999_999_999
PATCH_MEDIA = "application/rdf-patch"
_BLOCK = 1 << 18  # bytes sent at once
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
    page = _read_page(service, before, min(per, MAX_PAGE_SIZE))
    neighbours = {"next": page["next"], "prev": page["previous"]}
    links = [Link(rel, target) for rel, target in neighbours.items() if target]
    return respond_in(
        request,
        {
            JSON: lambda: orjson.dumps(page),
            **{item: partial(_as_graph, page, service.iris, item) for item in GRAPHS.values()},
            HTML: lambda: pages.page("journal.html", journal=page, formats=_FORMATS.values()),
        },
        format,
        links=links,
    )


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
    """An entry never changes. Range requests of its file are supported."""
    unknown = f"The journal has no entry {name}"
    match = require(_ENTRY_NAME.match(name), unknown)
    stored = require(service.journal.entry(int(match[1])), unknown)
    headers = {
        "ETag": f'"{stored.id}{"-file" if match[2] else ""}"',
        "Cache-Control": IMMUTABLE,
        "Last-Modified": format_datetime(stored.time, usegmt=True),
    }
    if response := unchanged(request, headers):
        return response
    if match[2]:
        return FileResponse(stored.path, headers=headers, media_type="application/gzip")
    headers |= {"Content-Type": PATCH_MEDIA, "Content-Length": str(count_rows(stored).size)}
    blocks = () if request.method == "HEAD" else _read_blocks(stored.path)
    return StreamingResponse(blocks, headers=headers)


def _read_blocks(path: FilePath) -> Iterator[bytes]:
    with igzip.open(path) as file:
        yield from iter(partial(file.read, _BLOCK), b"")


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


def _as_graph(page: Mapping[str, Any], iris: Iris, form: GraphFormat) -> bytes:
    journal = f"{iris.base}journal/"
    node = {
        "@id": journal,
        "dct:hasPart": [_entry_node(item, journal, iris) for item in page["entries"]],
    }
    statements = tuple(node_statements(node))
    return serialize_description(Description(journal, statements, {}, namespaces(iris)), form)


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
