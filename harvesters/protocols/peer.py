"""Harvest another Stocktake by its journal: its changed and deleted records, except those that it
took from us.

Source: docs/explanation/architecture.md#the-journal (RDF Patch,
https://afs.github.io/rdf-delta/rdf-patch.html, with
a chain of hashes), docs/reference/feeds.md (/ldes/version: a record as it was after an entry)
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
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
from harvesters.protocols.protocol import Cursor, Protocol, read_cursor
from harvesters.reasons import Reason
from harvesters.source import Source
from journal.entry import SUFFIX, Entry, read_header, verify_file
from journal.errors import ChainError
from vocab.iris import is_web
from vocab.terms import ADMS, DCAT, DCT, FOAF, PROV, SCHEMA

MAX_RECORDS = 500  # Records per page; each page is a checkpoint.
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
CREATE TABLE changed (graph TEXT PRIMARY KEY, entry INTEGER) WITHOUT ROWID;
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
class PeerCursor(Cursor):
    """Position in a journal, all of whose IRIs begin with *base*: it is read up to entry *number*
    with *id*, starting after entry *after* with the id *since*.

    *last* is the last graph that was read.
    """

    base: str
    number: int
    id: str
    after: int = 0
    since: str = ""
    last: str = ""


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
            yield from peer.pages(whole=False)
            return
        except OutOfSync as error:
            log.info(
                "remote index unavailable; reading changes from the whole journal",
                source=source.name,
                reason=str(error),
            )
    yield from peer.pages(whole=True)


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
    """Reads the records of one peer, up to *state*; the descriptions of its registries are cached."""

    def __init__(self, source: Source, fetch: Fetch, home: str, state: PeerCursor) -> None:
        self.source, self.fetch, self.home = source, fetch, home
        self.state, self.base = state, state.base
        self.options = PeerOptions.of(source)
        self.registries: dict[str, list[Quad]] = {}

    def pages(self, *, whole: bool) -> Pages[Graph]:
        """Yield the pages of the records that were changed: as the *whole* journal describes them,
        or by requests of those that its last entries changed. Raise OutOfSync if these are too many.
        """
        state = self.state
        after, since = (0, None) if whole else (state.after, state.since)
        with (
            tempfile.TemporaryDirectory(prefix="stocktake-") as folder,
            closing(sqlite3.connect(Path(folder) / "replay.sqlite")) as file,
        ):
            replay = JournalReplay(Path(folder), file, self.base)
            replay.apply_entries(self.source, self.fetch, self.home, state, after, since)
            name, count = self.source.name, replay.count_changed()
            log.info(
                "remote journal read", source=name, after=after, until=state.number, changed=count
            )
            if not whole and count > MAX_SINGLE_REQUESTS:
                raise OutOfSync(f"{count} records have changed")
            has_next = True
            while has_next:
                graphs = replay.changed_graphs(self.state.last, MAX_RECORDS)
                has_next = len(graphs) == MAX_RECORDS
                wanted = ((graph, entry) for graph, entry in graphs if entry > state.after)
                items = [self._read(replay, *changed, whole=whole) for changed in wanted]
                last = graphs[-1][0] if graphs else self.state.last
                self.state = replace(self.state, last=last)
                yield self.state.page(tuple(filter(None, items)), has_next)

    def _read(
        self, replay: JournalReplay, graph: str, entry: int, *, whole: bool
    ) -> Item[Graph] | None:
        """Return the record in *graph* as the whole journal or the peer's feed describes it after
        an entry; None if it is not harvested. Raise OutOfSync if the feed differs from the journal.
        """
        name, chosen = parse_name(graph, self.base), self.options.sources
        if name is None or (chosen and name[0] not in chosen):
            return None
        registry, key = name
        quads = replay.statements(graph)
        if not whole and not _is_deleted(graph, quads, self.base):
            version = f"ldes/version/{entry}/{graph.removeprefix(f'{self.base}record/')}"
            changes, quads = quads, self._fetch_graph(f"{self.base}{version}")
            if not set(changes) <= set(quads):
                raise OutOfSync(f"{self.home}{version} lacks statements of entry {entry}")
        lineage = _values(quads, graph, LINEAGE)
        origins = [term.value for term in lineage if isinstance(term, NamedNode)]
        ours = self.fetch.base
        # A record that came from us or through us would circulate for ever.
        is_ours = bool(ours) and any(record.startswith(ours) for record in origins)
        if is_ours or (origins and not self.options.relayed):
            return None
        if registry not in self.registries and quads:
            source = f"{self.base}source/{registry}"
            read = replay.statements if whole else self._fetch_graph
            self.registries[registry] = read(source)
        about = self.registries.get(registry, ())
        return parse_record(self.base, key, graph, quads, about)

    def _fetch_graph(self, graph: str) -> list[Quad]:
        url = f"{self.home}{graph.removeprefix(self.base)}"
        try:
            reply = self.fetch.get(url, accept="application/n-quads, application/n-triples;q=0.9")
        except NotFoundError as error:
            raise OutOfSync(str(error)) from error
        quads = list(
            parse_quads(
                reply.content, RdfFormat.N_QUADS, f"{reply.url}: the N-Quads cannot be parsed"
            )
        )
        in_graph = [quad for quad in quads if quad.graph_name == NamedNode(graph)] or quads
        return [Quad(quad.subject, quad.predicate, quad.object) for quad in in_graph]


class JournalReplay:
    """The statements about records and registries after some entries of a journal, in *file*."""

    def __init__(self, folder: Path, file: sqlite3.Connection, base: str) -> None:
        self._folder, self._file, self._base = folder, file, base
        self._range = (f"{base}record/", f"{base}record0")  # "0" follows "/" in ASCII
        file.executescript(_TABLES)

    def apply_entries(
        self,
        source: Source,
        fetch: Fetch,
        home: str,
        head: PeerCursor,
        after: int,
        previous: str | None,
    ) -> None:
        """Apply the entries after the number *after*, whose entry has the id *previous*, up to
        *head*.

        Raises ParseError if an entry does not match its id or does not follow the one before.
        """
        for number in range(after + 1, head.number + 1):
            address, path = f"{home}journal/{number}.gz", self._folder / f"{number:09d}{SUFFIX}"
            try:
                with fetch.download(address) as reply:
                    assert reply.path is not None
                    shutil.move(reply.path, path)
                verify_file(path, number, previous, MAX_ENTRY_BYTES)
                entry = read_header(path)
            except NotFoundError as error:
                raise ParseError("journal_gap", source=source.name, url=address) from error
            except ChainError as error:
                fault = str(error)
                raise ParseError(
                    "journal_broken", source=source.name, url=address, error=fault
                ) from error
            self._apply_entry(entry)
            previous = entry.id
        if previous and previous != head.id:
            raise ParseError(
                "wrong_entry_id",
                source=source.name,
                url=home,
                id=previous,
                expected=head.id,
                number=head.number,
            )

    def _apply_entry(self, entry: Entry) -> None:
        """Apply the rows about records and registries: a sign, a statement and its graph each."""
        begins = (f"{self._base}record/", f"{self._base}source/")
        touched = set[str]()
        for row in entry.rows():
            border = row.rindex(" <")
            graph = row[border + 2 : -3]
            if graph.startswith(begins):
                touched.add(graph)
                self._file.execute(_CHANGES[row[0]], (graph, row[2:border]))
        changed = ((graph, entry.number) for graph in touched)
        self._file.executemany("INSERT OR REPLACE INTO changed VALUES (?, ?)", changed)
        self._file.commit()
        entry.path.unlink()

    def changed_graphs(self, after: str, most: int) -> list[tuple[str, int]]:
        """Return up to *most* record graphs after *after* that were changed, each with the number
        of the last entry, sorted.
        """
        begin, end = self._range
        return self._file.execute(
            "SELECT graph, entry FROM changed WHERE graph > ? AND graph < ? ORDER BY graph LIMIT ?",
            (after or begin, end, most),
        ).fetchall()

    def count_changed(self) -> int:
        return int(
            self._file.execute(
                "SELECT count(*) FROM changed WHERE graph > ? AND graph < ?", self._range
            ).fetchone()[0]
        )

    def statements(self, graph: str) -> list[Quad]:
        query = "SELECT line FROM statements WHERE graph = ? ORDER BY line"
        return parse_statements(row[0] for row in self._file.execute(query, (graph,)))


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
    for quad in _record_statements(graph, quads, registry):
        if isinstance(quad.subject, NamedNode):
            properties = subjects.setdefault(quad.subject, {})
            properties.setdefault(quad.predicate.value, []).append(quad.object)
    payload = Graph(topics[0], {
        node: {name: tuple(sorted(terms, key=str)) for name, terms in sorted(properties.items())}
        for node, properties in subjects.items()
    })  # fmt: skip
    return Record(key, payload, payload.canonical_text(), modified)


def _record_statements(
    graph: str, quads: Iterable[Quad], registry: Iterable[Quad]
) -> Iterator[Quad]:
    result = f"{graph}#result-"
    for quad in quads:
        subject = quad.subject.value if isinstance(quad.subject, NamedNode) else result
        predicate = quad.predicate.value
        if (
            not subject.startswith(result)
            and predicate != f"{DCAT}record"
            and (subject != graph or predicate in _OF_RECORD)
        ):
            yield quad
    yield from (quad for quad in registry if quad.predicate.value in _OF_REGISTRY)


PROTOCOL = Protocol(collect, Payload.GRAPH, PeerOptions, incremental=True)
