"""Apply journal entries to a store; applying one again, in part or in whole, changes nothing.

The engine's union of all graphs gives a triple once for each graph that holds it, and so wrong counts: an organization's
name is in every record that names it. So each triple is kept in the default graph too, once, as the merge of all
graphs that SPARQL means, and queries need no union.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from itertools import chain, groupby, islice
from typing import NamedTuple

from pyoxigraph import DefaultGraph, NamedNode, Quad, QuerySolutions, RdfFormat, Store, parse

from publisher.store.thread_priority import lower_merge_priority

BATCH = 1_000  # quads a transaction: a single one of 400,000 took twice as long and 1.8 GB
LARGE = 50_000  # additions in a row from which a bulk load pays: it writes files of its own
BULK = 80_000  # quads a bulk load: a million at once took 900 MB and a third longer, these 270 MB on two threads
THREADS = 2  # bulk loads at once: a third faster than one after the other

_DEFAULT = DefaultGraph()


class Growth(NamedTuple):
    """How many quads a store has grown by, and whether some of them were loaded in bulk.

    A bulk load counts what it is given, for a journal adds only what is not there; where an entry is applied again after a
    crash the number is too large.
    """

    quads: int
    bulk: bool


def apply(store: Store, rows: Iterable[bytes]) -> Growth:
    """Apply the rows ``A <s> <p> <o> <g> .`` and ``D ...``, in their order."""
    quads, bulk = 0, False
    for added, group in groupby(rows, key=lambda row: row[:1] == b"A"):
        lines = (row[2:] for row in group)
        change = _add(store, lines) if added else Growth(_remove(store, lines), False)
        quads, bulk = quads + change.quads, bulk or change.bulk
    return Growth(quads, bulk)


def _quads(lines: Iterable[bytes]) -> list[Quad]:
    return list(parse(b"".join(lines), RdfFormat.N_QUADS, lenient=True))


def _add(store: Store, lines: Iterator[bytes]) -> Growth:
    first = list(islice(lines, LARGE))
    if len(first) == LARGE:
        return Growth(_load(store, chain(first, lines)), True)
    return Growth(sum(_extend(store, _quads(first[start : start + BATCH])) for start in range(0, len(first), BATCH)), False)


def _extend(store: Store, quads: Iterable[Quad]) -> int:
    new = {quad for quad in quads if quad not in store}
    store.extend([*new, *(Quad(*quad.triple) for quad in new)])
    return len(new)


def _load(store: Store, lines: Iterator[bytes]) -> int:
    def load(text: bytes) -> None:
        store.bulk_load(text, RdfFormat.N_QUADS, lenient=True)

    loaded, running = 0, deque[Future[None]]()
    with ThreadPoolExecutor(THREADS) as threads:
        while batch := list(islice(lines, BULK)):
            loaded += len(batch)
            for text in (b"".join(batch), b"".join(line[: line.rindex(b" <")] + b" .\n" for line in batch)):
                if len(running) == THREADS:
                    running.popleft().result()
                running.append(threads.submit(load, text))
            lower_merge_priority()
        while running:
            running.popleft().result()
    lower_merge_priority()  # the last of them may have been made by the last load
    return loaded


def _remove(store: Store, lines: Iterator[bytes]) -> int:
    grown = 0
    while batch := list(islice(lines, BATCH)):
        quads = _quads(batch)
        grown -= sum(_discard(store, quad) for quad in quads)
        for graph in {quad.graph_name for quad in quads}:
            if isinstance(graph, NamedNode) and next(store.quads_for_pattern(None, None, None, graph), None) is None:
                store.remove_graph(graph)  # or ``GRAPH ?g {}`` would still find it
    return grown


def _discard(store: Store, quad: Quad) -> bool:
    held = quad in store
    graphs = {other.graph_name for other in store.quads_for_pattern(quad.subject, quad.predicate, quad.object, None)}
    if graphs <= {_DEFAULT, quad.graph_name}:
        store.remove(Quad(*quad.triple))  # first: who comes again after a crash between the two must still find the quad
    store.remove(quad)
    return held


def replace_graph(store: Store, graph: NamedNode, quads: Iterable[Quad]) -> bool:
    """Replace the quads of *graph* by *quads*; return whether that changed anything."""
    old, new = set(store.quads_for_pattern(None, None, None, graph)), {quad for quad in quads if quad.graph_name == graph}
    for quad in old - new:
        _discard(store, quad)
    _extend(store, new - old)
    return old != new


def unmerged_quads(store: Store) -> Iterator[Quad]:
    """Return the triples of graphs that the merge lacks, some twice."""
    for quad in store.quads_for_pattern(None, None, None, None):
        if quad.graph_name != _DEFAULT and (merged := Quad(*quad.triple)) not in store:
            yield merged


def stale_quads(store: Store) -> Iterator[Quad]:
    """Return the triples of the merge that no graph holds."""
    for quad in store.quads_for_pattern(None, None, None, _DEFAULT):
        if all(other.graph_name == _DEFAULT for other in store.quads_for_pattern(quad.subject, quad.predicate, quad.object, None)):
            yield quad


def rebuild_default_graph(store: Store) -> None:
    """Make the default graph the merge of all named graphs again."""
    store.extend(set(unmerged_quads(store)))
    for quad in list(stale_quads(store)):
        store.remove(quad)


def digest(store: Store, graph: NamedNode) -> str:
    """Return a digest of what *graph* holds, the same wherever it holds the same."""
    return digest_of(store.quads_for_pattern(None, None, None, graph))


def digest_of(quads: Iterable[Quad]) -> str:
    """Return a digest of the quads of a graph, whatever their order."""
    lines = sorted(str(quad.triple) for quad in quads)
    return blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def count(store: Store, but: NamedNode) -> int:
    """Count the quads in named graphs, but not those in the graph *but*."""
    solutions = store.query("SELECT (COUNT(*) AS ?quads) { GRAPH ?graph { ?s ?p ?o } }")
    assert isinstance(solutions, QuerySolutions)
    return int(next(solutions)["quads"].value) - sum(1 for _ in store.quads_for_pattern(None, None, None, but))
