"""``/ldes``: every change of every record as an event stream that clients replicate and then
follow.

A member is a version of a record. Statements about the version are in the default graph; the
content of the record's graph after that entry is in a graph named after the version. Pages are
fragments by month, day and number. All except the last of each kind are closed: nothing is added to
them, since the times of entries never decrease. They are the same in every copy of the journal.

Sources: https://w3id.org/ldes/specification (1.0) and https://w3id.org/tree/specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pyoxigraph import RdfFormat, Triple, parse, serialize
from starlette.requests import Request
from starlette.responses import Response

from publisher.errors import NotReady
from publisher.feeds.records import ChangesDep, instant, period
from publisher.history.change_reader import ALL, Change, ChangeType
from publisher.rdf import PREFIXES, text_term, to_node, typed_term
from publisher.store.descriptions import Node, node_statements
from vocab.terms import DCT, PROV, RDF, SCHEMA, SH, XSD
from web.endpoints import contents, format_parameter, get, problems
from web.respond import (
    IMMUTABLE,
    GraphFormat,
    choose_format,
    origin,
    path_segments,
    require,
    respond,
)

LDES = "https://w3id.org/ldes#"
TREE = "https://w3id.org/tree#"
STREAMS = "https://www.w3.org/ns/activitystreams#"
PAGE_SIZE = 250  # members on a page, some 2 MB of TriG
_TIME = f"{PROV}generatedAtTime"
_ACTIVITY_TYPES = {
    ChangeType.NEW: f"{STREAMS}Create",
    ChangeType.CHANGED: f"{STREAMS}Update",
    ChangeType.DELETED: f"{STREAMS}Delete",
}
# Members are named graphs, so only formats with graph names fit.
_FORMATS = {
    "trig": GraphFormat("trig", "TriG", "application/trig", (), RdfFormat.TRIG),
    "nq": GraphFormat("nq", "N-Quads", "application/n-quads", (), RdfFormat.N_QUADS),
    "jsonld": GraphFormat(
        "jsonld", "JSON-LD", "application/ld+json", ("application/json",), RdfFormat.JSON_LD
    ),
}
_SOON = "public, max-age=0, must-revalidate"  # of a page that is not closed
_PREFIXES = {**PREFIXES, "ldes": LDES, "tree": TREE, "as": STREAMS, "sh": SH}
_NUMBER = re.compile(r"[1-9]\d{0,8}\Z", re.ASCII)


EntryNumber = Annotated[
    str,
    Query(description="The journal entry that was newest when the link to this page was written"),
]

router = APIRouter()
_DOCUMENTATION: dict[str, Any] = {
    "tags": ["watch"],
    "response_class": Response,
    "responses": contents(*(graph_format.media for graph_format in _FORMATS.values()))
    | problems(404, 406, 503),
}


# A link to the fragment at a path, whose members' times are at least the first number and below the
# second (None: no upper limit), in seconds since 1970.
Relation = tuple[str, int, int | None]


class EventStream:
    """The stream as responses to *request* in its format."""

    def __init__(
        self,
        request: Request,
        changes: ChangesDep,
        format: Annotated[str | None, format_parameter(_FORMATS)] = None,
    ) -> None:
        self._request, self._format, self.changes = request, format, changes
        self.host, self.base = origin(request), changes.iris.base
        self.iri, self.shape = f"{self.base}ldes", f"{self.host}/ldes/shape"

    def days(self) -> dict[str, tuple[int, int]]:
        """Return the days with changes, such as ``2026-03-02``, each with the numbers of the last
        change before it and of its own last.
        """
        rows = self.changes.history.days(self.changes.watermark.entry)
        pairs = pairwise([0, *(last for _, last in rows)])
        return {
            instant(day * 86_400)[:10]: pair for (day, _), pair in zip(rows, pairs, strict=True)
        }

    def description(self, *views: str) -> Node:
        """Describe the stream; *views* are the URLs of root nodes, or of the node that contains
        this description.
        """
        node = {
            "@id": self.iri,
            "rdf:type": [f"{LDES}EventStream", f"{TREE}Collection"],
            "dct:title": text_term("WSIS Stocktaking: every change of every record", "en"),
            f"{TREE}view": views,
            f"{TREE}shape": {"@id": self.shape, "rdf:type": f"{SH}NodeShape"},
            f"{LDES}timestampPath": _TIME,
            f"{LDES}versionOfPath": f"{DCT}isVersionOf",
            f"{LDES}sequencePath": f"{SCHEMA}position",
        }
        for kind in ("Create", "Update", "Delete"):
            node[f"{LDES}version{kind}Path"] = f"{RDF}type"
            node[f"{LDES}version{kind}Object"] = STREAMS + kind
        return node

    def fragment(
        self,
        path: str,
        relations: Iterable[Relation],
        changes: Sequence[Change] = (),
        is_closed: bool = False,
        *more: Node,
    ) -> Response:
        """Return the fragment at *path* with *relations* to others and *changes* as members; a
        closed one never changes.
        """
        url = self.host + path
        links = [
            {
                "@id": f"{url}#{kind}-{number}",
                "rdf:type": TREE + kind,
                f"{TREE}node": self.host + target,
                f"{TREE}path": _TIME,
                f"{TREE}value": typed_term(instant(bound), "dateTime"),
            }
            for number, (target, since, until) in enumerate(relations, 1)
            for kind, bound in (
                ("GreaterThanOrEqualToRelation", since),
                ("LessThanRelation", until),
            )
            if bound is not None
        ]
        node = {"@id": url, "rdf:type": f"{TREE}Node", f"{TREE}relation": links}
        nodes = (self.description(url), node, *more)
        cache = IMMUTABLE if is_closed else _SOON
        return self.respond(nodes, changes, cache)

    def respond(
        self, nodes: Iterable[Node], changes: Sequence[Change] = (), cache: str = _SOON
    ) -> Response:
        """Return *nodes* and the versions after *changes* in the negotiated format."""
        chosen_format = choose_format(self._request, _FORMATS, self._format)
        described = (
            f"<{statement.subject}> <{statement.predicate}> {to_node(statement.object)} ."
            for node in nodes
            for statement in node_statements(node)
        )
        states = self.changes.states(changes)
        members = (line for state in states for line in self._member(*state))
        data = "".join(f"{line}\n" for lines in (described, members) for line in lines).encode()
        if chosen_format.writer != RdfFormat.N_QUADS:
            quads = parse(data, RdfFormat.N_QUADS, lenient=True)
            data = serialize(quads, format=chosen_format.writer, prefixes=_PREFIXES) or b""
        headers = {"Cache-Control": cache}
        return respond(self._request, data, chosen_format, headers=headers)

    def _member(self, change: Change, triples: Iterable[Triple]) -> Iterator[str]:
        """Write a version of a record in N-Quads."""
        version = f"<{self.base}ldes/version/{change.entry}/{change.name}>"
        yield f"<{self.iri}> <{TREE}member> {version} ."
        yield f"{version} <{RDF}type> <{_ACTIVITY_TYPES[change.change_type]}> ."
        yield f"{version} <{DCT}isVersionOf> <{self.base}{change.graph}> ."
        yield f'{version} <{_TIME}> "{instant(change.stamp)}"^^<{XSD}dateTime> .'
        yield f'{version} <{SCHEMA}position> "{change.number}"^^<{XSD}integer> .'
        yield from (f"{triple} {version} ." for triple in triples)


Stream = Annotated[EventStream, Depends(EventStream)]


@get(
    router,
    "/ldes",
    operation_id="ldes",
    summary="Describe the event stream of all versions of records",
    **_DOCUMENTATION,
)
def stream(stream: Stream) -> Response:
    """Two views lead to its members: `/ldes/time`, all versions by time, and `/ldes/latest`, only
    the latest of each record.
    """
    views = (f"{stream.host}/ldes/time", f"{stream.host}/ldes/latest")
    return stream.respond([stream.description(*views), _latest_view(views[1])])


@get(
    router,
    "/ldes/shape",
    operation_id="ldesShape",
    summary="Return the SHACL shape of the members",
    **_DOCUMENTATION,
)
def shape(stream: Stream) -> Response:
    """Each member of the stream conforms to this shape."""
    one = typed_term(1, "integer")
    properties = (
        (f"{DCT}isVersionOf", "nodeKind", f"{SH}IRI"),
        (_TIME, "datatype", f"{XSD}dateTime"),
        (f"{SCHEMA}position", "datatype", f"{XSD}integer"),
    )
    node = {
        "@id": stream.shape,
        "rdf:type": f"{SH}NodeShape",
        "sh:property": [
            {
                "@id": f"{stream.shape}#property-{number}",
                "sh:path": path,
                f"{SH}{kind}": value,
                "sh:minCount": one,
                "sh:maxCount": one,
            }
            for number, (path, kind, value) in enumerate(properties, 1)
        ],
    }
    return stream.respond([node])


@get(
    router,
    "/ldes/time",
    operation_id="ldesTime",
    summary="List the months with changes",
    **_DOCUMENTATION,
)
def time(stream: Stream) -> Response:
    """The root of the view by time."""
    months = dict.fromkeys(name[:7] for name in stream.days())
    return stream.fragment(
        "/ldes/time", ((f"/ldes/time/{name}", *_period(name)) for name in months)
    )


@get(
    router,
    "/ldes/time/{month}",
    operation_id="ldesMonth",
    summary="List the days of a month with changes",
    **_DOCUMENTATION,
)
def days_of_month(
    stream: Stream, month: Annotated[str, Path(description="The month", examples=["2026-03"])]
) -> Response:
    """A past month never changes."""
    days = list(stream.days())
    names = [name for name in days if name[:7] == month]
    require(bool(names), f"There are no changes in {month}")
    relations = ((f"/ldes/time/{name}/1", *_period(name)) for name in names)
    return stream.fragment(f"/ldes/time/{month}", relations, is_closed=names[-1] != days[-1])


@get(
    router,
    "/ldes/time/{day}/{page}",
    operation_id="ldesPage",
    summary="Return the versions of a day",
    **_DOCUMENTATION,
)
def page_of_day(
    stream: Stream,
    day: Annotated[str, Path(description="The day", examples=["2026-03-02"])],
    page: Annotated[str, Path(description="The page of the day, from 1")],
) -> Response:
    """A full page never changes."""
    days = stream.days()
    first, last = days.get(day, (0, 0))
    # A full page is always followed by another, which may be empty.
    pages = (last - first) // PAGE_SIZE + 1
    require(
        day in days and bool(_NUMBER.match(page)) and int(page) <= pages,
        f"The stream has no page {day}/{page}",
    )
    number, (begin, end) = int(page), _period(day)
    after = first + (number - 1) * PAGE_SIZE
    changes = stream.changes.history.changes(ALL, after, min(after + PAGE_SIZE, last), PAGE_SIZE)
    since = changes[-1].stamp if changes else begin
    relations = [(f"/ldes/time/{day}/{number + 1}", since, end)] if number < pages else []
    is_closed = number < pages or day != list(days)[-1]
    return stream.fragment(f"/ldes/time/{day}/{number}", relations, changes, is_closed)


@get(
    router,
    "/ldes/latest",
    operation_id="ldesLatest",
    summary="Return the latest version of each record",
    **_DOCUMENTATION,
)
def latest(stream: Stream, entry: EntryNumber = "") -> Response:
    """The first page; each page links the next."""
    return _latest(stream, "", entry)


@get(
    router,
    "/ldes/latest/{after}",
    operation_id="ldesLatestPage",
    summary="Return a further page of the latest versions",
    **_DOCUMENTATION,
)
def latest_page(
    stream: Stream,
    after: Annotated[str, Path(description="The number of the change after which the page begins")],
    entry: EntryNumber = "",
) -> Response:
    """A copy of the data that is behind *entry* answers 503, so that a reader of several copies
    misses no version.
    """
    return _latest(stream, after, entry)


def _latest(stream: EventStream, after: str, entry: str) -> Response:
    require(
        not after or bool(_NUMBER.match(after)),
        "A page of the latest versions is /ldes/latest or one that such a page links",
    )
    changes, linked = stream.changes, entry if _NUMBER.match(entry) else ""
    # Another publisher, which is ahead of this one, linked this page.
    newest, upto = changes.watermark.entry, changes.watermark.sequence
    if linked and int(linked) > newest:
        raise NotReady(
            f"the previous page was of journal entry {entry}, but this copy is only at {newest}; try again in a moment"
        )
    page = changes.history.changes(ALL, int(after or 0), upto, PAGE_SIZE, upto)
    path = "/ldes/latest" + (f"/{after}" if after else "") + (f"?entry={linked}" if linked else "")
    relations: list[Relation] = [
        (f"/ldes/latest/{change.number}?entry={newest}", change.stamp, None)
        for change in page[PAGE_SIZE - 1 :]
    ]
    return stream.fragment(path, relations, page, False, _latest_view(stream.host + path))


def _latest_view(view: str) -> Node:
    one = typed_term(1, "integer")
    policy = {
        "@id": f"{view}#policy",
        "rdf:type": f"{LDES}LatestVersionSubset",
        f"{LDES}amount": one,
        f"{LDES}versionAmount": one,
    }
    return {"@id": view, f"{LDES}retentionPolicy": policy}


@get(
    router,
    "/ldes/version/{rest:path}",
    operation_id="ldesVersion",
    summary="Return one version of a record",
    **_DOCUMENTATION,
)
def version(
    request: Request,
    stream: Stream,
    rest: Annotated[
        str, Path(description="A journal entry, a registry and a key, from the IRI of a version")
    ],
) -> Response:
    """A version never changes."""
    _, entry, *names = [*path_segments(request), ""]  # a missing entry is empty
    name, upto = "/".join(names[:-1]), stream.changes.watermark.sequence
    change = require(
        stream.changes.history.latest_change(name, upto, int(entry))
        if _NUMBER.match(entry)
        else None,
        "There is no such version; the pages of /ldes name them",
    )
    return stream.respond((), [change], IMMUTABLE)


def _period(name: str) -> tuple[int, int]:
    """Return the begin and the end of a month or a day, in seconds since 1970."""
    begin, end = period(name)
    return int(begin.timestamp()), int(end.timestamp())
