"""Harvest another Stocktake by its journal: its changed and deleted records, except those that it
took from us.

Source: docs/explanation/architecture.md#the-journal (RDF Patch,
https://afs.github.io/rdf-delta/rdf-patch.html, with
a chain of hashes), docs/reference/feeds.md (/ldes/version: a record as it was after an entry)
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import structlog
from pydantic import Field
from pyoxigraph import Literal, NamedNode, Quad, RdfFormat

from harvesters.errors import NotFoundError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import load_json
from harvesters.options import Options, Texts
from harvesters.page_model import DeletedRecord, InvalidRecord, Item, Page, Pages, Payload, Record
from harvesters.payloads.graph import Graph, Node, Term
from harvesters.payloads.rdf_parser import parse_quads
from harvesters.protocols.document import Position, stored_pages
from harvesters.protocols.protocol import Protocol, read_cursor
from harvesters.reasons import Reason
from harvesters.source import Source
from journal.entry import Entry, read_header, verify_file
from journal.errors import ChainError
from vocab.iris import is_web
from vocab.terms import ADMS, DCAT, DCT, FOAF, PROV, SCHEMA

# Records requested one by one; for more, reading the whole journal takes fewer requests.
MAX_SINGLE_REQUESTS = 1_000
# Bytes of a decompressed entry: about a first harvest of ten million records.
MAX_ENTRY_BYTES = 64 << 30
TOPIC = f"{FOAF}primaryTopic"
LINEAGE, PRIMARY, CREDIT = f"{PROV}wasDerivedFrom", f"{PROV}hadPrimarySource", f"{SCHEMA}creditText"
# Other statements about a record are the peer's bookkeeping.
_OF_RECORD = frozenset((TOPIC, LINEAGE, PRIMARY, CREDIT))
_OF_REGISTRY = frozenset((f"{DCT}title", f"{DCT}publisher", f"{FOAF}name", f"{DCT}license"))
_STATUS, _TIMES = f"{ADMS}status", (f"{PROV}invalidatedAtTime", f"{DCT}modified")
_LIST_SIZE = 1_000  # Entries; if more are new, the whole journal is read.
_ID = re.compile(r"[0-9a-f]{64}")
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE statements (graph TEXT, line TEXT, PRIMARY KEY (graph, line)) WITHOUT ROWID;
CREATE TABLE changed (key TEXT PRIMARY KEY, entry INTEGER) WITHOUT ROWID;
"""
_CHANGES = {
    "A": "INSERT OR IGNORE INTO statements VALUES (?, ?)",
    "D": "DELETE FROM statements WHERE graph = ? AND line = ?",
}

log = structlog.get_logger()


class PeerOptions(Options):
    """The options of another Stocktake."""

    sources: Texts = Field(
        (), description="The names of its registries to harvest; without it all registries."
    )
    relayed: bool = Field(
        True,
        description="Harvest also records that it took from other Stocktakes, but never those that came from here.",
    )


@dataclass(frozen=True, slots=True)
class PeerCursor(Position):
    """Position in a journal, all of whose IRIs begin with *base*: it is read up to entry *number*
    with *id*, starting after entry *after* with the id *since*; *last* is a record's graph.
    """

    base: str
    number: int
    id: str
    after: int = 0
    since: str = ""


class OutOfSync(Exception):
    """Changes cannot be read record by record: the peer's feed lacks them or differs from its
    journal, or there are too many.
    """


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Graph]:
    """Yield the records of another Stocktake; after the first run, those that new journal entries
    changed.

    *since* only says that changes suffice: the ETag of the journal's head shows where the last run
    ended. Each entry is verified before its records are returned. Raises ParseError if there is no
    journal, if an entry is invalid, or if both servers have the same base IRI.
    """
    home = source.url.rstrip("/") + "/"
    state = read_cursor(PeerCursor, cursor)
    if state is None:
        state = _fetch_head(source, fetch, home)
        if state is None:
            yield Page((), None, unchanged=True)
            return
        if state.base == fetch.base:
            raise ParseError(
                "%(source)s: the IRIs of %(url)s begin with %(base)s, as ours do, so records of the "
                "two cannot be distinguished; set another base for one of the two (STOCKTAKE_BASE), "
                "or follow it with `stocktake mirror`",
                source=source.name,
                url=home,
                base=state.base,
            )
        after, before = _last_entry(source, fetch, home, state.number) if since else (0, "")
        state = replace(state, after=after, since=before, again=cursor is not None)
    peer = PeerReader(source, fetch, home, state)
    if state.after:
        try:
            yield from peer.pages(state.after, state.since)
            return
        except OutOfSync as error:
            log.info(
                "remote index unavailable; reading changes from the whole journal",
                source=source.name,
                reason=str(error),
            )
    yield from peer.pages(0, None)


