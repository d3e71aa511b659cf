"""Comparison: two moments of a log of records, by set and without, as ``/compare`` reads them when nothing is cached."""

from __future__ import annotations

import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.result_table import Aim, Json, Line, err, show, timed
from publisher.history import comparison
from publisher.history.change_writer import ChangeWriter
from publisher.history.comparison import compare, find_moment
from publisher.history.graph_changes import NAME, SCHEMA
from publisher.history.set_ranges import complete_ranges
from vocab.iris import Iris

_BASE, _DAY, _START = Iris().base, 86_400, 1_760_000_000
_REGISTRIES, _COUNTRIES, _GOALS, _LINES = 40, 190, 17, 18
_SHARE = 100  # one record in so many changes by an entry
_ENTRIES = 20  # after the first, which has all records
_AIM = Aim("most", 200, "ours")
_SETS = ("", "country:7", "source:r3", "line:C5:declared")


def _rows(name: str, chance: random.Random, sign: str) -> list[bytes]:
    thing, ns = f"<{_BASE}id/initiative/{name}>", f"{_BASE}ns#"
    rows = [f"<{_BASE}record/{name}> <http://xmlns.com/foaf/0.1/primaryTopic> {thing}"]
    rows += [f"{thing} <http://purl.org/dc/terms/spatial> <http://metadata.un.org/sdg/codes/geoArea/{chance.randrange(_COUNTRIES)}>"]
    rows += [f"{thing} <{ns}goal> <http://metadata.un.org/sdg/{goal}>" for goal in chance.sample(range(1, _GOALS + 1), chance.randrange(3))]
    rows += [f"{thing} <{ns}actionLine> <{_BASE}scheme/action-line/C{chance.randrange(1, _LINES)}>"]
    return [f"{sign} {row}".encode() for row in rows]


def _write(folder: Path, records: int) -> None:
    """Write a log of *records* records, of which each of _ENTRIES entries changes, removes and adds some."""
    chance, count = random.Random(1), records
    with closing(sqlite3.connect(folder / NAME)) as file:
        file.executescript(SCHEMA)
        writer = ChangeWriter(file, _BASE)
        for entry in range(1, _ENTRIES + 2):
            writer.begin()
            complete_ranges(file, entry - 1, entry)
            numbers = range(records) if entry == 1 else sorted(chance.sample(range(count), records // _SHARE))
            for number in numbers:
                sign = "D" if entry > 1 and number % 10 == 0 else "A"
                name = f"r{number % _REGISTRIES}/{number}"
                writer.record_change(name, entry, _rows(name, random.Random(number if sign == "D" else number * entry), sign))
            for number in range(count, count + (records // _SHARE // 10 if entry > 1 else 0)):
                writer.record_change(f"r{number % _REGISTRIES}/{number}", entry, _rows(f"r{number % _REGISTRIES}/{number}", chance, "A"))
                count += 1
            stamp = _START + entry * _DAY
            file.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", (entry, f"run-{entry}", stamp, stamp, *writer.end()))
            file.commit()


def _line(folder: Path, first: int, within: str) -> Line:
    last = _ENTRIES + 1
    before, after = (find_moment(folder, folder, f"entry/{number}", last) for number in (first, last))
    times = []
    for _ in range(3):
        for cached in (comparison._published, comparison._changes, comparison._changes_within):
            cached.cache_clear()
        times.append(timed(lambda: compare(folder, before, after, (within,) if within else ())))
    return Line(f"{last - first} entries{f', within {within}' if within else ''}", "ms", 1000 * min(times), aim=_AIM)


def main(
    records: Annotated[int, typer.Option(help="Records of the log.", min=1_000)] = 1_000_000,
    folder: Annotated[Path | None, typer.Option(help="Where the log is kept; without it, it is written anew and deleted.")] = None,
    json: Json = False,
) -> None:
    """Measure the time of a comparison that is not cached, by the number of entries between the moments."""
    with TemporaryDirectory(prefix="stocktake-comparison-") as temporary:
        place = folder or Path(temporary)
        if not (place / NAME).exists():
            err.print(f"writing a log of {records:,} records")
            place.mkdir(parents=True, exist_ok=True)
            _write(place, records)
        lines = [_line(place, first, within) for first in (_ENTRIES, _ENTRIES - 9, 1) for within in _SETS]
    show("comparison", lines, json=json)


if __name__ == "__main__":
    sys.setswitchinterval(0.1)
    typer.run(main)
