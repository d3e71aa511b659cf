"""Application: how a journal entry gets into a store; doing it again, in part or in whole, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice

from pyoxigraph import NamedNode, Quad, RdfFormat, Store, parse

BATCH = 1_000  # quads a transaction: a single one of 400,000 took twice as long and 1.8 GB
LARGE = 50_000  # additions in a row from which a bulk load pays: it writes files of its own
BULK = 200_000  # quads a bulk load: a million at once took 900 MB and a third longer, this 200 MB


class Lines:
    """A file to read from, made of lines as they come, so that nothing is held but the next few."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """Give at most *size* bytes; nothing at the end."""
        if not self._rest:
            self._rest = b"".join(islice(self._lines, 256))
        if size < 0:
            whole, self._rest = self._rest + b"".join(self._lines), b""
            return whole
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


def rows_of(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out the lines of a patch that are neither additions nor deletions."""
    return (line for line in lines if line[:2] in (b"A ", b"D "))


def apply(store: Store, rows: Iterable[bytes]) -> int | None:
    """Apply the rows ``A <s> <p> <o> <g> .`` and ``D ...``, in their order; give how many quads the store has grown by.

    None where that was not counted, because much was loaded at once.
    """
    grown: int | None = 0
    for added, group in groupby(rows, key=lambda row: row[:1] == b"A"):
        quads = (row[2:] for row in group)
        change = _add(store, quads) if added else _remove(store, quads)
        grown = None if grown is None or change is None else grown + change
    return grown


def _quads(lines: Iterable[bytes]) -> list[Quad]:
    quads: list[Quad] = list(parse(b"".join(lines), RdfFormat.N_QUADS))
    return quads


def _add(store: Store, lines: Iterator[bytes]) -> int | None:
    first = list(islice(lines, LARGE))
    if len(first) == LARGE:
        return _load(store, chain(first, lines))
    grown = 0
    for start in range(0, len(first), BATCH):
        quads = {quad for quad in _quads(first[start : start + BATCH]) if quad not in store}
        store.extend(quads)
        grown += len(quads)
    return grown


def _load(store: Store, lines: Iterator[bytes]) -> None:
    for line in lines:
        store.bulk_load(Lines(chain([line], islice(lines, BULK - 1))), RdfFormat.N_QUADS)  # type: ignore[arg-type]  # it needs only read


def _remove(store: Store, lines: Iterator[bytes]) -> int:
    grown = 0
    while batch := list(islice(lines, BATCH)):
        for quad in _quads(batch):
            if quad in store:
                store.remove(quad)
                grown -= 1
    return grown


def replace_graph(store: Store, graph: NamedNode, quads: Iterable[Quad]) -> int:
    """Make *quads* all that *graph* holds; give how many there are."""
    old, new = set(store.quads_for_pattern(None, None, None, graph)), {quad for quad in quads if quad.graph_name == graph}
    for quad in old - new:
        store.remove(quad)
    store.extend(new - old)
    return len(new)
