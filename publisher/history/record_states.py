"""Reconstruct the states of many records after a given entry each, by one query to the store and
one to the history.

Every later change is undone from the current state, as ``versions`` does for one graph.
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

from languages.translations import TranslatableText
from publisher.errors import NotReady
from publisher.history.change_reader import Change, Watermark, read_watermark
from publisher.history.graph_changes import NAME, decompress_rows, short
from publisher.rdf.results import Term, from_node, iri, to_node
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.workers.query_request import QueryRequest
from vocab.terms import DCT, FOAF, literal

BATCH = 250  # records per query: some 2 MB of results
# seconds that a request waits for the store or the history to catch up before it gets 503
MAX_WAIT = 10.0
_PAUSE = 0.05
_TOPIC = f"{FOAF}primaryTopic"
_LATER = "SELECT entry, rows FROM graph_change WHERE graph = ? AND entry > ? AND entry <= ? ORDER BY entry DESC"


@dataclass(frozen=True, slots=True)
class RecordState:
    """The statements of a record's graph: (subject, predicate, object), without duplicates."""

    graph: str
    statements: tuple[tuple[str, str, Term], ...]
    _values: dict[tuple[str, str], list[Term]] = field(default_factory=dict)

    def all(self, predicate: str, subject: str | None = None) -> list[Term]:
        """Return the values of a property, of the record's thing or of *subject*."""
        return self._values_by_property().get((subject or self.topic, predicate), [])

    def one(self, predicate: str, subject: str | None = None) -> Term | None:
        """Return the first value of a property, None if there is none."""
        return next(iter(self.all(predicate, subject)), None)

    @property
    def topic(self) -> str:
        """Return what the record describes, or the record itself if that is unknown."""
        return next(
            (item.value for item in self._values_by_property().get((self.graph, _TOPIC), ())),
            self.graph,
        )

    def _values_by_property(self) -> dict[tuple[str, str], list[Term]]:
        if not self._values:
            for s, p, o in self.statements:
                self._values.setdefault((s, p), []).append(o)
        return self._values

    def title(self, *languages: str) -> Term | None:
        """Return the title in the first available of *languages*, else in any; of a deleted record,
        its last title.
        """
        titles = self.all(f"{DCT}title") or self.all(f"{DCT}title", self.graph)
        return preferred_text(titles, languages or ("en",))

    def lines(self) -> list[str]:
        """Write the statements in N-Triples, sorted, without the closing dot."""
        # all subjects and predicates are IRIs
        return sorted(f"<{s}> <{p}> {written(o)}" for s, p, o in self.statements)


def preferred_text(terms: Sequence[Term], languages: Sequence[str] = ("en",)) -> Term | None:
    """Return the text in the first available of *languages*, else one without a language, else any."""
    rank: dict[str | None, int] = {tag: rank for rank, tag in enumerate(languages)}
    rank[None] = len(languages)
    return min(terms, key=lambda item: rank.get(item.language, len(languages) + 1), default=None)


def written(term: Term) -> str:
    """Write a term in canonical N-Triples."""
    if term.is_iri:
        return f"<{term.value}>"
    return literal(term.value, term.language) + (
        f"^^<{term.datatype}>" if term.datatype and not term.language else ""
    )


async def wait_until_current(service: QueryService) -> Watermark:
    """Return the last announced change once the store has it. Raises NotReady if that takes too
    long.
    """
    until = time.monotonic() + MAX_WAIT
    while True:
        watermark = await asyncio.to_thread(read_watermark, service.history, time.time())
        if watermark and service.current.position >= watermark.entry:
            return watermark
        if time.monotonic() > until or (not watermark and service.snapshot is None):
            raise NotReady(
                TranslatableText(
                    "the change log is still being built from the journal; try again in a moment"
                )
            )
        await asyncio.sleep(_PAUSE)


async def read_states(service: QueryService, changes: Sequence[Change]) -> list[RecordState]:
    """Return what each record states after its change, in the order of *changes*; raises NotReady."""
    out: list[RecordState] = []
    for start in range(0, len(changes), BATCH):
        out += await _read_batch(service, changes[start : start + BATCH])
    return out


async def _read_batch(service: QueryService, changes: Sequence[Change]) -> list[RecordState]:
    until, last_entry = time.monotonic() + MAX_WAIT, max(item.entry for item in changes)
    while True:
        graphs = sorted({service.iris.base + item.graph for item in changes})
        text = query("graphs").replace("GRAPHS", " ".join(map(iri, graphs)))
        results, snapshot = await service.query_internal(QueryRequest(text, base=service.iris.base))
        # a change is announced only after its data are published
        is_announced = snapshot is not None and snapshot.position >= last_entry
        later = None
        if snapshot and is_announced:
            later = await asyncio.to_thread(
                _later_rows, service.history, changes, service.latest_position(snapshot)
            )
        if later is not None:
            current = await asyncio.to_thread(_read, results)
            return [
                _state(service.iris.base + item.graph, current, later[number])
                for number, item in enumerate(changes)
            ]
        if time.monotonic() > until:
            raise NotReady(
                TranslatableText(
                    "the store and the history are still loading the journal; try again in a moment"
                )
            )
        await asyncio.sleep(_PAUSE)


def _later_rows(folder: Path, changes: Sequence[Change], position: int) -> list[list[str]] | None:
    """Return the rows of all changes after those *changes* up to *position*, newest first; None if
    the history has not reached *position*.

    They may include a change that the store does not have yet: undoing it has no lasting effect.
    """
    try:
        with closing(
            sqlite3.connect(f"file:{folder / NAME}?mode=ro", uri=True, timeout=5.0)
        ) as file:
            file.execute("BEGIN")
            known = file.execute("SELECT position FROM checkpoint").fetchone()
            if not known or known[0] < position:
                return None
            results = (
                file.execute(_LATER, (short(item.graph, ""), item.entry, position)).fetchall()
                for item in changes
            )
            return [
                [decompress_rows(rows).decode() for _, rows in them if rows is not None]
                for them in results
            ]
    except sqlite3.OperationalError:
        return None


def _read(results: bytes) -> dict[str, list[tuple[str, str, Term]]]:
    out: dict[str, list[tuple[str, str, Term]]] = {}
    for row in orjson.loads(results)["results"]["bindings"]:
        out.setdefault(row["graph"]["value"], []).append(
            (row["subject"]["value"], row["predicate"]["value"], _term(row["object"]))
        )
    return out


def _term(cell: Mapping[str, str]) -> Term:
    return Term(cell["value"], cell["type"], cell.get("xml:lang"), cell.get("datatype"))


def _state(
    graph: str, current: Mapping[str, list[tuple[str, str, Term]]], later: Sequence[str]
) -> RecordState:
    statements = current.get(graph, [])
    return RecordState(graph, tuple(_undo(statements, later) if later else statements))


def _undo(
    statements: Iterable[tuple[str, str, Term]], later: Sequence[str]
) -> Iterator[tuple[str, str, Term]]:
    """Undo *later*, the rows of changes, the last change first."""
    store = Store()
    store.extend(Quad(NamedNode(s), NamedNode(p), to_node(o)) for s, p, o in statements)
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
