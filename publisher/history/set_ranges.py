"""Which records of each set the entries of a range touched: in the set before the range, and in it
after the range.

Ranges of entries are joined by four, so that few rows describe any range. A set is a bitmap of the
numbers of its records (https://roaringbitmap.org/). A record that is touched and in a set before
and after has changed; in it only before, it is gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyroaring import BitMap

SCHEMA = """
CREATE TABLE IF NOT EXISTS set_range (
    level INTEGER, number INTEGER, set_id INTEGER, before BLOB, after BLOB, PRIMARY KEY (level, number, set_id)
) WITHOUT ROWID;
"""
_JOINED = 4  # ranges of a level that one of the next level covers
_READ = "SELECT set_id, before, after FROM set_range WHERE level = ? AND number = ?"
_WRITE = "INSERT OR REPLACE INTO set_range VALUES (?, ?, ?, ?, ?)"


@dataclass(slots=True)
class TouchedRecords:
    """The touched records that are in a set *before* and *after* a range of entries."""

    before: BitMap = field(default_factory=BitMap)
    after: BitMap = field(default_factory=BitMap)

    def extend(self, before: BitMap, after: BitMap) -> None:
        """Continue with the next range: a record of *before* that is in neither bitmap of this
        range was in the set all the time.
        """
        self.before |= before - self.after
        self.after -= before
        self.after |= after


Ranges = dict[int, TouchedRecords]  # by the number of the set


def write_entry(file: sqlite3.Connection, entry: int, ranges: Ranges) -> None:
    """Store what *entry* did to each set."""
    _write(file, 0, entry, ranges)


def complete_ranges(file: sqlite3.Connection, previous: int, entry: int) -> None:
    """Join the ranges that end before *entry*, the one to be recorded next; *previous* is the last
    one that is recorded.
    """
    level, length = 1, _JOINED
    while length <= entry:
        for number in range(previous // length, entry // length):
            ranges: Ranges = {}
            for part in range(number * _JOINED, (number + 1) * _JOINED):
                _extend(file, level - 1, part, ranges)
            _write(file, level, number, ranges)
        level, length = level + 1, length * _JOINED


def read_ranges(
    file: sqlite3.Connection, first: int, last: int, ranges: Ranges | None = None
) -> Ranges:
    """Return what the entries *first* to *last* did to each set; *ranges* are those of the entries
    before, which are extended.
    """
    ranges = {} if ranges is None else ranges
    newest = file.execute("SELECT MAX(number) FROM entry").fetchone()[0] or 0
    for level, number in _parts(first, last, newest):
        _extend(file, level, number, ranges)
    return ranges


def _parts(first: int, last: int, newest: int) -> Iterator[tuple[int, int]]:
    """Yield level and number of the ranges that make up the entries *first* to *last*, in order;
    joined ones end before *newest*.

    >>> [*_parts(2, 9, 100)]
    [(0, 2), (0, 3), (1, 1), (0, 8), (0, 9)]
    """
    while first <= last:
        level, length = 0, 1
        while first % (length * _JOINED) == 0 and first + length * _JOINED <= min(last + 1, newest):
            level, length = level + 1, length * _JOINED
        yield level, first // length
        first += length


def _extend(file: sqlite3.Connection, level: int, number: int, ranges: Ranges) -> None:
    for set_id, before, after in file.execute(_READ, (level, number)):
        ranges.setdefault(set_id, TouchedRecords()).extend(
            BitMap.deserialize(before), BitMap.deserialize(after)
        )


def _write(file: sqlite3.Connection, level: int, number: int, ranges: Ranges) -> None:
    rows = (
        (level, number, set_id, item.before.serialize(), item.after.serialize())
        for set_id, item in ranges.items()
    )
    file.executemany(_WRITE, rows)
