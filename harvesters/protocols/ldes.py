"""Replicate a linked data event stream to the latest version of each entity, later follow its changes.

Source: https://w3id.org/ldes/specification (1.0), https://w3id.org/tree/specification
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urldefrag, urlsplit

import structlog
from pyoxigraph import Literal, NamedNode, RdfFormat, Store

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.page_model import DeletedRecord, InvalidRecord, Item, Pages, Payload
from harvesters.payloads.graph import TYPE, Graph, Term, bounded_description
from harvesters.payloads.rdf_parser import NodeErrors, parse_quads
from harvesters.payloads.value_parsing import in_utc, may_be_newer, parse_timestamp
from harvesters.protocols.document import Position, stored_pages
from harvesters.protocols.protocol import Protocol, read_cursor
from harvesters.protocols.rdf_reader import ContextOptions, RdfReader, iris, is_described, objects
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web

_ACCEPT = "application/trig, application/n-quads, text/turtle;q=0.9, application/n-triples;q=0.8, application/ld+json;q=0.7"
_TABLE = "CREATE TABLE latest (key TEXT PRIMARY KEY, rank TEXT, stamp TEXT, gone INTEGER, text TEXT, fault TEXT) WITHOUT ROWID"
_UPSERT = (
    "INSERT INTO latest VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET rank = excluded.rank, stamp = excluded.stamp,"
    " gone = excluded.gone, text = excluded.text, fault = excluded.fault WHERE excluded.rank > latest.rank"
)
_LDES, _TREE = "https://w3id.org/ldes#", "https://w3id.org/tree#"
_POLICY = f"{_LDES}retentionPolicy"
# What a stream says of its members: their properties for time, sequence and entity, and the property
# and the value that mark a deletion.
_DEFAULTS = {
    "timestampPath": "",
    "sequencePath": "",
    "versionOfPath": "http://purl.org/dc/terms/isVersionOf",
    "versionDeletePath": TYPE,
    "versionDeleteObject": "https://www.w3.org/ns/activitystreams#Delete",
}
Stream = Mapping[str, str]
_AMOUNTS = ("versionAmount", "amount")
_DURATIONS = ("fullLogDuration", "versionDuration", "startingFrom", "value")
# Relations to a page whose members are not newer than their value.
_BOUNDS = frozenset(
    f"{_TREE}{name}Relation" for name in ("LessThan", "LessThanOrEqualTo", "EqualTo")
)

log = structlog.get_logger()


class StreamMember(NamedTuple):
    """A version of an *entity*: its *rank* among all versions, whether it is a deletion, and its
    statements as N-Triples; or the *fault* for which it cannot be read.
    """

    entity: str
    rank: str = ""
    stamp: str = ""
    deleted: bool = False
    text: str = ""
    fault: str = ""


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Graph]:
    """Yield the latest version of each entity, or of those with a version since *since*; a version
    that reports a deletion is gone.

    All pages are read before the first record is returned, since any of them may hold a later
    version; they are stored on disk meanwhile. A page that cannot be read ends the run, since it
    may hold the latest version of any entity. Raises ParseError if the source is not a stream.
    """
    stream = StreamReader(source, fetch, in_utc(since) if since else None)
    state = read_cursor(Position, cursor) or Position(again=cursor is not None)
    # "" is a temporary file, deleted with the connection.
    with closing(sqlite3.connect("")) as file:
        file.execute(_TABLE)
        file.executemany(_UPSERT, stream.members())
        log.info("stream read", source=source.name, pages=stream.pages, since=since and str(since))
        (count,) = file.execute("SELECT count(*) FROM latest").fetchone()
        yield from stored_pages(
            file,
            "latest",
            state.mark_incomplete(stream.incomplete_reason),
            lambda *row: stream.parse_entity(StreamMember(*row)),
            None if since else count,
        )


class StreamReader:
    """Reads the pages of a stream that may hold changes since *moment*, and notes what they state
    about it.
    """

    def __init__(self, source: Source, fetch: Fetch, moment: datetime | None) -> None:
        self.reader, self.moment = RdfReader(source, fetch), moment
        self.stream, self.pages = _DEFAULTS, 0
        self.incomplete_reason: Reason | None = None

    def members(self) -> Iterator[StreamMember]:
        """Yield the members from the first page on: that at the source's url, or that of a view that
        it names.
        """
        source, fetch = self.reader.source, self.reader.fetch
        pending, seen = [source.url], set[str]()
        while pending:
            address = pending.pop()
            if address in seen:
                continue
            seen.add(address)
            reply = fetch.get(address, accept=_ACCEPT)
            seen.add(urldefrag(reply.url).url)
            links, members, views = self._parse_page(reply)
            if not self.pages and not links and not members:
                if not views or views[0] in seen:
                    raise ParseError(
                        "%(source)s: %(url)s is not an event stream: it has no view, members or relations",
                        source=source.name,
                        url=reply.url,
                    )
                pending, self.incomplete_reason = views[:1], None
                continue
            self.pages += 1
            pending += [
                link
                for link, newest in sorted(links.items(), reverse=True)
                if link not in seen and may_be_newer(newest, self.moment)
            ]
            yield from (member for member in members if may_be_newer(member.stamp, self.moment))

    def _parse_page(
        self, reply: Reply
    ) -> tuple[dict[str, datetime | None], list[StreamMember], list[str]]:
        """Return the links and members of a page, and the views that it names on its host: first
        those with latest versions only for a full harvest, and the others for changes.
        """
        broken: NodeErrors = {}
        page, host = urldefrag(reply.url).url, urlsplit(reply.url).hostname
        with self.reader.open_store(reply, broken, graphs=True) as store:
            paths = {name: _text(store, None, _LDES + name) for name in _DEFAULTS}
            known = {name: _normalize_iri(path) for name, path in paths.items() if path}
            self.stream = {**self.stream, **known}
            self.incomplete_reason = self.incomplete_reason or _retention_limit(store)
            links = _parse_relations(store, page, self.stream)
            members = list(_parse_members(store, self.stream, self.reader.options.steps, broken))
            latest = {
                view: any(
                    _is_latest(store, term) for term in objects(store, NamedNode(view), _POLICY)
                )
                for view in sorted({*iris(store, None, f"{_TREE}view")})
                if is_web(view) and urlsplit(view).hostname == host
            }
        views = sorted(latest, key=lambda view: latest[view] is not (self.moment is None))
        if broken and self.incomplete_reason is None:
            # Members have their own reason; other parts may be relations to pages.
            why = next(iter(broken.values()))
            self.incomplete_reason = Reason(
                "%(url)s has parts that cannot be read: %(error)s", url=reply.url, error=why
            )
        return links, members, views

    def parse_entity(self, member: StreamMember) -> Item[Graph]:
        """Return the record of an entity's latest version; its digest covers the statements about
        the entity, not the version.
        """
        entity, stamp = member.entity, member.stamp or None
        if member.fault:
            return InvalidRecord(entity, member.fault)
        if member.deleted:
            return DeletedRecord(entity, stamp)
        store = Store()
        store.extend(list(parse_quads(member.text.encode(), RdfFormat.N_TRIPLES, entity)))
        try:
            names = [NamedNode(name) for name in (entity, member.rank.rpartition(" ")[2])]
        except ValueError as error:
            return InvalidRecord(
                entity,
                Reason("the name of its latest version is not an IRI: %(error)s", error=str(error)),
            )
        described = [name for name in names if is_described(store, name)]
        if not described:
            return InvalidRecord(entity, Reason("its latest version has no statements about it"))
        item = self.reader.parse_record(store, entity, described[0])
        return (
            item if isinstance(item, InvalidRecord) or not stamp else replace(item, modified=stamp)
        )


def _retention_limit(store: Store) -> Reason | None:
    """Return why a stream may lack entities: a retention policy that drops old members, even the
    latest of their entity.
    """
    for policy in objects(store, None, _POLICY):
        by_amount, by_time = (
            any(objects(store, policy, f"{_LDES}{name}") for name in names)
            for names in (_AMOUNTS, _DURATIONS)
        )
        if not _is_latest(store, policy) and (by_time or not by_amount):
            return Reason(
                "the stream's retention policy drops old members, so missing entities may still exist"
            )
    return None


def _is_latest(store: Store, policy: Term) -> bool:
    return f"{_LDES}LatestVersionSubset" in iris(store, policy, TYPE)


def _parse_relations(store: Store, page: str, stream: Stream) -> dict[str, datetime | None]:
    """Return the pages to which a page links, each with the time than which its members are not
    newer, None if it is unknown.
    """
    relation = f"{_TREE}relation"
    links = objects(store, NamedNode(page), relation) or objects(store, None, relation)
    bounds: dict[str, datetime | None] = {}
    for link in links:
        paths = {*map(_normalize_iri, iris(store, link, f"{_TREE}path"))}
        is_bound = stream["timestampPath"] in paths and not _BOUNDS.isdisjoint(
            iris(store, link, TYPE)
        )
        bound = parse_timestamp(_literal(store, link, f"{_TREE}value")) if is_bound else None
        for address in iris(store, link, f"{_TREE}node"):
            bounds[address] = min(filter(None, (bound, bounds.get(address))), default=None)
    return bounds


def _parse_members(
    store: Store, stream: Stream, steps: int, broken: Mapping[str, str] = {}
) -> Iterator[StreamMember]:
    """Yield a page's members. *broken* are the nodes that cannot be read."""
    terms = {*objects(store, None, f"{_TREE}member")}
    for node in sorted((term for term in terms if isinstance(term, NamedNode)), key=str):
        name = node.value
        entity = next(iter(iris(store, node, stream["versionOfPath"])), name)
        stamp = _literal(store, node, stream["timestampPath"])
        moment = parse_timestamp(stamp)
        sequence = _literal(store, node, stream["sequencePath"])
        time = moment.isoformat(timespec="microseconds") if moment else stamp
        rank = f"{time} {int(sequence) if sequence.isdigit() else 0:020} {name}"
        states = objects(store, node, stream["versionDeletePath"])
        deleted = stream["versionDeleteObject"]
        is_gone = any(getattr(term, "value", None) == deleted for term in states)
        if why := broken.get(str(node)) or broken.get(f"<{entity}>"):
            yield StreamMember(entity, fault=f"a member that cannot be read: {why}")
            continue
        try:
            text = "" if is_gone else _serialize(store, node, entity, stream, steps)
            yield StreamMember(entity, rank, stamp, is_gone, text)
        except ValueError as error:
            yield StreamMember(entity, fault=f"a member that cannot be read: {error}")


