"""Mapping: payload rows to N-Triples statements, next to rdflib's graphs and to an RML engine.

By hand: ``python benchmarks/map.py --records 20000``
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks.graphs import built, parts, same
from benchmarks.payloads import payloads, reader, records, statements
from benchmarks.rml import NotThere, environment, made, write
from benchmarks.table import Aim, Json, Line, err, pairs, show, timed
from harvesters.memory import calm
from harvesters.record import Record
from vocab.initiative import Resource

_TIMES = 5
_SHARE, _RML_SHARE = 20, 5  # rdflib and morph-kgc do one record in so many and rates are compared: morph-kgc's first second is its mapping

CACHE = Path.home() / ".cache" / "stocktake-bench"

Read = Callable[[Record[Any]], Resource]


def _graphs(found: list[Record[Any]], read: Read) -> list[Line]:
    """Compare with rdflib: alone what differs, from the model to text, and the whole path with the same reader."""
    its = [read(record) for record in found]
    few = found[: max(1, len(found) // _SHARE)]
    ready = [[parts(statement) for statement in statements(it)] for it in its[: len(few)]]
    if not all(same(statements(it), built(known)) for it, known in zip(its, ready, strict=False)):
        raise SystemExit("rdflib's statements differ from ours: the benchmark compares nothing")
    share, total = len(found) / len(few), sum(map(len, ready)) / len(few)

    def theirs() -> None:
        for record, known in zip(few, ready, strict=True):
            read(record)
            built(known)

    with calm():  # as a harvest has it, for both
        alone = pairs(lambda: [statements(it) for it in its], lambda: [built(known) for known in ready], _TIMES)
        whole = pairs(lambda: [statements(read(record)) for record in found], theirs, _TIMES)
    told = f"statements equal, {total:.0f} a record; rdflib is handed the terms' texts ready, a graph a record"
    rows = (
        ("model to N-Triples, next to rdflib's graph", alone, Aim("least", 15), told),
        ("payload to N-Triples, the same reader for both", whole, None, "the reader's time is in both"),
    )
    return [
        Line(what, "records/s", len(found) / pair.ours, len(few) / pair.peer, pair.ratio * share, aim, note)
        for what, pair, aim, note in rows
    ]


def _engine(raws: list[bytes], read: Read, cache: Path) -> list[Line]:
    """Compare with morph-kgc, file to file."""
    few = raws[: max(1, len(raws) // _RML_SHARE)]
    ready = [[parts(statement) for statement in statements(read(record))] for record in records(iter(few))]
    what = "JSON file to N-Triples file, next to morph-kgc"
    with tempfile.TemporaryDirectory(prefix="map-") as name:
        folder = Path(name)
        source, out, theirs = folder / "payloads.jsonl", folder / "ours.nt", folder / "theirs.nt"
        source.write_bytes(b"\n".join(raws))
        try:
            python, config = environment(cache), write(ready, folder)
            taken = [(timed(lambda: _ours(source, out, read)), made(python, config, theirs)) for _ in range(3)]
        except NotThere as error:
            return [Line(what, "records/s", len(raws) / timed(lambda: _ours(source, out, read)), note=f"no morph-kgc: {error}")]
        distinct = {it for record in ready for it in record}
        lines = [line for line in theirs.read_text(encoding="utf-8").split("\n") if line]
    note = f"it makes {len(lines):,} triples of ours {len(distinct):,}, from a table with ready IRIs, one process each"
    ratio = median((len(raws) / a) / (len(few) / b) for a, b in taken)
    ours, peer = (median(times) for times in zip(*taken, strict=True))
    return [Line(what, "records/s", len(raws) / ours, len(few) / peer, ratio, Aim("least", 10), note)]


def _ours(source: Path, out: Path, read: Read) -> None:
    with source.open("rb") as raws, out.open("w", encoding="utf-8") as file:
        for line in raws:
            (record,) = records(iter([line]))
            file.write(" .\n".join(statements(read(record))) + " .\n")


def main(
    count: Annotated[int, typer.Option("--records", help="Records to map; the slow peers do a part of them.", min=100)] = 100_000,
    cache: Annotated[Path, typer.Option(help="Folder of the peers' environments.")] = CACHE,
    json: Json = False,
) -> None:
    """Map generated CKAN packages, in turn with rdflib and morph-kgc."""
    read = reader()
    raws = list(payloads(count))
    err.print(f"mapping {len(raws):,} records")
    lines = _graphs(records(iter(raws)), read) + _engine(raws, read, cache.resolve())
    show("Mapping, next to rdflib and morph-kgc", lines, json)


if __name__ == "__main__":
    typer.run(main)
