"""``/ldes``: every change of every record as an event stream that clients replicate and then follow.

Sources: https://w3id.org/ldes/specification (1.0) and https://w3id.org/tree/specification.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
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

# Members are named graphs, so only formats with graph names fit.
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
    routes, fragments = APIRouter(), _Fragments(service)

    async def stream(request: Request) -> Response:
        event_stream = fragments.stream(request)
        views = (f"{event_stream.host}/ldes/time", f"{event_stream.host}/ldes/latest")
        return await _respond(request, [*event_stream.described(*views), *event_stream.latest(views[1])])

    async def shape(request: Request) -> Response:
        return await _respond(request, fragments.stream(request).shape())

    async def time(request: Request) -> Response:
        spans = (month(name) for name in months(await fragments.days()))
        relations = (Relation(f"/ldes/time/{span.name}", span.begin, span.end) for span in spans)
        return await fragments.respond(request, "/ldes/time", relations)

    async def by_month(request: Request) -> Response:
        return await fragments.month(request, request.path_params["month"])

    async def page(request: Request) -> Response:
        return await fragments.page(request, request.path_params["day"], request.path_params["page"])

    async def latest(request: Request) -> Response:
        return await fragments.latest(request, request.path_params.get("after", ""), request.query_params.get("entry", ""))

    async def version(request: Request) -> Response:
        _, entry, *record = path_segments(request) + [""] * 2  # missing segments are empty
        return await fragments.version(request, "/".join(record[:-2]), entry)

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


class _Fragments:
    """The responses with the fragments of the stream, from the history of *service*."""

    def __init__(self, service: QueryService) -> None:
        self._service = service

    def stream(self, request: Request) -> Stream:
        return Stream(self._service.iris.base, origin(request))

    async def days(self) -> list[Day]:
        """Return the days with changes."""
        horizon = await wait_until_current(self._service)

        def read() -> list[tuple[int, int]]:
            with change_reader.open_log(self._service.history) as file:
                return change_reader.days(file, horizon.entry) if file else []

        return days(await asyncio.to_thread(read))

    async def month(self, request: Request, name: str) -> Response:
        """Return the fragment of a month, which links its days."""
        known = months(await self.days())
        if name not in known:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"Nothing changed in {name}")
        spans = (day.span for day in known[name])
        relations = (Relation(f"/ldes/time/{span.name}/1", span.begin, span.end) for span in spans)
        return await self.respond(request, f"/ldes/time/{name}", relations, closed=name != list(known)[-1])

    async def page(self, request: Request, name: str, number_text: str) -> Response:
        """Return a page of the changes of a day."""
        day = next((day for day in await self.days() if day.span.name == name), None)
        if day is None or not _NUMBER.match(number_text) or int(number_text) > day.pages:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"The stream has no page {name}/{number_text}")
        number = int(number_text)
        after, last = day.page(number)
        changes = await asyncio.to_thread(self._changes, after, last, None)
        least = changes[-1].stamp if changes else day.span.begin
        onward = [Relation(f"/ldes/time/{name}/{number + 1}", least, day.span.end)] if number < day.pages else []
        return await self.respond(request, f"/ldes/time/{name}/{number}", onward, changes, closed=day.closed(number))

    async def latest(self, request: Request, after: str, entry: str) -> Response:
        """Return a page of the latest versions: those after the change numbered *after*, linked when *entry* was the newest."""
        if after and not _NUMBER.match(after):
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "A page of the latest versions is /ldes/latest or one that such a page links")
        horizon = await wait_until_current(self._service)
        if _NUMBER.match(entry) and int(entry) > horizon.entry:  # another publisher, which is ahead, has linked this page
            raise NotReady(f"the page before was of journal entry {entry}, this copy is only at {horizon.entry}; ask again in a moment")
        changes = await asyncio.to_thread(self._changes, int(after or 0), horizon.place, horizon.place)
        is_full = len(changes) == PAGE_SIZE
        onward = [Relation(f"/ldes/latest/{changes[-1].number}?entry={horizon.entry}", changes[-1].stamp)] if is_full else []
        path = "/ldes/latest" + (f"/{after}" if after else "") + (f"?entry={entry}" if _NUMBER.match(entry) else "")
        more = self.stream(request).latest(f"{origin(request)}{path}")
        return await self.respond(request, path, onward, changes, more=more)

    async def version(self, request: Request, record: str, entry: str) -> Response:
        """Return the version of a record that *entry* wrote."""
        horizon = await wait_until_current(self._service)
        change = await asyncio.to_thread(self._change, record, entry, horizon.place)
        if change is None:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "There is no such version; the pages of /ldes name them")
        (state,) = await read_states(self._service, [change])
        return await _respond(request, self.stream(request).member(change, state), _FOR_EVER)

    async def respond(
        self,
        request: Request,
        path: str,
        relations: Iterable[Relation],
        changes: Sequence[change_reader.Change] = (),
        closed: bool = False,
        more: Iterable[str] = (),
    ) -> Response:
        """Return the fragment at *path* with *relations* to others and *changes* as members; a *closed* one never changes."""
        event_stream, states = self.stream(request), await read_states(self._service, list(changes))
        members = (line for change, state in zip(changes, states, strict=True) for line in event_stream.member(change, state))
        description = event_stream.described(event_stream.host + path)
        statements = [*description, *event_stream.node(path, iter(relations)), *more, *members]
        return await _respond(request, statements, _FOR_EVER if closed else _SOON)

    def _changes(self, after: int, last: int, latest: int | None) -> list[change_reader.Change]:
        with change_reader.open_log(self._service.history) as file:
            return change_reader.changes(file, change_reader.ALL, after, last, PAGE_SIZE, latest) if file else []

    def _change(self, name: str, entry: str, upto: int) -> change_reader.Change | None:
        with change_reader.open_log(self._service.history) as file:
            return change_reader.change_at(file, name, int(entry), upto) if file and _NUMBER.match(entry) else None


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
