"""``/journal/``: the journal of changes, from which anyone can verify the data and rebuild any
state.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from journal import mirror_origin
from journal.entry import Entry
from journal.row_counts import RowCounts, count_rows
from publisher.dependencies import PagesDep, ServiceDep
from publisher.rdf.results import Term
from publisher.releases.patches import MEDIA as PATCH_MEDIA
from publisher.releases.patches import send
from publisher.store.descriptions import Description, Statement, namespaces, serialize_description
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from vocab.terms import DCAT, DCT, PROV, RDF, XSD
from web.conditional import matches_etag
from web.endpoints import (
    Count,
    Instant,
    WebAddress,
    contents,
    format_parameter,
    get,
    other_contents,
    problems,
    whole_number,
)
from web.formats import GRAPHS, Format, GraphFormat
from web.problems import HTTPProblem
from web.representation import negotiate_data_format

PAGE_SIZE = 50  # default number of entries on a page
MAX_PAGE_SIZE = 1_000  # largest number of entries on a page
_MAX_NUMBER = 999_999_999
_NAME = re.compile(r"([1-9]\d{0,8})(\.gz)?\Z", re.ASCII)
_JSON = Format("json", "JSON", "application/json")
_FORMATS: dict[str, Format] = {"json": _JSON, **GRAPHS}

EntryName = Annotated[
    str,
    Path(
        description="The number of the entry; with `.gz`, the file as it is stored",
        examples=["1", "1.gz"],
    ),
]
FormatName = Annotated[str | None, format_parameter(_FORMATS)]
Before = Annotated[
    int,
    Query(ge=1, le=_MAX_NUMBER, description="Only entries with a lower number"),
    whole_number(_MAX_NUMBER),
]
PerPage = Annotated[
    int,
    Query(ge=1, le=_MAX_NUMBER, description=f"Entries a page, at most {MAX_PAGE_SIZE}"),
    whole_number(PAGE_SIZE),
]


class JournalHead(TypedDict):
    """The newest entry, number 0 if there is none, and the beginning of all IRIs of this journal."""

    base: WebAddress
    number: Count
    id: str | None
    previous: str | None
    run: str | None
    time: Instant | None


class EntryHead(TypedDict):
    """An entry: *id* is its hash, *previous* that of the entry before it."""

    number: Count
    id: str
    previous: str | None
    run: str
    time: Instant


class EntryJson(EntryHead):
    """An entry: *bytes* of its gzip file, *plain_bytes* of the patch; *added* and *removed* are
    numbers of quads.
    """

    bytes: Count
    plain_bytes: Count
    added: Count
    removed: Count
    patch: str


class JournalPage(TypedDict):
    """A page of the journal, the newest entry first."""

    base: WebAddress
    mirror_of: WebAddress | None
    total: Count
    entries: list[EntryJson]
    next: str | None
    previous: str | None


@dataclass(frozen=True, slots=True)
class EntrySummary:
    """An entry as it is listed: *bytes* are those of its gzip file."""

    entry: Entry
    bytes: int
    tally: RowCounts

    def to_json(self) -> EntryJson:
        """Return the summary for JSON."""
        entry, count = self.entry, self.tally
        return {
            **_head(entry),
            "bytes": self.bytes,
            "plain_bytes": count.size,
            "added": count.added,
            "removed": count.removed,
            "patch": f"/journal/{entry.number}",
        }


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A page of the list, the newest entry first: those numbered below *before*, *per* at most, of
    *total*.
    """

    lines: tuple[EntrySummary, ...]
    before: int
    per: int
    total: int

    @property
    def next(self) -> str | None:
        """Return the number for *before* on the next page, None at the end."""
        last = self.lines[-1].entry.number if self.lines else 1
        return f"/journal/?before={last}&per={self.per}" if last > 1 else None

    @property
    def previous(self) -> str | None:
        """Return the number for *before* on the page of newer entries, None on the first page."""
        return (
            f"/journal/?before={min(self.before + self.per, self.total + 1)}&per={self.per}"
            if self.before <= self.total
            else None
        )


router = APIRouter()


