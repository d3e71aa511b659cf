"""Telling: a description in the form that a request wants, with its links and validators."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import FORMATS, GRAPHS, HTML, JSON, Format
from publisher.history.versions import read_history
from publisher.http.links import Link
from publisher.http.representation import Representation, ResourceURLs, build_response, is_negotiated, negotiate_format
from publisher.linked_data.plain_json import plain_json
from publisher.store.descriptions import Description, serialize_description
from publisher.store.query_service import QueryService

RenderPage = Callable[[], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Resource:
    """What is told: *it*, at *place*; *graph* is that which holds all of its data, "" where several do.

    *plain* is its JSON where that is not the one of our context.
    """

    it: Description
    place: ResourceURLs
    status: HTTPStatus = HTTPStatus.OK
    graph: str = ""
    links: tuple[Link, ...] = ()
    plain: bytes | None = None


async def respond(request: Request, service: QueryService, subject: Resource, suffix: str | None, show: RenderPage) -> Response:
    """Tell *subject* in the form that *request* wants; *show* makes its page."""
    row = negotiate_format(request, subject.place, suffix)
    negotiated = is_negotiated(request, suffix)
    if row is HTML:
        body = bytes((await show()).body)
    else:
        body = subject.plain if row is JSON and subject.plain is not None else serialize(subject.it, row, service)
    headers = {"Content-Location": subject.place.form(row)} if negotiated else {}
    modified = await _last_modified(service, "" if row is HTML else subject.graph)
    links = (*subject.links, *subject.place.alternates(rows=other_formats(row)))
    return build_response(request, Representation(body, row.media, subject.status, modified, negotiated, links, headers))


def serialize(it: Description, row: Format, service: QueryService) -> bytes:
    """Write *it* as data in the form *row*."""
    return plain_json(it, service.iris) if row is JSON else serialize_description(it, GRAPHS[row.suffix])


def other_formats(row: Format, rows: Iterable[Format] = FORMATS.values()) -> list[Format]:
    """Give the other forms."""
    return [it for it in rows if it is not row]


async def _last_modified(service: QueryService, graph: str) -> int | None:
    """Give when *graph* last changed, by the entries that touched it; for "", when anything that is shown did."""
    if not graph:
        shown = service.current.modified
        return shown if 0 < shown < int(time.time()) else None
    found = await read_history(service, graph)
    return found[-1].time if found else None
