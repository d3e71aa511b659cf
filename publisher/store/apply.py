"""Apply journal entries to a store. Applying an entry again changes nothing.

The engine's union of all graphs returns a triple once for each graph that contains it, so counts
would be wrong: many records contain the name of the same organization. Each triple is therefore
also stored once in the default graph, which is the RDF merge of all named graphs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from itertools import chain, groupby, islice
from typing import NamedTuple

from pyoxigraph import DefaultGraph, NamedNode, Quad, QuerySolutions, RdfFormat, Store, parse

from publisher.projections.journal_reader import in_batches
from publisher.store.thread_priority import lower_merge_priority

# quads per transaction; one transaction of 400,000 quads took twice as long and 1.8 GB
BATCH = 1_000
LARGE = 50_000  # consecutive additions from which a bulk load is faster
# quads per bulk load, and their bytes from which no more are added: 270 MB on two threads; a million
# quads at once took 900 MB and a third longer
BULK, BULK_BYTES = 80_000, 24 << 20
THREADS = 2  # concurrent bulk loads: a third faster than one

_DEFAULT = DefaultGraph()


class Growth(NamedTuple):
    """The number of quads that a store has gained, and whether some were bulk-loaded.

    A bulk load counts all of its quads, since the journal adds only new ones. If an entry is
    applied again after a crash, the number is too large.
    """

    quads: int
    bulk: bool


def apply(store: Store, rows: Iterable[bytes]) -> Growth:
    """Apply the rows ``A <s> <p> <o> <g> .`` and ``D ...``, in their order."""
    quads, bulk = 0, False
    for added, group in groupby(rows, key=lambda row: row[:1] == b"A"):
        lines = (row[2:] for row in group)
        growth = _add(store, lines) if added else Growth(_remove(store, lines), False)
        quads, bulk = quads + growth.quads, bulk or growth.bulk
    return Growth(quads, bulk)


def _quads(lines: Iterable[bytes]) -> list[Quad]:
    return list(parse(b"".join(lines), RdfFormat.N_QUADS, lenient=True))


def _add(store: Store, lines: Iterator[bytes]) -> Growth:
    first = list(islice(lines, LARGE))
    if len(first) == LARGE:
        return Growth(_load(store, chain(first, lines)), True)
    return Growth(
        sum(
            _extend(store, _quads(first[start : start + BATCH]))
            for start in range(0, len(first), BATCH)
        ),
        False,
    )


def _extend(store: Store, quads: Iterable[Quad]) -> int:
    new = {quad for quad in quads if quad not in store}
    store.extend([*new, *(Quad(*quad.triple) for quad in new)])
    return len(new)


def _load(store: Store, lines: Iterable[bytes]) -> int:
    def load(text: bytes) -> None:
        store.bulk_load(text, RdfFormat.N_QUADS, lenient=True)

    loaded, running = 0, deque[Future[None]]()
    with ThreadPoolExecutor(THREADS) as executor:
        for batch in in_batches(lines, BULK, BULK_BYTES):
            loaded += len(batch)
            for text in (
                b"".join(batch),
                b"".join(line[: line.rindex(b" <")] + b" .\n" for line in batch),
            ):
                if len(running) == THREADS:
                    running.popleft().result()
                running.append(executor.submit(load, text))
            lower_merge_priority()
        while running:
            running.popleft().result()
    lower_merge_priority()  # the last load may have started new threads
    return loaded


def _remove(store: Store, lines: Iterator[bytes]) -> int:
    difference = 0
    while batch := list(islice(lines, BATCH)):
        quads = _quads(batch)
        difference -= sum(_discard(store, quad) for quad in quads)
        for graph in {quad.graph_name for quad in quads}:
            if (
                isinstance(graph, NamedNode)
                and next(store.quads_for_pattern(None, None, None, graph), None) is None
            ):
                store.remove_graph(graph)  # or ``GRAPH ?g {}`` would still find it
    return difference


def _discard(store: Store, quad: Quad) -> bool:
    was_stored = quad in store
    graphs = {
        other.graph_name
        for other in store.quads_for_pattern(quad.subject, quad.predicate, quad.object, None)
    }
    if graphs <= {_DEFAULT, quad.graph_name}:
        # first: after a crash between the two, the repeated removal must still find the quad
        store.remove(Quad(*quad.triple))
    store.remove(quad)
    return was_stored


def replace_graph(store: Store, graph: NamedNode, quads: Iterable[Quad]) -> bool:
    """Replace the quads of *graph* by *quads*; return whether that changed anything."""
    old = set(store.quads_for_pattern(None, None, None, graph))
    new = {quad for quad in quads if quad.graph_name == graph}
    for quad in old - new:
        _discard(store, quad)
    _extend(store, new - old)
    return old != new


def unmerged_quads(store: Store) -> Iterator[Quad]:
    """Yield the triples of named graphs that the default graph lacks; a triple of two graphs is
    yielded twice.
    """
    return _selected(store, "GRAPH ?g { ?s ?p ?o } FILTER NOT EXISTS { ?s ?p ?o }")


def stale_quads(store: Store) -> Iterator[Quad]:
    """Yield the triples of the default graph that no named graph contains."""
    return _selected(store, "?s ?p ?o FILTER NOT EXISTS { GRAPH ?g { ?s ?p ?o } }")


def _selected(store: Store, pattern: str) -> Iterator[Quad]:
    """Yield the triples ?s ?p ?o of *pattern*: the engine is faster than one lookup for each quad."""
    solutions = store.query(f"SELECT ?s ?p ?o {{ {pattern} }}")
    assert isinstance(solutions, QuerySolutions)
    for row in solutions:
        yield Quad(row["s"], row["p"], row["o"])


def rebuild_default_graph(store: Store) -> None:
    """Rebuild the default graph as the merge of all named graphs."""
    store.extend(set(unmerged_quads(store)))
    for quad in list(stale_quads(store)):
        store.remove(quad)


def digest(store: Store, graph: NamedNode) -> str:
    """Return a digest of the quads of *graph*: equal for equal quads."""
    return digest_of(store.quads_for_pattern(None, None, None, graph))


def digest_of(quads: Iterable[Quad]) -> str:
    """Return a digest of the quads of a graph. Their order does not matter."""
    lines = sorted(str(quad.triple) for quad in quads)
    return blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def count(store: Store, excluded: NamedNode) -> int:
    """Count the quads in named graphs, except those in the graph *excluded*."""
    solutions = store.query("SELECT (COUNT(*) AS ?quads) { GRAPH ?graph { ?s ?p ?o } }")
    assert isinstance(solutions, QuerySolutions)
    return int(next(solutions)["quads"].value) - sum(
        1 for _ in store.quads_for_pattern(None, None, None, excluded)
    )