def _serialize(store: Store, member: NamedNode, entity: str, stream: Stream, steps: int) -> str:
    """Serialize a member: the graph of its name, else the statements about it, as if they were
    about its entity.
    """
    graph = list(store.quads_for_pattern(None, None, None, member))
    if graph:
        return "".join(f"{quad.triple} .\n" for quad in graph)
    lines = []
    # These describe a version, and not its entity.
    versions = {stream[name] for name in ("timestampPath", "sequencePath", "versionOfPath")}
    for node, properties in bounded_description(store, member, steps).properties.items():
        subject = f"<{entity}>" if node == member else str(node)
        for name, terms in properties.items():
            if node != member or name not in versions:
                lines += [f"{subject} <{name}> {term} .\n" for term in terms]
    return "".join(lines)


def _normalize_iri(name: str) -> str:
    return "http" + name[5:] if name.startswith("https://schema.org/") else name


def _text(store: Store, node: Term | None, name: str) -> str:
    return next((str(getattr(term, "value", "")) for term in objects(store, node, name)), "")


def _literal(store: Store, node: Term, name: str) -> str:
    terms = objects(store, node, name) if name else []
    return next((term.value for term in terms if isinstance(term, Literal)), "").strip()


PROTOCOL = Protocol(collect, Payload.GRAPH, ContextOptions, incremental=True)
