"""Apply journal entries to the RDF store, which holds the merge of all graphs: each triple once,
without the names of its graphs. Applying an entry again changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from itertools import chain, islice

from pyoxigraph import NamedNode, Quad, RdfFormat, Store, parse

from publisher.projections.journal_reader import in_batches
from publisher.store.thread_priority import lower_merge_priority

# triples per transaction; one transaction of 400,000 quads took twice as long and 1.8 GB
BATCH = 1_000
LARGE = 50_000  # additions from which a bulk load is faster
# triples per bulk load, and their bytes from which no more are added
BULK, BULK_BYTES = 80_000, 24 << 20
THREADS = 2  # concurrent bulk loads: a third faster than one

# Returns the places of those rows of the journal whose triple is in some graph now.
Stated = Callable[[Sequence[bytes]], Collection[int]]


def apply(store: Store, rows: Iterable[bytes], stated: Stated) -> None:
    """Apply the rows ``A <s> <p> <o> <g> .`` and ``D ...`` of an entry. A deleted triple stays if
    it is *stated* after all that is applied, so that the order of rows does not matter.
    """
    deleted = list[bytes]()

    def added() -> Iterator[bytes]:
        for row in rows:
            if row[:1] == b"A":
                yield _triple(row)
            else:
                deleted.append(row)
            if len(deleted) >= LARGE:
                _remove(store, deleted, stated)
                deleted.clear()

    _add(store, added())
    _remove(store, deleted, stated)


def _triple(row: bytes) -> bytes:
    """Return the triple of a row, as a line of N-Triples."""
    return row[2 : row.rindex(b" <")] + b" .\n"


def _quads(lines: Iterable[bytes]) -> list[Quad]:
    return list(parse(b"".join(lines), RdfFormat.N_TRIPLES, lenient=True))


def _add(store: Store, lines: Iterator[bytes]) -> None:
    first = list(islice(lines, LARGE))
    if len(first) == LARGE:
        load(store, chain(first, lines))
        return
    for start in range(0, len(first), BATCH):
        store.extend(_quads(first[start : start + BATCH]))


def load(store: Store, lines: Iterable[bytes]) -> None:
    """Load *lines* of N-Triples into *store*, and merge the files that are written of them: queries
    then are 5 to 20 times faster.
    """

    def load_part(text: bytes) -> None:
        store.bulk_load(text, RdfFormat.N_TRIPLES, lenient=True)

    running = deque[Future[None]]()
    with ThreadPoolExecutor(THREADS) as executor:
        for batch in in_batches(lines, BULK, BULK_BYTES):
            if len(running) == THREADS:
                running.popleft().result()
            running.append(executor.submit(load_part, b"".join(batch)))
            lower_merge_priority()
        while running:
            running.popleft().result()
    lower_merge_priority()  # the last load may have started new threads
    store.optimize()


def _remove(store: Store, rows: Sequence[bytes], stated: Stated) -> None:
    if rows:
        places = stated(rows)
        for quad in _quads(_triple(row) for place, row in enumerate(rows) if place not in places):
            store.remove(quad)


def replace_graph(store: Store, graph: NamedNode, quads: Iterable[Quad], stated: Stated) -> bool:
    """Replace what is merged of *graph* by *quads*; return whether that changed anything. The store
    keeps this graph by its name too, to know what it was.
    """
    old = set(store.quads_for_pattern(None, None, None, graph))
    new = {quad for quad in quads if quad.graph_name == graph}
    gone = sorted(old - new, key=str)
    places = stated([f"D {quad} .\n".encode() for quad in gone]) if gone else ()
    store.extend([Quad(*quad.triple) for quad in new - old])
    for place, quad in enumerate(gone):
        if place not in places:
            store.remove(Quad(*quad.triple))
        store.remove(quad)
    store.extend(new - old)
    return old != new


def digest_of(quads: Iterable[Quad]) -> str:
    """Return a digest of the quads of a graph. Their order does not matter."""
    lines = sorted(str(quad.triple) for quad in quads)
    return blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()
