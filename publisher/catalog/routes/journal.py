"""``/journal/``: the journal of changes, from which anyone can verify the data and rebuild any state."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from journal import mirror_origin
from journal.entry import Entry
from journal.errors import JournalError
from journal.row_counts import RowCounts, count_rows
from publisher.formats import GRAPHS, Format, GraphFormat
from publisher.http.negotiation import best_match, wants_html
from publisher.http.problems import HTTPProblem
from publisher.pages.templating import Pages
from publisher.rdf.results import Term
from publisher.releases.patches import send
from publisher.store.descriptions import Description, Statement, namespaces, serialize_description
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from vocab.terms import DCAT, DCT, PROV, RDF, XSD

PAGE_SIZE = 50  # entries a page where nothing is said
MAX_PAGE_SIZE = 1_000  # entries a page
_NAME = re.compile(r"([1-9]\d{0,8})(\.gz)?\Z", re.ASCII)
_JSON = Format("json", "JSON", "application/json")
_FORMATS: dict[str, Format] = {"json": _JSON, **GRAPHS}


@dataclass(frozen=True, slots=True)
class EntrySummary:
    """An entry as it is listed: *bytes* are those of its gzip file."""

    entry: Entry
    bytes: int
    tally: RowCounts

    def to_json(self) -> dict[str, object]:
        """Return it for JSON."""
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
    """A page of the list, the newest entry first: those numbered below *before*, *per* at most, of *total*."""

    lines: tuple[EntrySummary, ...]
    before: int
    per: int
    total: int

    @property
    def next(self) -> str | None:
        """Return where the list goes on, None at its end."""
        last = self.lines[-1].entry.number if self.lines else 1
        return f"/journal/?before={last}&per={self.per}" if last > 1 else None

    @property
    def previous(self) -> str | None:
        """Return where the page of newer entries is, None where this is the newest."""
        return f"/journal/?before={min(self.before + self.per, self.total + 1)}&per={self.per}" if self.before <= self.total else None


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/journal/``."""
    routes = APIRouter()

    async def listing(request: Request) -> Response:
        chosen_format = _negotiate(request)
        with _journal_errors():
            entry_page = await asyncio.to_thread(_entry_page, service, request)
        mirror = mirror_origin.read(service.journal.folder)
        links = [f'<{address}>; rel="{name}"' for name, address in (("next", entry_page.next), ("prev", entry_page.previous)) if address]
        headers = {"Vary": "Accept", "Cache-Control": "no-cache", **({"Link": ", ".join(links)} if links else {})}
        if isinstance(chosen_format, GraphFormat):
            return Response(
                serialize_description(_describe_page(entry_page, service.iris), chosen_format),
                headers={"Content-Type": chosen_format.media, **headers},
            )
        if chosen_format is not None:
            return JSONResponse(_json(entry_page, service.iris.base, mirror), headers=headers)
        response = pages.page("journal.html", sheet=entry_page, origin=mirror, formats=_FORMATS.values())
        response.headers.update(headers)
        return response

    async def head(request: Request) -> Response:
        """Tell the newest entry and the base of the IRIs: all that a mirror asks for before it goes on."""
        with _journal_errors():
            newest = await asyncio.to_thread(lambda: service.journal.head)
        etag = f'"{newest.id}-head"' if newest else '"empty"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(None, HTTPStatus.NOT_MODIFIED, headers)
        document = _head(newest) if newest else {"number": 0, "id": None, "previous": None, "run": None, "time": None}
        return JSONResponse({"base": service.iris.base, **document}, headers=headers)

    async def entry(request: Request) -> Response:
        name = request.path_params["name"]
        match = _NAME.match(name)
        with _journal_errors():
            stored_entry = await asyncio.to_thread(service.journal.entry, int(match[1])) if match else None
            if match is None or stored_entry is None:
                raise HTTPProblem(HTTPStatus.NOT_FOUND, f"The journal has no entry {name}")
            return await asyncio.to_thread(send, request, stored_entry, packed=match[2] is not None)

    for path, endpoint in (("/journal/", listing), ("/journal/head", head), ("/journal/{name}", entry)):
        routes.add_route(path, endpoint, methods=["GET", "HEAD"])
    return routes


@contextmanager
def _journal_errors() -> Iterator[None]:
    try:
        yield
    except JournalError as error:
        raise HTTPProblem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error


def _negotiate(request: Request) -> Format | None:
    """Choose the format, None for the page."""
    accept, suffix = request.headers.get("accept"), request.query_params.get("format")
    if suffix is None and wants_html(accept, _FORMATS.values()):
        return None
    chosen_format = _FORMATS.get(suffix) if suffix else best_match(accept, _FORMATS.values())
    if chosen_format is None:
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE,
            "No available format matches your Accept header. Available: "
            + ", ".join(chosen_format.media for chosen_format in _FORMATS.values()),
        )
    return chosen_format


def _entry_page(service: QueryService, request: Request) -> EntryPage:
    newest = service.journal.head
    total = newest.number if newest else 0
    before, per = _number(request, "before", total + 1), min(_number(request, "per", PAGE_SIZE), MAX_PAGE_SIZE)
    numbers = range(min(before, total + 1) - 1, 0, -1)[:per]
    entries = [entry for number in numbers if (entry := service.journal.entry(number))]
    return EntryPage(tuple(EntrySummary(entry, entry.path.stat().st_size, count_rows(entry)) for entry in entries), before, per, total)


def _number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, "")
    if text and not (text.isascii() and text.isdecimal() and 0 < int(text[:10]) < 1_000_000_000):
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"The parameter {name} is a number from 1")
    return int(text) if text else otherwise


def _head(entry: Entry) -> dict[str, object]:
    return {
        "number": entry.number,
        "id": entry.id,
        "previous": entry.previous,
        "run": entry.run,
        "time": f"{entry.time:%Y-%m-%dT%H:%M:%SZ}",
    }


def _json(entry_page: EntryPage, base: str, mirror: mirror_origin.Origin | None) -> dict[str, object]:
    entries = [line.to_json() for line in entry_page.lines]
    links = {"next": entry_page.next, "previous": entry_page.previous}
    return {"base": base, "mirror_of": mirror.url if mirror else None, "total": entry_page.total, "entries": entries, **links}


def _describe_page(entry_page: EntryPage, iris: Iris) -> Description:
    about = f"{iris.base}journal/"
    return Description(
        about, tuple(statement for line in entry_page.lines for statement in _statements(line, about, iris)), {}, namespaces(iris)
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
    yield Statement(entry_iri, f"{DCAT}mediaType", Term("https://www.iana.org/assignments/media-types/application/rdf-patch"))
    for name, value in ((f"{DCAT}byteSize", line.bytes), (f"{iris.ns}quadsAdded", count.added), (f"{iris.ns}quadsRemoved", count.removed)):
        yield Statement(entry_iri, name, Term(str(value), "literal", None, f"{XSD}integer"))
