"""LDES: an event stream, replicated to the latest version of each entity, then followed by what came since.

Source: https://w3id.org/ldes/specification (1.0), https://w3id.org/tree/specification
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import structlog
from pyoxigraph import NamedNode, RdfFormat, Store

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages
from harvesters.payloads.graph import Graph
from harvesters.payloads.rdf_format import parse_rdf
from harvesters.payloads.rdf_parser import NodeErrors, parse_quads
from harvesters.payloads.record_discovery import is_described
from harvesters.protocols.cursor import read, write
from harvesters.protocols.datestamps import read_stamp
from harvesters.protocols.ldes import tree
from harvesters.protocols.ldes.tree import Member, Stream
from harvesters.protocols.paged_document import ROWS
from harvesters.protocols.rdf import reader
from harvesters.protocols.rdf.reader import Item, Reading, reading
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    **{name: reader.OPTIONS[name] for name in ("syntax", "contexts", "steps")},
    "view": Option(str, None, "The address of the view to read, where the stream names several."),
}
check = reader.check

_ACCEPT = "application/trig, application/n-quads, text/turtle;q=0.9, application/n-triples;q=0.8, application/ld+json;q=0.7"
_MOST = 100_000  # pages of a stream: more are none that ends
_TABLE = "CREATE TABLE latest (entity TEXT PRIMARY KEY, rank TEXT, stamp TEXT, gone INTEGER, text TEXT, fault TEXT) WITHOUT ROWID"
_KEEP = (
    "INSERT INTO latest VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (entity) DO UPDATE SET rank = excluded.rank, stamp = excluded.stamp,"
    " gone = excluded.gone, text = excluded.text, fault = excluded.fault WHERE excluded.rank > latest.rank"
)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a harvest stands: behind the entity *last*; *again* as on a page."""

    last: str = ""
    again: bool = False


@dataclass(slots=True)
class _Walk:
    """What a walk over a stream's pages has learned of it."""

    stream: Stream | None = None
    doubt: str | None = None
    pages: int = 0


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Graph]:
    """Collect the latest version of each entity, or of those with a version since *since*; a version that tells of a deletion is gone.

    All pages are read before the first record is told, since any of them may hold a later version; they lie on disk meanwhile. A page
    that cannot be read ends the run, as it may hold the latest version of anything. Raises ParseError where it is no stream.
    """
    told = reading(source, fetch)
    moment = None if since is None else since.replace(tzinfo=UTC) if since.tzinfo is None else since
    spot = read(_Spot, cursor) or _Spot(again=cursor is not None)
    with tempfile.TemporaryDirectory(prefix="stocktake-") as folder, closing(sqlite3.connect(Path(folder) / "latest.sqlite")) as file:
        file.execute(_TABLE)
        walk = _Walk()
        for member in _members(told, moment, walk):
            file.execute(_KEEP, member)
        log.info("stream read", source=source.name, pages=walk.pages, since=str(moment) if moment else None)
        claimed = file.execute("SELECT count(*) FROM latest").fetchone()[0] if moment is None else None
        while True:
            rows = file.execute("SELECT * FROM latest WHERE entity > ? ORDER BY entity LIMIT ?", (spot.last, ROWS)).fetchall()
            spot = replace(spot, last=rows[-1][0] if rows else spot.last)
            ended = len(rows) < ROWS
            items = tuple(_item(told, *row) for row in rows)
            yield Page(items, None if ended else write(spot), claimed, again=spot.again, doubt=walk.doubt)
            if ended:
                return


def _members(told: Reading, moment: datetime | None, walk: _Walk) -> Iterator[tuple[str, str, str, bool, str, str]]:
    """Walk over all pages that may hold what came since *moment*, and give their members as rows of the table."""
    todo, seen = [_start(told, moment)], set[str]()
    while todo:
        address = todo.pop()
        if address in seen:
            continue
        seen.add(address)
        if len(seen) > _MOST:
            raise ParseError(f"{told.source.name}: its stream has more than {_MOST} pages; it does not end")
        reply = told.fetch.get(address, accept=_ACCEPT)
        seen.add(urldefrag(reply.url).url)
        broken: NodeErrors = {}
        with parse_rdf(reply, told.context, told.syntax, graphs=True, broken=broken) as store:
            walk.stream, walk.pages = tree.stream(store, walk.stream), walk.pages + 1
            walk.doubt = walk.doubt or tree.lossy(store)
            links = tree.relations(store, urldefrag(reply.url).url, walk.stream)
            found = list(tree.members(store, walk.stream, told.steps, broken))
        if broken and walk.doubt is None:  # a member has its own reason; what else is lost may be a relation to another page
            walk.doubt = f"{reply.url} has parts that cannot be read: {next(iter(broken.values()))}"
        if walk.pages == 1 and not links and not found:
            raise ParseError(f"{told.source.name}: {reply.url} is no page of an event stream: it has neither members nor relations")
        todo += [link.address for link in reversed(links) if _wanted(link, moment) and link.address not in seen]
        for it in found:
            if isinstance(it, tuple):
                yield it[0], "", "", False, "", it[1]
            elif moment is None or (stamp := read_stamp(it.stamp)) is None or stamp >= moment:
                yield _row(it)


def _row(it: Member) -> tuple[str, str, str, bool, str, str]:
    return it.entity, it.rank, it.stamp, it.gone, it.text, ""


def _wanted(link: tree.Relation, moment: datetime | None) -> bool:
    return moment is None or link.newest is None or link.newest >= moment


def _start(told: Reading, moment: datetime | None) -> str:
    """Give the root node: the card's, else of the stream's views for a sweep one of the latest versions, for changes another."""
    wanted: str | None = get_option(told.source, OPTIONS, "view")
    if wanted:
        return wanted
    reply = told.fetch.get(told.source.url, accept=_ACCEPT)
    with parse_rdf(reply, told.context, told.syntax, graphs=True) as store:
        here = urldefrag(reply.url).url
        if tree.relations(store, here, Stream()) or any(True for _ in tree.members(store, Stream(), 0)):
            return told.source.url
        host = urlsplit(reply.url).hostname
        views = [(view, latest) for view, latest in tree.views(store) if urlsplit(view).hostname == host]
    if not views:
        raise ParseError(f"{told.source.name}: {reply.url} is no event stream: it names no view, and has neither members nor relations")
    return next((view for view, latest in views if latest is (moment is None)), views[0][0])


def _item(told: Reading, entity: str, rank: str, stamp: str, gone: int, text: str, fault: str) -> Item:
    """Make the record of an entity's latest version; its digest rests on what it says of the entity, not on the version."""
    if fault:
        return InvalidRecord(entity, fault)
    if gone:
        return DeletedRecord(entity, stamp or None)
    store = Store()
    store.extend(list(parse_quads(text.encode(), RdfFormat.N_TRIPLES, entity)))
    try:
        name = next((name for name in (entity, rank.rpartition(" ")[2]) if is_described(store, NamedNode(name))), None)
    except ValueError as error:
        return InvalidRecord(entity, f"its latest version is called by what is no IRI: {error}")
    if name is None:
        return InvalidRecord(entity, "its latest version says nothing of it")
    item = told.item(store, entity, NamedNode(name))
    return item if isinstance(item, InvalidRecord | DeletedRecord) else replace(item, modified=stamp or item.modified)
