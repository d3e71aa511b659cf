"""LDES: replicate an event stream to the latest version of each entity, later follow its changes.

Source: https://w3id.org/ldes/specification (1.0), https://w3id.org/tree/specification
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import structlog
from pyoxigraph import NamedNode, RdfFormat, Store

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Payload
from harvesters.payloads.graph import Graph
from harvesters.payloads.rdf_parser import NodeErrors, parse_quads
from harvesters.payloads.record_discovery import is_described
from harvesters.protocols import rdf_reader as reader
from harvesters.protocols.cursor import read_cursor, write_cursor
from harvesters.protocols.datestamps import in_utc, parse_timestamp
from harvesters.protocols.ldes import tree
from harvesters.protocols.ldes.tree import Member, Stream
from harvesters.protocols.paged_document import MAX_RECORDS
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.rdf_format import parse_rdf
from harvesters.protocols.rdf_reader import Item, RdfReader
from harvesters.reasons import Reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    **{name: reader.OPTIONS[name] for name in ("syntax", "contexts", "steps")},
    "view": Option(str, None, "The address of the view to read, if the stream names several."),
}
check = reader.check

_ACCEPT = "application/trig, application/n-quads, text/turtle;q=0.9, application/n-triples;q=0.8, application/ld+json;q=0.7"
_MAX_PAGES = 100_000  # pages per stream; a longer one is treated as endless
_TABLE = "CREATE TABLE latest (entity TEXT PRIMARY KEY, rank TEXT, stamp TEXT, gone INTEGER, text TEXT, fault TEXT) WITHOUT ROWID"
_UPSERT = (
    "INSERT INTO latest VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (entity) DO UPDATE SET rank = excluded.rank, stamp = excluded.stamp,"
    " gone = excluded.gone, text = excluded.text, fault = excluded.fault WHERE excluded.rank > latest.rank"
)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LdesCursor:
    """Position in a harvest: after the entity *last*; *again* as in Page."""

    last: str = ""
    again: bool = False


@dataclass(slots=True)
class StreamWalk:
    """The state of a stream while its pages are read."""

    stream: Stream | None = None
    incomplete_reason: Reason | None = None
    pages: int = 0


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Graph]:
    """Yield the latest version of each entity, or of those with a version since *since*; a version
    that reports a deletion is gone.

    All pages are read before the first record is returned, since any of them may hold a later
    version; they are stored on disk meanwhile. A page that cannot be read ends the run, since it
    may hold the latest version of any entity. Raises ParseError if the source is not a stream.
    """
    rdf_reader = RdfReader(source, fetch)
    moment = in_utc(since) if since else None
    state = read_cursor(LdesCursor, cursor) or LdesCursor(again=cursor is not None)
    with (
        tempfile.TemporaryDirectory(prefix="stocktake-") as folder,
        closing(sqlite3.connect(Path(folder) / "latest.sqlite")) as file,
    ):
        file.execute(_TABLE)
        walk = StreamWalk()
        for member in _read_members(rdf_reader, moment, walk):
            file.execute(_UPSERT, member)
        log.info(
            "stream read",
            source=source.name,
            pages=walk.pages,
            since=str(moment) if moment else None,
        )
        total = (
            file.execute("SELECT count(*) FROM latest").fetchone()[0] if moment is None else None
        )
        ended = False
        while not ended:
            rows = file.execute(
                "SELECT * FROM latest WHERE entity > ? ORDER BY entity LIMIT ?",
                (state.last, MAX_RECORDS),
            ).fetchall()
            state = replace(state, last=rows[-1][0] if rows else state.last)
            ended = len(rows) < MAX_RECORDS
            items = tuple(_parse_entity(rdf_reader, *row) for row in rows)
            following, reason = None if ended else write_cursor(state), walk.incomplete_reason
            yield Page(items, following, total, again=state.again, incomplete_reason=reason)


def _read_members(
    rdf_reader: RdfReader, moment: datetime | None, walk: StreamWalk
) -> Iterator[tuple[str, str, str, bool, str, str]]:
    """Read all pages that may hold changes since *moment*, and yield their members as table rows."""
    name = rdf_reader.source.name
    pending, seen = [_root_node(rdf_reader, moment)], set[str]()
    while pending:
        address = pending.pop()
        if address in seen:
            continue
        seen.add(address)
        if len(seen) > _MAX_PAGES:
            raise ParseError(Reason("stream_too_long", {"source": name, "limit": _MAX_PAGES}))
        reply = rdf_reader.fetch.get(address, accept=_ACCEPT)
        seen.add(urldefrag(reply.url).url)
        links, members = _parse_page(rdf_reader, reply, walk)
        if walk.pages == 1 and not links and not members:
            raise ParseError(Reason("not_stream_page", {"source": name, "url": reply.url}))
        pending += [
            link.address
            for link in reversed(links)
            if _may_hold_changes(link, moment) and link.address not in seen
        ]
        for member in members:
            if isinstance(member, tuple):
                yield member[0], "", "", False, "", member[1]
            elif (
                moment is None
                or (stamp := parse_timestamp(member.stamp)) is None
                or stamp >= moment
            ):
                yield _table_row(member)


def _parse_page(
    rdf_reader: RdfReader, reply: Reply, walk: StreamWalk
) -> tuple[list[tree.Relation], list[Member | tuple[str, str]]]:
    """Return the relations and members of a page, and record in *walk* what it states about the
    stream.
    """
    broken: NodeErrors = {}
    with parse_rdf(
        reply, rdf_reader.load_context, rdf_reader.syntax, graphs=True, broken=broken
    ) as store:
        walk.stream, walk.pages = tree.parse_stream(store, walk.stream), walk.pages + 1
        walk.incomplete_reason = walk.incomplete_reason or tree.retention_limit(store)
        links = tree.parse_relations(store, urldefrag(reply.url).url, walk.stream)
        members = list(tree.parse_members(store, walk.stream, rdf_reader.steps, broken))
    if broken and walk.incomplete_reason is None:
        # Members have their own reason; other parts may be relations to pages.
        first_error = next(iter(broken.values()))
        walk.incomplete_reason = Reason(
            "parts_unreadable", {"url": reply.url, "error": str(first_error)}
        )
    return links, members


def _table_row(member: Member) -> tuple[str, str, str, bool, str, str]:
    return member.entity, member.rank, member.stamp, member.deleted, member.text, ""


def _may_hold_changes(link: tree.Relation, moment: datetime | None) -> bool:
    return moment is None or link.newest is None or link.newest >= moment


def _root_node(rdf_reader: RdfReader, moment: datetime | None) -> str:
    """Return the root node: the source definition's view, else a view of the stream, with latest
    versions only for a full harvest.
    """
    wanted: str | None = get_option(rdf_reader.source, OPTIONS, "view")
    if wanted:
        return wanted
    reply = rdf_reader.fetch.get(rdf_reader.source.url, accept=_ACCEPT)
    with parse_rdf(reply, rdf_reader.load_context, rdf_reader.syntax, graphs=True) as store:
        page = urldefrag(reply.url).url
        if tree.parse_relations(store, page, Stream()) or any(
            True for _ in tree.parse_members(store, Stream(), 0)
        ):
            return rdf_reader.source.url
        host = urlsplit(reply.url).hostname
        views = [
            (view, latest)
            for view, latest in tree.list_views(store)
            if urlsplit(view).hostname == host
        ]
    if not views:
        raise ParseError(Reason("not_stream", {"source": rdf_reader.source.name, "url": reply.url}))
    return next((view for view, latest in views if latest is (moment is None)), views[0][0])


def _parse_entity(
    rdf_reader: RdfReader, entity: str, rank: str, stamp: str, gone: int, text: str, fault: str
) -> Item:
    """Return the record of an entity's latest version; its digest covers the statements about the
    entity, not the version.
    """
    if fault:
        return InvalidRecord(entity, fault)
    if gone:
        return DeletedRecord(entity, stamp or None)
    store = Store()
    store.extend(list(parse_quads(text.encode(), RdfFormat.N_TRIPLES, entity)))
    try:
        name = next(
            (
                name
                for name in (entity, rank.rpartition(" ")[2])
                if is_described(store, NamedNode(name))
            ),
            None,
        )
    except ValueError as error:
        return InvalidRecord(entity, Reason("version_not_iri", {"error": str(error)}))
    if name is None:
        return InvalidRecord(entity, Reason("version_empty"))
    item = rdf_reader.parse_record(store, entity, NamedNode(name))
    return (
        item
        if isinstance(item, InvalidRecord | DeletedRecord)
        else replace(item, modified=stamp or item.modified)
    )


PROTOCOL = Protocol(collect, Payload.GRAPH, OPTIONS, incremental=True, check=check)
