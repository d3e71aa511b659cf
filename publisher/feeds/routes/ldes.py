"""``/ldes``: every change of every record as an event stream that clients replicate and then follow.

Sources: https://w3id.org/ldes/specification (1.0) and https://w3id.org/tree/specification.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus

from fastapi import APIRouter
from pyoxigraph import RdfFormat, parse, serialize
from starlette.requests import Request
from starlette.responses import Response

from publisher.errors import NotReady
from publisher.feeds.ldes.fragments import PAGE_SIZE, Day, days, month, months
from publisher.feeds.ldes.tree import LDES, STREAMS, TREE, Relation, Stream
from publisher.formats import GraphFormat
from publisher.history import change_reader
from publisher.history.record_states import read_states, wait_until_current
from publisher.http.links import origin
from publisher.http.negotiation import best_match
from publisher.http.paths import path_segments
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, build_response
from publisher.pages.templating import Pages
from publisher.store.query_service import QueryService
from publisher.store.workers.reader import PREFIXES
from vocab.terms import SH

# Graphs in which members stand need a form that can name graphs.
_FORMS = {
    "trig": GraphFormat("trig", "TriG", "application/trig", (), RdfFormat.TRIG),
    "nq": GraphFormat("nq", "N-Quads", "application/n-quads", (), RdfFormat.N_QUADS),
    "jsonld": GraphFormat("jsonld", "JSON-LD", "application/ld+json", ("application/json",), RdfFormat.JSON_LD),
}
_FOR_EVER = "public, max-age=31536000, immutable"
_SOON = "public, max-age=0, must-revalidate"  # a page that still grows
_PREFIXES = {**PREFIXES, "ldes": LDES, "tree": TREE, "as": STREAMS, "sh": SH}
_NUMBER = re.compile(r"[1-9]\d{0,8}\Z", re.ASCII)


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/ldes``."""
    routes = APIRouter()

    async def stream(request: Request) -> Response:
        event_stream = _stream(request)
        views = (f"{event_stream.host}/ldes/time", f"{event_stream.host}/ldes/latest")
        return await _respond(request, [*event_stream.described(*views), *event_stream.latest(views[1])])

    async def shape(request: Request) -> Response:
        return await _respond(request, _stream(request).shape())

    async def time(request: Request) -> Response:
        spans = (month(name) for name in months(await _days()))
        return await _node(request, "/ldes/time", (Relation(f"/ldes/time/{span.name}", span.begin, span.end) for span in spans))

    async def by_month(request: Request) -> Response:
        name, known = request.path_params["month"], months(await _days())
        if name not in known:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"Nothing changed in {name}")
        spans = (day.span for day in known[name])
        relations = (Relation(f"/ldes/time/{span.name}/1", span.begin, span.end) for span in spans)
        return await _node(request, f"/ldes/time/{name}", relations, closed=name != list(known)[-1])

    async def page(request: Request) -> Response:
        name, number = request.path_params["day"], request.path_params["page"]
        day = next((day for day in await _days() if day.span.name == name), None)
        if day is None or not _NUMBER.match(number) or int(number) > day.pages:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"The stream has no page {name}/{number}")
        return await _page(request, day, int(number))

    async def _page(request: Request, day: Day, number: int) -> Response:
        after, last = day.page(number)
        page_changes = await asyncio.to_thread(_changes, after, last, None)
        least = page_changes[-1].stamp if page_changes else day.span.begin
        onward = [Relation(f"/ldes/time/{day.span.name}/{number + 1}", least, day.span.end)] if number < day.pages else []
        path = f"/ldes/time/{day.span.name}/{number}"
        return await _node(request, path, iter(onward), page_changes, closed=day.closed(number))

    async def latest(request: Request) -> Response:
        text = request.path_params.get("after", "")
        if text and not _NUMBER.match(text):
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "A page of the latest versions is /ldes/latest or one that such a page links")
        horizon, least = await wait_until_current(service), request.query_params.get("entry", "")
        if _NUMBER.match(least) and int(least) > horizon.entry:  # another publisher, which is ahead, has linked this page
            raise NotReady(f"the page before was of journal entry {least}, this copy is only at {horizon.entry}; ask again in a moment")
        page_changes = await asyncio.to_thread(_changes, int(text or 0), horizon.place, horizon.place)
        onward = (
            [Relation(f"/ldes/latest/{page_changes[-1].number}?entry={horizon.entry}", page_changes[-1].stamp)]
            if len(page_changes) == PAGE_SIZE
            else []
        )
        path = "/ldes/latest" + (f"/{text}" if text else "") + (f"?entry={least}" if _NUMBER.match(least) else "")
        return await _node(request, path, iter(onward), page_changes, more=_stream(request).latest(f"{origin(request)}{path}"))

    async def version(request: Request) -> Response:
        _, entry, *record = path_segments(request) + [""] * 2  # of an address that is too short, what is missing is empty
        horizon = await wait_until_current(service)
        page_changes = await asyncio.to_thread(_one, "/".join(record[:-2]), entry, horizon.place)
        if page_changes is None:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "There is no such version; the pages of /ldes name them")
        (state,) = await read_states(service, [page_changes])
        return await _respond(request, _stream(request).member(page_changes, state), _FOR_EVER)

    async def _node(
        request: Request,
        path: str,
        relations: Iterator[Relation],
        page_changes: list[change_reader.Change] | None = None,
        closed: bool = False,
        more: Iterable[str] = (),
    ) -> Response:
        event_stream, record_states = _stream(request), await read_states(service, page_changes or [])
        members = (
            line for change, state in zip(page_changes or [], record_states, strict=True) for line in event_stream.member(change, state)
        )
        statements = [*event_stream.described(event_stream.host + path), *event_stream.node(path, relations), *more, *members]
        return await _respond(request, statements, _FOR_EVER if closed else _SOON)

    async def _days() -> list[Day]:
        horizon = await wait_until_current(service)

        def read() -> list[tuple[int, int]]:
            with change_reader.open_log(service.history) as file:
                return change_reader.days(file, horizon.entry) if file else []

        return days(await asyncio.to_thread(read))

    def _changes(after: int, last: int, latest: int | None) -> list[change_reader.Change]:
        with change_reader.open_log(service.history) as file:
            return change_reader.changes(file, change_reader.ALL, after, last, PAGE_SIZE, latest) if file else []

    def _one(name: str, entry: str, upto: int) -> change_reader.Change | None:
        with change_reader.open_log(service.history) as file:
            return change_reader.change_at(file, name, int(entry), upto) if file and _NUMBER.match(entry) else None

    def _stream(request: Request) -> Stream:
        return Stream(service.iris.base, origin(request))

    for path, endpoint in (
        ("/ldes", stream),
        ("/ldes/shape", shape),
        ("/ldes/time", time),
        ("/ldes/time/{month}", by_month),
        ("/ldes/time/{day}/{page}", page),
        ("/ldes/latest", latest),
        ("/ldes/latest/{after}", latest),
        ("/ldes/version/{rest:path}", version),
    ):
        routes.add_route(path, endpoint, methods=["GET", "HEAD"])
    return routes


async def _respond(request: Request, lines: Iterable[str], cache: str = _SOON) -> Response:
    named = request.query_params.get("format")
    chosen_format = _FORMS.get(named) if named else best_match(request.headers.get("accept"), _FORMS.values())
    if chosen_format is None:
        available = ", ".join(graph_format.media for graph_format in _FORMS.values())
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE, f"No available format matches your Accept header. Available: {available}", {"Vary": "Accept"}
        )
    body = await asyncio.to_thread(_serialize, "".join(f"{line}\n" for line in lines).encode(), chosen_format)
    return build_response(request, Representation(body, chosen_format.media, negotiated=named is None, headers={"Cache-Control": cache}))


def _serialize(quads: bytes, chosen_format: GraphFormat) -> bytes:
    if chosen_format.writer == RdfFormat.N_QUADS:
        return quads
    return serialize(parse(quads, RdfFormat.N_QUADS, lenient=True), format=chosen_format.writer, prefixes=_PREFIXES) or b""