def _fetch_head(source: Source, fetch: Fetch, home: str) -> PeerCursor | None:
    """Request the newest entry: number 0 and no id if the journal is empty. Return None if it has
    not changed since the last run. Raise ParseError if there is no journal.
    """
    url = f"{home}journal/head"
    try:
        reply = fetch.get(url, accept="application/json", conditional=True)
    except NotFoundError as error:
        raise ParseError(
            "%(source)s: %(url)s: there is no journal; set url to the address of a Stocktake's "
            "home page",
            source=source.name,
            url=url,
        ) from error
    if reply.not_modified:
        return None
    match load_json(reply):
        case {"base": str(base), "number": int(number), "id": str() | None as name} if (
            is_web(base)
            and base[-1] in "/#"
            and ((number > 0 and _ID.fullmatch(name or "")) or (number == 0 and name is None))
        ):
            return PeerCursor(base, number, name or "")
    text = "%(source)s: %(url)s: base, number or id of the newest entry are missing"
    raise ParseError(text, source=source.name, url=url)


def _last_entry(source: Source, fetch: Fetch, home: str, newest: int) -> tuple[int, str]:
    """Return number and id of the entry at which the last good run ended, by the stored ETag. Return
    (0, "") if there was no run, or if the newest entries of the journal lack the entry: there are
    more than can be requested record by record, or it was rewound or replaced.
    """
    validator = fetch.validators.get(f"{home}journal/head")
    last = _ID.search(validator.etag or "") if validator else None
    if last is None:
        return 0, ""
    terms = {"format": "json", "before": str(newest + 1), "per": str(_LIST_SIZE)}
    listing = load_json(fetch.get(f"{home}journal/", terms, accept="application/json"))
    for row in listing.get("entries", []) if isinstance(listing, dict) else []:
        match row:
            case {"id": str(name), "number": int(number)} if name == last[0]:
                return number, name
    log.warning("remote journal is read from the start", source=source.name, known=last[0])
    return 0, ""


class PeerReader:
    """Reads the records of one peer, up to *state*; the descriptions of its registries are cached.

    *is_whole*: the whole journal was read, into *file*; else only its last entries were.
    """

    def __init__(self, source: Source, fetch: Fetch, home: str, state: PeerCursor) -> None:
        self.source, self.fetch, self.home = source, fetch, home
        self.state, self.base, self.options = state, state.base, PeerOptions.of(source)
        self.registries: dict[str, list[Quad]] = {}

    def pages(self, after: int, since: str | None) -> Pages[Graph]:
        """Yield the pages of the records that were changed, read from the entries after the number
        *after*, whose entry has the id *since*. Raise OutOfSync if too many must be requested.
        """
        # "" is a temporary file, deleted with the connection.
        with closing(sqlite3.connect("")) as self.file:
            self.file.executescript(_TABLES)
            self._apply_entries(after, since)
            self.is_whole, state, name = after == 0, self.state, self.source.name
            (count,) = self.file.execute("SELECT count(*) FROM changed").fetchone()
            log.info(
                "remote journal read", source=name, after=after, until=state.number, changed=count
            )
            if after and count > MAX_SINGLE_REQUESTS:
                raise OutOfSync(f"{count} records have changed")
            for page in stored_pages(self.file, "changed", state, self._read):
                # The whole journal is read from here on if the next page is out of sync.
                self.state = read_cursor(PeerCursor, page.cursor) or state
                yield page

    def _apply_entries(self, after: int, previous: str | None) -> None:
        """Apply the entries up to the head. Raises ParseError if an entry does not match its id or
        does not follow the one before.
        """
        for number in range(after + 1, self.state.number + 1):
            address, name = f"{self.home}journal/{number}.gz", self.source.name
            try:
                with self.fetch.download(address) as reply:
                    assert reply.path is not None
                    verify_file(reply.path, number, previous, MAX_ENTRY_BYTES)
                    previous = self._apply_entry(read_header(reply.path, number))
            except NotFoundError as error:
                raise ParseError("journal_gap", source=name, url=address) from error
            except ChainError as error:
                fault = str(error)
                raise ParseError("journal_broken", source=name, url=address, error=fault) from error
        if previous and previous != self.state.id:
            raise ParseError(
                "wrong_entry_id",
                source=self.source.name,
                url=self.home,
                id=previous,
                expected=self.state.id,
                number=self.state.number,
            )

    def _apply_entry(self, entry: Entry) -> str:
        """Apply the rows about records and registries: a sign, a statement and its graph each.
        Return the id of the entry.
        """
        begins = (f"{self.base}record/", f"{self.base}source/")
        changed = set[tuple[str, int]]()
        for row in entry.rows():
            border = row.rindex(" <")
            graph = row[border + 2 : -3]
            if graph.startswith(begins):
                self.file.execute(_CHANGES[row[0]], (graph, row[2:border]))
                if graph.startswith(begins[0]) and entry.number > self.state.after:
                    changed.add((graph, entry.number))
        self.file.executemany("INSERT OR REPLACE INTO changed VALUES (?, ?)", changed)
        return entry.id

    def _read(self, graph: str, entry: int) -> Item[Graph] | None:
        """Return the record in *graph* as the whole journal or the peer's feed describes it after
        an entry; None if it is not harvested. Raise OutOfSync if the feed differs from the journal.
        """
        name, chosen = parse_name(graph, self.base), self.options.sources
        if name is None or (chosen and name[0] not in chosen):
            return None
        registry, key = name
        quads = self._stored(graph)
        if not self.is_whole and not _is_deleted(graph, quads, self.base):
            version = f"ldes/version/{entry}/{graph.removeprefix(f'{self.base}record/')}"
            changes, quads = quads, self._fetch_graph(f"{self.base}{version}")
            if not set(changes) <= set(quads):
                raise OutOfSync(f"{self.home}{version} lacks statements of entry {entry}")
        lineage, ours = _values(quads, graph, LINEAGE), self.fetch.base
        origins = [term.value for term in lineage if isinstance(term, NamedNode)]
        # A record that came from us or through us would circulate for ever.
        is_ours = bool(ours) and any(record.startswith(ours) for record in origins)
        if is_ours or (origins and not self.options.relayed):
            return None
        if registry not in self.registries and quads:
            read = self._stored if self.is_whole else self._fetch_graph
            self.registries[registry] = read(f"{self.base}source/{registry}")
        return parse_record(self.base, key, graph, quads, self.registries.get(registry, ()))

    def _stored(self, graph: str) -> list[Quad]:
        query = "SELECT line FROM statements WHERE graph = ? ORDER BY line"
        return parse_statements(row[0] for row in self.file.execute(query, (graph,)))

    def _fetch_graph(self, graph: str) -> list[Quad]:
        url, accept = (
            f"{self.home}{graph.removeprefix(self.base)}",
            "application/n-quads, application/n-triples;q=0.9",
        )
        try:
            reply = self.fetch.get(url, accept=accept)
        except NotFoundError as error:
            raise OutOfSync(str(error)) from error
        fault = f"{reply.url}: the N-Quads cannot be parsed"
        quads = list(parse_quads(reply.content, RdfFormat.N_QUADS, fault))
        in_graph = [quad for quad in quads if quad.graph_name == NamedNode(graph)] or quads
        return [Quad(quad.subject, quad.predicate, quad.object) for quad in in_graph]


