"""``/ldes``: every change of every record as an event stream that clients replicate and then
follow.

Sources: https://w3id.org/ldes/specification (1.0) and https://w3id.org/tree/specification.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pyoxigraph import RdfFormat, parse, serialize
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import ServiceDep
from publisher.errors import NotReady
from publisher.feeds.ldes.fragments import PAGE_SIZE, Day, days, month, months
from publisher.feeds.ldes.tree import LDES, STREAMS, TREE, Relation, Stream
from publisher.history import change_reader
from publisher.history.record_states import read_states
from publisher.store.query_service import QueryService
from publisher.store.workers.results import PREFIXES
from vocab.terms import SH
from web.endpoints import contents, format_parameter, get, problems
from web.formats import GraphFormat
from web.links import origin
from web.negotiation import best_match
from web.paths import path_segments
from web.problems import HTTPProblem
from web.representation import Representation, build_response

# Members are named graphs, so only formats with graph names fit.
_FORMATS = {
    "trig": GraphFormat("trig", "TriG", "application/trig", (), RdfFormat.TRIG),
    "nq": GraphFormat("nq", "N-Quads", "application/n-quads", (), RdfFormat.N_QUADS),
    "jsonld": GraphFormat(
        "jsonld", "JSON-LD", "application/ld+json", ("application/json",), RdfFormat.JSON_LD
    ),
}
_FOR_EVER = "public, max-age=31536000, immutable"
_SOON = "public, max-age=0, must-revalidate"  # of a page that is not closed
_PREFIXES = {**PREFIXES, "ldes": LDES, "tree": TREE, "as": STREAMS, "sh": SH}
_NUMBER = re.compile(r"[1-9]\d{0,8}\Z", re.ASCII)


FormatName = Annotated[str | None, format_parameter(_FORMATS)]
MonthName = Annotated[str, Path(description="The month", examples=["2026-03"])]
DayName = Annotated[str, Path(description="The day", examples=["2026-03-02"])]
PageNumber = Annotated[str, Path(description="The page of the day, from 1")]
After = Annotated[str, Path(description="The number of the change after which the page begins")]
EntryNumber = Annotated[
    str,
    Query(description="The journal entry that was newest when the link to this page was written"),
]
VersionPath = Annotated[
    str, Path(description="A journal entry, a registry and a key, from the IRI of a version")
]

router = APIRouter()
_DOCUMENTATION: dict[str, Any] = {
    "tags": ["watch"],
    "response_class": Response,
    "responses": contents(*(graph_format.media for graph_format in _FORMATS.values()))
    | problems(404, 406, 503),
}


class FragmentBuilder:
    """The fragments of the stream, from the change history, as responses to *request*.

    *format_name*: the requested format; None: the Accept header decides.
    """

    def __init__(self, request: Request, service: QueryService, format_name: str | None) -> None:
        self._request, self._service, self._format = request, service, format_name
        self.stream = Stream(service.iris.base, origin(request))

    async def days(self) -> list[Day]:
        """Return the days with changes."""
        horizon = await asyncio.to_thread(change_reader.read_watermark, self._service)
        history = change_reader.open_history(self._service)
        return days(await asyncio.to_thread(history.days, horizon.entry))

    async def month(self, name: str) -> Response:
        """Return the fragment of a month, which links its days."""
        known = months(await self.days())
        if name not in known:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"There are no changes in {name}")
        spans = (day.span for day in known[name])
        relations = (Relation(f"/ldes/time/{span.name}/1", span.begin, span.end) for span in spans)
        return await self.fragment(f"/ldes/time/{name}", relations, closed=name != list(known)[-1])

    async def page(self, name: str, number_text: str) -> Response:
        """Return a page of the changes of a day."""
        day = next((day for day in await self.days() if day.span.name == name), None)
        if day is None or not _NUMBER.match(number_text) or int(number_text) > day.pages:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"The stream has no page {name}/{number_text}")
        number = int(number_text)
        after, last = day.page(number)
        changes = await asyncio.to_thread(self._changes, after, last, None)
        least = changes[-1].stamp if changes else day.span.begin
        onward = (
            [Relation(f"/ldes/time/{name}/{number + 1}", least, day.span.end)]
            if number < day.pages
            else []
        )
        return await self.fragment(
            f"/ldes/time/{name}/{number}", onward, changes, closed=day.closed(number)
        )

    async def latest(self, after: str, entry: str) -> Response:
        """Return a page of the latest versions: those after the change numbered *after*, linked
        when *entry* was the newest.
        """
        if after and not _NUMBER.match(after):
            raise HTTPProblem(
                HTTPStatus.NOT_FOUND,
                "A page of the latest versions is /ldes/latest or one that such a page links",
            )
        horizon = await asyncio.to_thread(change_reader.read_watermark, self._service)
        # another publisher, which is ahead of this one, linked this page
        if _NUMBER.match(entry) and int(entry) > horizon.entry:
            raise NotReady(
                f"the page before was of journal entry {entry}, this copy is only at {horizon.entry}; ask again in a moment"
            )
        changes = await asyncio.to_thread(
            self._changes, int(after or 0), horizon.sequence, horizon.sequence
        )
        is_full = len(changes) == PAGE_SIZE
        onward = (
            [
                Relation(
                    f"/ldes/latest/{changes[-1].number}?entry={horizon.entry}", changes[-1].stamp
                )
            ]
            if is_full
            else []
        )
        path = (
            "/ldes/latest"
            + (f"/{after}" if after else "")
            + (f"?entry={entry}" if _NUMBER.match(entry) else "")
        )
        return await self.fragment(
            path, onward, changes, more=self.stream.latest(f"{self.stream.host}{path}")
        )

    async def version(self, record: str, entry: str) -> Response:
        """Return the version of a record that *entry* wrote."""
        horizon = await asyncio.to_thread(change_reader.read_watermark, self._service)
        change = await asyncio.to_thread(self._change, record, entry, horizon.sequence)
        if change is None:
            raise HTTPProblem(
                HTTPStatus.NOT_FOUND, "There is no such version; the pages of /ldes name them"
            )
        (state,) = await read_states(self._service, [change])
        return await self.respond(self.stream.member(change, state), _FOR_EVER)

    async def fragment(
        self,
        path: str,
        relations: Iterable[Relation],
        changes: Sequence[change_reader.Change] = (),
        closed: bool = False,
        more: Iterable[str] = (),
    ) -> Response:
        """Return the fragment at *path* with *relations* to others and *changes* as members; a
        *closed* one never changes.
        """
        states = await read_states(self._service, list(changes))
        members = (
            line
            for change, state in zip(changes, states, strict=True)
            for line in self.stream.member(change, state)
        )
        description = self.stream.described(self.stream.host + path)
        statements = [*description, *self.stream.node(path, iter(relations)), *more, *members]
        return await self.respond(statements, _FOR_EVER if closed else _SOON)

    async def respond(self, lines: Iterable[str], cache: str = _SOON) -> Response:
        """Return the quads *lines* in the negotiated format."""
        accept = self._request.headers.get("accept")
        chosen_format = (
            _FORMATS.get(self._format) if self._format else best_match(accept, _FORMATS.values())
        )
        if chosen_format is None:
            available = ", ".join(graph_format.media for graph_format in _FORMATS.values())
            raise HTTPProblem(
                HTTPStatus.NOT_ACCEPTABLE,
                f"No available format matches your Accept header. Available: {available}",
                {"Vary": "Accept"},
            )
        body = await asyncio.to_thread(
            _serialize, "".join(f"{line}\n" for line in lines).encode(), chosen_format
        )
        negotiated, headers = self._format is None, {"Cache-Control": cache}
        return build_response(
            self._request,
            Representation(body, chosen_format.media, negotiated=negotiated, headers=headers),
        )

    def _changes(self, after: int, last: int, latest: int | None) -> list[change_reader.Change]:
        history = change_reader.open_history(self._service)
        return history.changes(change_reader.ALL, after, last, PAGE_SIZE, latest)

    def _change(self, name: str, entry: str, upto: int) -> change_reader.Change | None:
        history = change_reader.open_history(self._service)
        return history.latest_change(name, upto, int(entry)) if _NUMBER.match(entry) else None


async def get_fragments(
    request: Request, service: ServiceDep, format: FormatName = None
) -> FragmentBuilder:
    """Return the builder of the requested fragments."""
    return FragmentBuilder(request, service, format)


Fragments = Annotated[FragmentBuilder, Depends(get_fragments)]


@get(
    router,
    "/ldes",
    operation_id="ldes",
    summary="Describe the event stream of all versions of records",
    **_DOCUMENTATION,
)
async def stream(fragments: Fragments) -> Response:
    """Two views lead to its members: `/ldes/time`, all versions by time, and `/ldes/latest`, only
    the latest of each record.
    """
    host = fragments.stream.host
    views = (f"{host}/ldes/time", f"{host}/ldes/latest")
    return await fragments.respond(
        [*fragments.stream.described(*views), *fragments.stream.latest(views[1])]
    )


@get(
    router,
    "/ldes/shape",
    operation_id="ldesShape",
    summary="Return the SHACL shape of the members",
    **_DOCUMENTATION,
)
async def shape(fragments: Fragments) -> Response:
    """Each member of the stream conforms to this shape."""
    return await fragments.respond(fragments.stream.shape())


@get(
    router,
    "/ldes/time",
    operation_id="ldesTime",
    summary="List the months with changes",
    **_DOCUMENTATION,
)
async def time(fragments: Fragments) -> Response:
    """The root of the view by time."""
    spans = (month(name) for name in months(await fragments.days()))
    return await fragments.fragment(
        "/ldes/time", (Relation(f"/ldes/time/{span.name}", span.begin, span.end) for span in spans)
    )


@get(
    router,
    "/ldes/time/{month}",
    operation_id="ldesMonth",
    summary="List the days of a month with changes",
    **_DOCUMENTATION,
)
async def days_of_month(fragments: Fragments, month: MonthName) -> Response:
    """A past month never changes."""
    return await fragments.month(month)


@get(
    router,
    "/ldes/time/{day}/{page}",
    operation_id="ldesPage",
    summary="Return the versions of a day",
    **_DOCUMENTATION,
)
async def page_of_day(fragments: Fragments, day: DayName, page: PageNumber) -> Response:
    """A full page never changes."""
    return await fragments.page(day, page)


@get(
    router,
    "/ldes/latest",
    operation_id="ldesLatest",
    summary="Return the latest version of each record",
    **_DOCUMENTATION,
)
async def latest(fragments: Fragments, entry: EntryNumber = "") -> Response:
    """The first page; each page links the next."""
    return await fragments.latest("", entry)


@get(
    router,
    "/ldes/latest/{after}",
    operation_id="ldesLatestPage",
    summary="Return a further page of the latest versions",
    **_DOCUMENTATION,
)
async def latest_page(fragments: Fragments, after: After, entry: EntryNumber = "") -> Response:
    """A copy of the data that is behind *entry* answers 503, so that a reader of several copies
    misses no version.
    """
    return await fragments.latest(after, entry)


@get(
    router,
    "/ldes/version/{rest:path}",
    operation_id="ldesVersion",
    summary="Return one version of a record",
    **_DOCUMENTATION,
)
async def version(request: Request, fragments: Fragments, rest: VersionPath) -> Response:
    """A version never changes."""
    _, entry, *record = path_segments(request) + [""] * 2  # missing segments are empty
    return await fragments.version("/".join(record[:-2]), entry)


def _serialize(quads: bytes, chosen_format: GraphFormat) -> bytes:
    if chosen_format.writer == RdfFormat.N_QUADS:
        return quads
    return (
        serialize(
            parse(quads, RdfFormat.N_QUADS, lenient=True),
            format=chosen_format.writer,
            prefixes=_PREFIXES,
        )
        or b""
    )
