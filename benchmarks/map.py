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

from benchmarks.graph_comparison import parts, same
from benchmarks.payloads import model, payloads, reader, ready, record, records, statements, theirs
from benchmarks.result_table import Aim, Json, Line, err, pairs, show, timed
from benchmarks.rml_comparison import NotThere, environment, run_mapper, write
from harvesters.page_model import Record
from harvesters.pipeline.gc_tuning import reduced_gc
from vocab.initiative import Resource

_TIMES = 5
# rdflib and morph-kgc do one record in so many and rates are compared: morph-kgc's first second is
# its mapping
_SHARE, _RML_SHARE = 20, 5

_ENGINE = "ready rows to N-Triples file, next to morph-kgc"
CACHE = Path.home() / ".cache" / "stocktake-benchmarks"

Read = Callable[[Record[Any]], Resource]


def _graphs(inputs: list[Record[Any]], read: Read) -> list[Line]:
    """Compare with rdflib: alone what differs, from the model to text, and the whole path with the
    same reader.
    """
    models = [read(record) for record in inputs]
    few = inputs[: max(1, len(inputs) // _SHARE)]
    if not all(same(statements(item), theirs(item)) for item in models[: len(few)]):
        raise SystemExit("rdflib's statements differ from ours: the benchmark compares nothing")
    share = len(inputs) / len(few)
    total = sum(len(statements(item)) for item in models[: len(few)]) / len(few)
    with reduced_gc():  # as a harvest has it, for both
        few_models = models[: len(few)]
        alone = pairs(
            lambda: [statements(item) for item in models],
            lambda: [theirs(item) for item in few_models],
            _TIMES,
        )
        whole = pairs(
            lambda: [statements(read(record)) for record in inputs],
            lambda: [theirs(read(record)) for record in few],
            _TIMES,
        )
    note = f"statements equal, {total:.0f} a record; rdflib makes terms, a graph a record, and N-Triples from the same model"
    rows = (
        ("model to N-Triples, next to rdflib's graph", alone, Aim("least", 15), note),
        (
            "payload to N-Triples, the same reader for both",
            whole,
            None,
            "the reader's time is in both",
        ),
    )
    return [
        Line(
            what,
            "records/s",
            len(inputs) / pair.ours,
            len(few) / pair.peer,
            pair.ratio * share,
            aim,
            note,
        )
        for what, pair, aim, note in rows
    ]


def _engine(raws: list[bytes], read: Read, cache: Path) -> list[Line]:
    """Compare with morph-kgc, file to file: the same ready values for both, and for us the portal's
    own packages too.
    """
    few = raws[: max(1, len(raws) // _RML_SHARE)]
    described = [
        [parts(statement) for statement in statements(read(record))]
        for record in records(iter(few))
    ]
    with tempfile.TemporaryDirectory(prefix="map-") as name:
        folder = Path(name)
        packages, models, out, theirs = (
            folder / item for item in ("packages.jsonl", "models.jsonl", "ours.nt", "theirs.nt")
        )
        packages.write_bytes(b"\n".join(raws))
        models.write_bytes(b"\n".join(ready(read(record)) for record in records(iter(raws))))

        def ours() -> tuple[float, float]:
            return timed(lambda: _written(models, out, model)), timed(
                lambda: _written(packages, out, lambda raw: read(record(raw)))
            )

        try:
            python, config = environment(cache), write(described, folder)
            with reduced_gc():  # as a harvest has it; morph-kgc's process starts with nothing in it
                durations = [(*ours(), run_mapper(python, config, theirs)) for _ in range(3)]
        except NotThere as error:
            return [
                Line(_ENGINE, "records/s", len(raws) / ours()[0], note=f"no morph-kgc: {error}")
            ]
        lines = [line for line in theirs.read_text(encoding="utf-8").split("\n") if line]
    distinct = {item for record in described for item in record}
    note = f"ready values for both, one process each; it makes {len(lines):,} triples of ours {len(distinct):,}"
    peer = len(few) / median(item[2] for item in durations)
    return [
        Line(
            what,
            "records/s",
            len(raws) / median(item[which] for item in durations),
            peer,
            _ratio(durations, which, len(raws) / len(few)),
            aim,
            note,
        )
        for what, which, aim, note in (
            (_ENGINE, 0, Aim("least", 10), note),
            (
                "the portal's packages to N-Triples file",
                1,
                None,
                "with the reader and its crosswalks, which morph-kgc is spared",
            ),
        )
    ]


def _ratio(durations: list[tuple[float, float, float]], which: int, share: float) -> float:
    return median(share * times[2] / times[which] for times in durations)


def _written(source: Path, out: Path, read: Callable[[bytes], Resource]) -> None:
    with source.open("rb") as raws, out.open("w", encoding="utf-8") as file:
        for line in raws:
            file.write(" .\n".join(statements(read(line))) + " .\n")


def main(
    count: Annotated[
        int,
        typer.Option(
            "--records", help="Records to map; the slow peers do a part of them.", min=100
        ),
    ] = 100_000,
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
