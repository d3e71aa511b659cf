"""Expected content of each graph: number of quads and sum of their digests, so that a million
graphs fit in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple, Protocol

from pyoxigraph import Quad, RdfFormat, parse

from journal.journal import Journal
from publisher.projections.journal_reader import rows_of

_BATCH = 10_000  # rows read at once
_MODULUS = 1 << 128


class Tally(NamedTuple):
    """The number of quads of a graph and the sum of their digests, which does not depend on their
    order.
    """

    quads: int = 0
    digest: int = 0

    def changed(self, quad: Quad, by: int) -> Tally:
        """Return the tally with *quad* added (by 1) or removed (by -1)."""
        one = int.from_bytes(blake2b(str(quad).encode(), digest_size=16).digest())
        return Tally(self.quads + by, (self.digest + by * one) % _MODULUS)


Tallies = dict[str, Tally]


@dataclass(frozen=True, slots=True)
class Difference:
    """The number of *missing* and *added* quads of a graph, compared with the journal. Graph "" is
    the merge of all graphs.
    """

    graph: str
    missing: int
    added: int


class AuditTarget(Protocol):
    """A store that can be verified and repaired."""

    @property
    def position(self) -> int:
        """Return the number of the last completely loaded entry."""

    def quads(self) -> Iterator[Quad]:
        """Yield all quads, except those of graphs that do not come from the journal."""

    def graph(self, graph: str) -> set[Quad]:
        """Return the quads of one graph."""

    def unmerged(self) -> Difference | None:
        """Compare the merge of all graphs with the graphs; None if it is correct."""

    def repair(self, graphs: dict[str, set[Quad]]) -> None:
        """Replace the content of each graph, and rebuild the merge."""


def tallies_of(changes: Iterable[tuple[Quad, int]]) -> Tallies:
    """Return the tally of each graph after *changes*, quads that are added (1) or removed (-1)."""
    tallies: Tallies = {}
    for quad, by in changes:
        graph = graph_of(quad)
        tally = tallies.get(graph, Tally()).changed(quad, by)
        if tally.quads:
            tallies[graph] = tally
        else:
            tallies.pop(graph, None)
    return tallies


def expected_quads(journal: Journal, position: int, graphs: Iterable[str]) -> dict[str, set[Quad]]:
    """Return the quads of *graphs* according to the journal, up to the entry *position*."""
    quads: dict[str, set[Quad]] = {graph: set() for graph in graphs}
    for quad, by in _changes(
        journal,
        position,
        lambda row: row.rpartition(b" <")[2].rstrip(b" .\n")[:-1].decode() in quads,
    ):
        (quads[graph_of(quad)].add if by > 0 else quads[graph_of(quad)].discard)(quad)
    return quads


def compare(
    journal: Journal, store: AuditTarget, progress: Callable[[str], None] = lambda _: None
) -> list[Difference]:
    """Compare a store with the journal, graph by graph; *progress* receives the name of each step
    as it begins.
    """
    position = store.position
    progress(f"reading the journal up to entry {position:,}")
    ours = tallies_of(_changes(journal, position, lambda _: True))
    progress("reading the store")
    theirs = tallies_of((quad, 1) for quad in store.quads())
    progress("comparing")
    different = sorted(graph for graph in {*ours, *theirs} if ours.get(graph) != theirs.get(graph))
    right = expected_quads(journal, position, different)
    faults = []
    for graph in different:
        there = store.graph(graph)
        faults.append(Difference(graph, len(right[graph] - there), len(there - right[graph])))
    merge = store.unmerged()
    return [*faults, merge] if merge else faults


def repair(journal: Journal, store: AuditTarget, faults: Iterable[Difference]) -> None:
    """Replace the graphs that differ by their state in the journal."""
    store.repair(
        expected_quads(journal, store.position, [fault.graph for fault in faults if fault.graph])
    )


def _changes(
    journal: Journal, position: int, is_relevant: Callable[[bytes], bool]
) -> Iterator[tuple[Quad, int]]:
    for entry in journal.entries():
        if entry.number > position:
            return
        rows = (row for row in rows_of(entry.lines()) if is_relevant(row))
        while batch := list(islice(rows, _BATCH)):
            quads = parse(b"".join(row[2:] for row in batch), RdfFormat.N_QUADS, lenient=True)
            yield from (
                (quad, 1 if row[:1] == b"A" else -1) for row, quad in zip(batch, quads, strict=True)
            )


def graph_of(quad: Quad) -> str:
    """Return the IRI of the graph of *quad*, "" for the default graph."""
    return str(getattr(quad.graph_name, "value", ""))
