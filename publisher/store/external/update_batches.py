"""Write the rows of a journal entry as SPARQL updates of bounded size that may be repeated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from publisher.store.external.engine_quirks import MERGE, STATE

BATCH = 1_000  # quads per update; Virtuoso's compiler fails at 5,000
MAX_BYTES = 500_000  # per update
LARGE = 3_000  # consecutive additions from which the Graph Store Protocol is faster
BULK = 50_000  # quads per load

Quad = tuple[str, str]  # a triple as N-Triples without its dot, and the graph's IRI in its brackets


class QuadRun(NamedTuple):
    """Consecutive quads that are all added or all removed, as lines of N-Quads."""

    added: bool
    quads: list[bytes]


def quad_runs(rows: Iterable[bytes], max_quads: int) -> Iterator[QuadRun]:
    """Split the rows of a journal entry into runs of removals and additions; each pair has at most
    *max_quads* quads.

    The journal removes only existing quads and adds only missing ones, so a quad that is both
    removed and added in one part is unchanged. Without this, each old and new line of a record
    would be a separate update.

    >>> list(quad_runs([b"D old .", b"A new .", b"A both .", b"D both ."], 10))
    [QuadRun(added=False, quads=[b'old .']), QuadRun(added=True, quads=[b'new .'])]
    """
    changes: dict[bytes, bool] = {}
    for row in rows:
        line, added = row[2:], row[:1] == b"A"
        if changes.get(line, added) is not added:
            del changes[line]
        else:
            changes[line] = added
        if len(changes) == max_quads:
            yield from _sorted(changes)
            changes = {}
    yield from _sorted(changes)


def _sorted(changes: dict[bytes, bool]) -> Iterator[QuadRun]:
    for added in (False, True):
        if quads := [line for line, item in changes.items() if item is added]:
            yield QuadRun(added, quads)


def batches(
    lines: Iterable[bytes], max_quads: int = BATCH, max_bytes: int = MAX_BYTES
) -> Iterator[list[bytes]]:
    """Split lines into batches of at most *max_quads* lines and *max_bytes* bytes, one for each
    update.
    """
    changes: list[bytes] = []
    size = 0
    for line in lines:
        if changes and (len(changes) == max_quads or size + len(line) > max_bytes):
            yield changes
            changes, size = [], 0
        changes.append(line)
        size += len(line)
    if changes:
        yield changes


def split_quad(line: bytes) -> Quad:
    """Split a line of N-Quads into its triple and its graph.

    >>> split_quad(b'<x:s> <x:p> "o" <x:g> .')
    ('<x:s> <x:p> "o"', '<x:g>')
    """
    text = line.decode().rstrip().removesuffix(".").rstrip()
    triple, _, graph = text.rpartition(" ")
    return triple, graph


def insert_update(lines: Iterable[bytes], merged: str) -> str:
    """Return the update that adds quads, each to its graph and to the merge."""
    return f"INSERT DATA {{\n{_graphs(lines, merged)}}}"


def delete_update(lines: list[bytes], merged: str) -> str:
    """Return the update that removes quads. Triples that another graph still contains are added to
    the merge again, in the same update.
    """
    pairs = {" ".join(split_quad(line)[0].split(" ", 2)[:2]) for line in lines}
    into = _into(merged, "?s ?p ?o .")
    values = f"VALUES (?s ?p) {{ {' '.join(f'({pair})' for pair in sorted(pairs))} }}"
    others = f"GRAPH ?g {{ ?s ?p ?o }} FILTER(?g NOT IN (<{MERGE}>, <{STATE}>))"
    return f"DELETE DATA {{\n{_graphs(lines, merged)}}} ;\nINSERT {{ {into} }} WHERE {{ {values} {others} }}"


def _graphs(lines: Iterable[bytes], merged: str) -> str:
    quads = sorted((graph, triple) for triple, graph in map(split_quad, lines))
    groups = [
        f"GRAPH {graph} {{ {' '.join(f'{triple} .' for _, triple in group)} }}\n"
        for graph, group in groupby(quads, lambda item: item[0])
    ]
    return "".join(
        [
            *groups,
            _into(
                merged,
                " ".join(f"{triple} ." for triple in sorted({triple for _, triple in quads})),
            ),
            "\n",
        ]
    )


def _into(merged: str, triples: str) -> str:
    return f"GRAPH <{merged}> {{ {triples} }}" if merged else triples