@get(
    router,
    "/journal/",
    operation_id="journal",
    summary="List the entries of the journal, the newest first",
    tags=["watch"],
    response_model=JournalPage,
    response_description="A page of entries",
    responses=other_contents(GRAPHS.values()) | problems(400, 406, 503),
)
async def listing(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    before: Before = _MAX_NUMBER,
    per: PerPage = PAGE_SIZE,
    format: FormatName = None,
) -> Response:
    """The journal is all changes of the data, from which anyone can rebuild every state."""
    chosen_format = negotiate_data_format(request, _FORMATS, format)
    entry_page = await asyncio.to_thread(_entry_page, service, before, min(per, MAX_PAGE_SIZE))
    mirror = mirror_origin.read(service.journal.folder)
    links = [
        f'<{address}>; rel="{name}"'
        for name, address in (("next", entry_page.next), ("prev", entry_page.previous))
        if address
    ]
    headers = {
        "Vary": "Accept",
        "Cache-Control": "no-cache",
        **({"Link": ", ".join(links)} if links else {}),
    }
    if isinstance(chosen_format, GraphFormat):
        body = serialize_description(_describe_page(entry_page, service.iris), chosen_format)
        return Response(body, headers={"Content-Type": chosen_format.media, **headers})
    if chosen_format is not None:
        return JSONResponse(_json(entry_page, service.iris.base, mirror), headers=headers)
    response = pages.page(
        "journal.html", sheet=entry_page, origin=mirror, formats=_FORMATS.values()
    )
    response.headers.update(headers)
    return response


@get(
    router,
    "/journal/head",
    operation_id="journalHead",
    summary="Return the newest entry of the journal",
    description="A mirror reads this before it continues. The number is 0 while the journal is empty.",
    tags=["watch"],
    response_model=JournalHead,
    response_description="The newest entry",
    responses=problems(503),
)
async def head(request: Request, service: ServiceDep) -> Response:
    """Return the newest entry of the journal."""
    newest = await asyncio.to_thread(lambda: service.journal.head)
    etag = f'"{newest.id}-head"' if newest else '"empty"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if matches_etag(request.headers, etag):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    base = service.iris.base
    document: JournalHead = {
        "base": base,
        "number": 0,
        "id": None,
        "previous": None,
        "run": None,
        "time": None,
    }
    if newest:
        document = {"base": base, **_head(newest)}
    return JSONResponse(document, headers=headers)


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
async def entry(request: Request, service: ServiceDep, name: EntryName) -> Response:
    """Range requests are supported. An entry never changes."""
    match = _NAME.match(name)
    stored_entry = await asyncio.to_thread(service.journal.entry, int(match[1])) if match else None
    if match is None or stored_entry is None:
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"The journal has no entry {name}")
    return await asyncio.to_thread(send, request, stored_entry, as_file=match[2] is not None)


def _entry_page(service: QueryService, before: int, per: int) -> EntryPage:
    newest = service.journal.head
    total = newest.number if newest else 0
    before = min(before, total + 1)
    numbers = range(before - 1, 0, -1)[:per]
    entries = [entry for number in numbers if (entry := service.journal.entry(number))]
    return EntryPage(
        tuple(
            EntrySummary(entry, entry.path.stat().st_size, count_rows(entry)) for entry in entries
        ),
        before,
        per,
        total,
    )


def _head(entry: Entry) -> EntryHead:
    return {
        "number": entry.number,
        "id": entry.id,
        "previous": entry.previous,
        "run": entry.run,
        "time": f"{entry.time:%Y-%m-%dT%H:%M:%SZ}",
    }


def _json(entry_page: EntryPage, base: str, mirror: mirror_origin.Origin | None) -> JournalPage:
    return {
        "base": base,
        "mirror_of": mirror.url if mirror else None,
        "total": entry_page.total,
        "entries": [line.to_json() for line in entry_page.lines],
        "next": entry_page.next,
        "previous": entry_page.previous,
    }


def _describe_page(entry_page: EntryPage, iris: Iris) -> Description:
    about = f"{iris.base}journal/"
    return Description(
        about,
        tuple(
            statement for line in entry_page.lines for statement in _statements(line, about, iris)
        ),
        {},
        namespaces(iris),
    )


def _statements(line: EntrySummary, about: str, iris: Iris) -> Iterator[Statement]:
    entry, count = line.entry, line.tally
    entry_iri, time = f"{about}{entry.number}", f"{entry.time:%Y-%m-%dT%H:%M:%SZ}"
    yield Statement(about, f"{DCT}hasPart", Term(entry_iri))
    yield Statement(entry_iri, f"{RDF}type", Term(f"{PROV}Entity"))
    yield Statement(entry_iri, f"{DCT}identifier", Term(entry.id, "literal"))
    yield Statement(entry_iri, f"{DCT}issued", Term(time, "literal", None, f"{XSD}dateTime"))
    yield Statement(entry_iri, f"{PROV}wasGeneratedBy", Term(iris.run(entry.run)))
    if entry.previous:
        yield Statement(entry_iri, f"{PROV}wasDerivedFrom", Term(f"{about}{entry.number - 1}"))
    yield Statement(
        entry_iri,
        f"{DCAT}mediaType",
        Term("https://www.iana.org/assignments/media-types/application/rdf-patch"),
    )
    for name, value in (
        (f"{DCAT}byteSize", line.bytes),
        (f"{iris.operations}quadsAdded", count.added),
        (f"{iris.operations}quadsRemoved", count.removed),
    ):
        yield Statement(entry_iri, name, Term(str(value), "literal", None, f"{XSD}integer"))