def parse_name(graph: str, base: str) -> tuple[str, str] | None:
    """Return the registry of a record, and its key here, by the IRI of its graph under *base*; None
    for another graph. The key begins with the registry, since two registries may use the same.

    >>> parse_name("https://a.example/record/kenya/p%2F1", "https://a.example/")
    ('kenya', 'kenya/p/1')
    """
    match graph.removeprefix(base).split("/"):
        case ["record", registry, key] if registry and key:
            return registry, f"{registry}/{unquote(key)}"
    return None


def parse_statements(lines: Iterable[str]) -> list[Quad]:
    """Parse statements ``<s> <p> <o>``. Raise ParseError if one is invalid."""
    text = "".join(f"{line} .\n" for line in lines).encode()
    return list(parse_quads(text, RdfFormat.N_TRIPLES, "the statement cannot be parsed"))


def _values(quads: Iterable[Quad], graph: str, name: str) -> list[Term]:
    subject = NamedNode(graph)
    return [
        quad.object for quad in quads if quad.predicate.value == name and quad.subject == subject
    ]


def _is_deleted(graph: str, quads: Iterable[Quad], base: str) -> bool:
    return NamedNode(f"{base}operations#gone") in _values(quads, graph, _STATUS)


def parse_record(
    base: str, key: str, graph: str, quads: list[Quad], registry: Iterable[Quad]
) -> Item[Graph]:
    """Return the record in *graph*, without the peer's own bookkeeping; *registry* has the
    statements about the registry that it came from.
    """
    times = (term for name in _TIMES for term in _values(quads, graph, name))
    modified = next((time.value for time in times if isinstance(time, Literal)), None)
    if not quads or _is_deleted(graph, quads, base):
        return DeletedRecord(key, modified)
    topics = [term for term in _values(quads, graph, TOPIC) if isinstance(term, NamedNode)]
    if not topics:
        return InvalidRecord(key, Reason("%(graph)s has no primary topic", graph=graph))
    subjects: dict[Node, dict[str, list[Term]]] = {}
    own = [quad for quad in quads if _is_of_record(graph, quad.subject, quad.predicate.value)]
    own += [quad for quad in registry if quad.predicate.value in _OF_REGISTRY]
    for quad in own:
        if isinstance(quad.subject, NamedNode):
            properties = subjects.setdefault(quad.subject, {})
            properties.setdefault(quad.predicate.value, []).append(quad.object)
    payload = Graph(topics[0], {
        node: {name: tuple(sorted(terms, key=str)) for name, terms in sorted(properties.items())}
        for node, properties in subjects.items()
    })  # fmt: skip
    return Record(key, payload, payload.canonical_text(), modified)


def _is_of_record(graph: str, subject: Any, name: str) -> bool:
    is_result = subject.value.startswith(f"{graph}#result-")
    is_own = subject.value != graph or name in _OF_RECORD
    return is_own and not is_result and name != f"{DCAT}record"


PROTOCOL = Protocol(collect, Payload.GRAPH, PeerOptions, incremental=True)
