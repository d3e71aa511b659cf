"""States: what many records held after some entry each, by one question to the store and one to the history.

What the store shows now is taken, and every later change is undone, as ``versions`` does for one graph.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from pyoxigraph import NamedNode, Quad, RdfFormat, Store, parse

from publisher.errors import NotReady
from publisher.history.change_reader import Change, Watermark, read_watermark
from publisher.history.graph_changes import NAME, short, unpacked
from publisher.rdf.results import Term, from_node, iri, to_node
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.workers.query_request import QueryRequest
from vocab.terms import DCT, FOAF, literal

BATCH = 250  # records asked of the store at once: some 2 MB of answer
PATIENCE = 10.0  # seconds that a harvester waits for the store or the history to catch up before it is sent away
_PAUSE = 0.05
_TOPIC = f"{FOAF}primaryTopic"
_LATER = "SELECT entry, rows FROM touch WHERE graph = ? AND entry > ? AND entry <= ? ORDER BY entry DESC"


@dataclass(frozen=True, slots=True)
class RecordState:
    """All that a record's graph held: (subject, predicate, object) each, without doubles."""

    graph: str
    statements: tuple[tuple[str, str, Term], ...]
    _facts: dict[tuple[str, str], list[Term]] = field(default_factory=dict)

    def all(self, predicate: str, subject: str | None = None) -> list[Term]:
        """Return the values of a property, of what the record is about or of *subject*."""
        return self._known().get((subject or self.topic, predicate), [])

    def one(self, predicate: str, subject: str | None = None) -> Term | None:
        """Return the first value of a property, None if there is none."""
        return next(iter(self.all(predicate, subject)), None)

    @property
    def topic(self) -> str:
        """Return what the record describes, or the record itself if that is unknown."""
        return next((item.value for item in self._known().get((self.graph, _TOPIC), ())), self.graph)

    def _known(self) -> dict[tuple[str, str], list[Term]]:
        if not self._facts:
            for s, p, o in self.statements:
                self._facts.setdefault((s, p), []).append(o)
        return self._facts

    def title(self, *languages: str) -> Term | None:
        """Return the title in the first of *languages* that there is, else in any; of a record that is gone, what it was called."""
        titles = self.all(f"{DCT}title") or self.all(f"{DCT}title", self.graph)
        return preferred_text(titles, languages or ("en",))

    def lines(self) -> list[str]:
        """Write the statements in N-Triples, sorted, without the closing dot."""
        return sorted(f"<{s}> <{p}> {written(o)}" for s, p, o in self.statements)  # the store holds nothing that is no IRI


def preferred_text(terms: Sequence[Term], languages: Sequence[str] = ("en",)) -> Term | None:
    """Choose a text: in the first of *languages* that there is, else in none, else any."""
    rank: dict[str | None, int] = {tag: place for place, tag in enumerate(languages)}
    rank[None] = len(languages)
    return min(terms, key=lambda item: rank.get(item.language, len(languages) + 1), default=None)


def written(term: Term) -> str:
    """Write a term in canonical N-Triples."""
    if term.is_iri:
        return f"<{term.value}>"
    return literal(term.value, term.language) + (f"^^<{term.datatype}>" if term.datatype and not term.language else "")


async def wait_until_current(service: QueryService) -> Watermark:
    """Return what feeds announce now, once the store shows it; raises NotReady if that takes too long."""
    until = time.monotonic() + PATIENCE
    while True:
        watermark = await asyncio.to_thread(read_watermark, service.history, time.time())
        if watermark and service.current.position >= watermark.entry:
            return watermark
        if time.monotonic() > until or (not watermark and service.snapshot is None):
            raise NotReady("the log of changes is still being made from the journal; ask again in a moment")
        await asyncio.sleep(_PAUSE)


async def read_states(service: QueryService, wanted: Sequence[Change]) -> list[RecordState]:
    """Return what each record held after its change, in the order of *wanted*; raises NotReady."""
    out: list[RecordState] = []
    for start in range(0, len(wanted), BATCH):
        out += await _read_batch(service, wanted[start : start + BATCH])
    return out


async def _read_batch(service: QueryService, wanted: Sequence[Change]) -> list[RecordState]:
    until, least = time.monotonic() + PATIENCE, max(item.entry for item in wanted)
    while True:
        asked = sorted({service.iris.base + item.graph for item in wanted})
        text = query("graphs").replace("GRAPHS", " ".join(map(iri, asked)))
        answered, by = await service.query_internal(QueryRequest(text, base=service.iris.base))
        is_announced = by is not None and by.position >= least  # a change is not announced before its data are shown
        later = await asyncio.to_thread(_later_rows, service.history, wanted, service.latest_position(by)) if by and is_announced else None
        if later is not None:
            now = await asyncio.to_thread(_read, answered)
            return [_state(service.iris.base + item.graph, now, later[number]) for number, item in enumerate(wanted)]
        if time.monotonic() > until:
            raise NotReady("store and history are still being brought level with the journal; ask again in a moment")
        await asyncio.sleep(_PAUSE)


def _later_rows(folder: Path, wanted: Sequence[Change], position: int) -> list[list[str]] | None:
    """Return the rows of all changes after those *wanted* up to *position*, the last first; None where the history is not so far.

    A change that the store does not show yet may be among them: undoing it has no effect that an earlier change does not restore.
    """
    try:
        with closing(sqlite3.connect(f"file:{folder / NAME}?mode=ro", uri=True, timeout=5.0)) as file:
            file.execute("BEGIN")
            known = file.execute("SELECT position FROM mark").fetchone()
            if not known or known[0] < position:
                return None
            results = (file.execute(_LATER, (short(item.graph, ""), item.entry, position)).fetchall() for item in wanted)
            return [[unpacked(rows).decode() for _, rows in them if rows is not None] for them in results]
    except sqlite3.OperationalError:
        return None


def _read(answered: bytes) -> dict[str, list[tuple[str, str, Term]]]:
    out: dict[str, list[tuple[str, str, Term]]] = {}
    for row in orjson.loads(answered)["results"]["bindings"]:
        out.setdefault(row["graph"]["value"], []).append((row["subject"]["value"], row["predicate"]["value"], _term(row["object"])))
    return out


def _term(cell: Mapping[str, str]) -> Term:
    return Term(cell["value"], cell["type"], cell.get("xml:lang"), cell.get("datatype"))


def _state(graph: str, now: Mapping[str, list[tuple[str, str, Term]]], later: Sequence[str]) -> RecordState:
    held = now.get(graph, [])
    return RecordState(graph, tuple(_undo(held, later) if later else held))


def _undo(held: Iterable[tuple[str, str, Term]], later: Sequence[str]) -> Iterator[tuple[str, str, Term]]:
    """Undo *later*, the rows of changes, the last change first."""
    store = Store()
    store.extend(Quad(NamedNode(s), NamedNode(p), to_node(o)) for s, p, o in held)
    for rows in later:
        for row in _rows(rows, "A"):
            store.remove(row)
        store.extend(_rows(rows, "D"))
    for quad in store:
        assert isinstance(quad.subject, NamedNode)
        yield quad.subject.value, quad.predicate.value, from_node(quad.object)


def _rows(rows: str, sign: str) -> Iterator[Quad]:
    text = "".join(f"{row[2:]} .\n" for row in rows.split("\n") if row.startswith(sign))
    return iter(parse(text.encode(), RdfFormat.N_TRIPLES, lenient=True))
