"""Write the rows of a journal entry as SPARQL updates of bounded size that may be repeated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from publisher.store.external.engine_quirks import MERGE, STATE

BATCH = 1_000  # quads an update: Virtuoso's compiler has no room for 5,000
ROOM = 500_000  # bytes of one
LARGE = 3_000  # additions in a row from which the Graph Store Protocol pays
BULK = 50_000  # quads a load

Quad = tuple[str, str]  # a triple as N-Triples without its dot, and the graph's IRI in its brackets


class QuadRun(NamedTuple):
    """Quads that are added, or taken out, one after the other."""

    added: bool
    quads: list[bytes]


def quad_runs(rows: Iterable[bytes], most: int) -> Iterator[QuadRun]:
    """Cut a patch's rows into what is taken out and then what is added, of at most *most* quads in all; each quad is a line of N-Quads.

    A journal takes out only what is there and adds only what is not, so a quad that goes and comes within a cut stays as it was.
    Row by row, a record's old and new lines would be an update each.

    >>> list(quad_runs([b"D old .", b"A new .", b"A both .", b"D both ."], 10))
    [QuadRun(added=False, quads=[b'old .']), QuadRun(added=True, quads=[b'new .'])]
    """
    held: dict[bytes, bool] = {}
    for row in rows:
        line, added = row[2:], row[:1] == b"A"
        if held.get(line, added) is not added:
            del held[line]
        else:
            held[line] = added
        if len(held) == most:
            yield from _sorted(held)
            held = {}
    yield from _sorted(held)


def _sorted(held: dict[bytes, bool]) -> Iterator[QuadRun]:
    for added in (False, True):
        if quads := [line for line, item in held.items() if item is added]:
            yield QuadRun(added, quads)


def batches(lines: Iterable[bytes], most: int = BATCH, room: int = ROOM) -> Iterator[list[bytes]]:
    """Cut lines into batches that one update can hold."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        if held and (len(held) == most or size + len(line) > room):
            yield held
            held, size = [], 0
        held.append(line)
        size += len(line)
    if held:
        yield held


def split_quad(line: bytes) -> Quad:
    """Take a line of N-Quads apart.

    >>> split_quad(b'<x:s> <x:p> "o" <x:g> .')
    ('<x:s> <x:p> "o"', '<x:g>')
    """
    text = line.decode().rstrip().removesuffix(".").rstrip()
    triple, _, graph = text.rpartition(" ")
    return triple, graph


def insert_update(lines: Iterable[bytes], merged: str) -> str:
    """Write the update that adds quads, each to its graph and to the merge."""
    return f"INSERT DATA {{\n{_graphs(lines, merged)}}}"


def delete_update(lines: list[bytes], merged: str) -> str:
    """Write the update that takes quads out; what another graph still holds comes back into the merge in the same transaction."""
    pairs = {" ".join(split_quad(line)[0].split(" ", 2)[:2]) for line in lines}
    into = _into(merged, "?s ?p ?o .")
    left = f"VALUES (?s ?p) {{ {' '.join(f'({pair})' for pair in sorted(pairs))} }}"
    others = f"GRAPH ?g {{ ?s ?p ?o }} FILTER(?g NOT IN (<{MERGE}>, <{STATE}>))"
    return f"DELETE DATA {{\n{_graphs(lines, merged)}}} ;\nINSERT {{ {into} }} WHERE {{ {left} {others} }}"


def _graphs(lines: Iterable[bytes], merged: str) -> str:
    quads = sorted((graph, triple) for triple, graph in map(split_quad, lines))
    groups = [
        f"GRAPH {graph} {{ {' '.join(f'{triple} .' for _, triple in group)} }}\n" for graph, group in groupby(quads, lambda item: item[0])
    ]
    return "".join([*groups, _into(merged, " ".join(f"{triple} ." for triple in sorted({triple for _, triple in quads}))), "\n"])


def _into(merged: str, triples: str) -> str:
    return f"GRAPH <{merged}> {{ {triples} }}" if merged else triples
