"""Telling: a description in the form that a request wants, with its links and validators."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import FORMS, GRAPHS, HTML, TIDY, Format
from publisher.history.versions import history
from publisher.http.links import Link
from publisher.http.representation import Place, Told, answer, by_accept, form
from publisher.linked_data.plain_json import tidy
from publisher.store.descriptions import Description, write
from publisher.store.query_service import Shelf

Show = Callable[[], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is told: *it*, at *place*; *graph* is that which holds all of its data, "" where several do.

    *plain* is its JSON where that is not the one of our context.
    """

    it: Description
    place: Place
    status: HTTPStatus = HTTPStatus.OK
    graph: str = ""
    links: tuple[Link, ...] = ()
    plain: bytes | None = None


async def tell(request: Request, shelf: Shelf, subject: Subject, suffix: str | None, show: Show) -> Response:
    """Tell *subject* in the form that *request* wants; *show* makes its page."""
    row = form(request, subject.place, suffix)
    negotiated = by_accept(request, suffix)
    if row is HTML:
        body = bytes((await show()).body)
    else:
        body = subject.plain if row is TIDY and subject.plain is not None else written(subject.it, row, shelf)
    headers = {"Content-Location": subject.place.form(row)} if negotiated else {}
    modified = await _modified(shelf, "" if row is HTML else subject.graph)
    links = (*subject.links, *subject.place.alternates(rows=others(row)))
    return answer(request, Told(body, row.media, subject.status, modified, negotiated, links, headers))


def written(it: Description, row: Format, shelf: Shelf) -> bytes:
    """Write *it* as data in the form *row*."""
    return tidy(it, shelf.iris) if row is TIDY else write(it, GRAPHS[row.suffix])


def others(row: Format, rows: Iterable[Format] = FORMS.values()) -> list[Format]:
    """Give the other forms."""
    return [it for it in rows if it is not row]


async def _modified(shelf: Shelf, graph: str) -> int | None:
    """Give when *graph* last changed, by the entries that touched it; for "", when anything that is shown did."""
    if not graph:
        shown = shelf.current.modified
        return shown if 0 < shown < int(time.time()) else None
    found = await history(shelf, graph)
    return found[-1].time if found else None
