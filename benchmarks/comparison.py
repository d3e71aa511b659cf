"""Two moments of a log of records, by set and without, as ``/compare`` reads them when nothing is
cached.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from pyroaring import BitMap

from benchmarks.result_table import Aim, Json, Line, err, show
from publisher.history import comparison
from publisher.history.change_writer import all_sets
from publisher.history.comparison import compare, find_moment
from publisher.history.graph_changes import NAME, SCHEMA
from publisher.history.set_ranges import TouchedRecords, complete_ranges, write_entry

_DAY = 86_400  # seconds
_REGISTRIES, _COUNTRIES, _GOALS, _LINES = 40, 190, 17, 18
_SHARE = 100  # one record in so many changes by an entry
_ENTRIES = 20  # after the first, which has all records
_GONE = 0.1  # share of the touched records that an entry removes
_AIM = Aim("most", 200, "ours")
_SETS = ("", "country:7", "source:r3", "line:C5:declared")


def _sets(number: int, version: int) -> frozenset[str]:
    """Return the sets of a record; those of another version differ."""
    chosen = number * 2_654_435_761 + version * 40_503
    leaves = {
        f"country:{chosen % _COUNTRIES}",
        f"line:C{chosen // 7 % _LINES + 1}:declared",
        f"goal:{chosen // 11 % _GOALS + 1}:declared",
    }
    return frozenset(all_sets(f"r{number % _REGISTRIES}/{number}", "initiative", frozenset(leaves)))


def _write(folder: Path, records: int) -> None:
    """Write what a comparison reads of a log: all *records* come with the first entry, and each
    other one changes a share of them.

    An entry removes a tenth of those that it touches, and brings back those that are gone.
    """
    chance, versions = random.Random(1), bytearray(records)  # 0: not published
    with closing(sqlite3.connect(folder / NAME)) as file:
        file.executescript(SCHEMA)
        ids: dict[str, int] = {}
        published: Counter[str] = Counter()
        for entry in range(1, _ENTRIES + 2):
            before, after = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
            for number in (
                range(records) if entry == 1 else chance.sample(range(records), records // _SHARE)
            ):
                for name in _sets(number, versions[number]) if versions[number] else ():
                    before[name].append(number)
                versions[number] = 0 if versions[number] and chance.random() < _GONE else entry
                for name in _sets(number, versions[number]) if versions[number] else ():
                    after[name].append(number)
            names = sorted(before.keys() | after.keys())
            complete_ranges(file, entry - 1, entry)
            touched = {
                ids.setdefault(name, len(ids) + 1): TouchedRecords(
                    BitMap(before[name]), BitMap(after[name])
                )
                for name in names
            }
            write_entry(file, entry, touched)
            published.update({name: len(after[name]) - len(before[name]) for name in names})
            file.executemany(
                "INSERT INTO set_size VALUES (?, ?, ?)",
                [(ids[name], entry, published[name]) for name in names],
            )
            file.execute(
                "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)",
                (entry, f"run-{entry}", entry * _DAY, entry * _DAY, entry, 0),
            )
        file.executemany(
            "INSERT INTO record_set VALUES (?, ?, 0)",
            [(number, name) for name, number in ids.items()],
        )
        file.commit()


def _line(folder: Path, first: int, within: str) -> Line:
    last = _ENTRIES + 1
    before, after = (
        find_moment(folder, folder, f"entry/{number}", last) for number in (first, last)
    )
    times = []
    for _ in range(3):
        for cached in (comparison._published, comparison._changes, comparison._changes_within):
            cached.cache_clear()
        began = time.process_time()
        compare(folder, before, after, (within,) if within else ())
        times.append(time.process_time() - began)
    return Line(
        f"{last - first} of {last} entries{f', within {within}' if within else ''}",
        "ms",
        1000 * min(times),
        aim=_AIM,
    )


def main(
    records: Annotated[int, typer.Option(help="Records of the log.", min=1_000)] = 1_000_000,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where the log is kept; without it, it is written anew and deleted."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure the processor time of a comparison that is not cached, by the number of entries
    between the moments.
    """
    with TemporaryDirectory(prefix="stocktake-comparison-") as temporary:
        position = folder or Path(temporary)
        if not (position / NAME).exists():
            err.print(f"writing a log of {records:,} records")
            position.mkdir(parents=True, exist_ok=True)
            _write(position, records)
        lines = [
            _line(position, first, within)
            for first in (_ENTRIES, _ENTRIES - 9, 1)
            for within in _SETS
        ]
    show("comparison", lines, json=json)


if __name__ == "__main__":
    typer.run(main)
