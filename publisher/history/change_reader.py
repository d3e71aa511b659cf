"""Log: the changes of records, read a page at a time, up to a place that does not move while a harvest goes on.

A place is a change's number in the order of the journal, a number its place within a set. Both are the same in every index that was made
from the journal, so a cursor that holds one is good for ever.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from publisher.history.change_writer import ALL, RECORD, ChangeType, all_sets
from publisher.history.graph_changes import NAME

_WAIT = 5.0  # seconds for the writer, which never holds the file longer than a moment
SLICE = 10_000  # records in a slice; a sitemap may have up to 50,000
_COLUMNS = "placed.number, log.place, record.name, log.entry, deed, kind, sets, stamp, shown.time"
_FROM = """
FROM named CROSS JOIN placed ON placed.of = named.id CROSS JOIN log ON log.place = placed.place
JOIN record ON record.id = log.record JOIN entry ON entry.number = log.entry LEFT JOIN shown ON shown.entry = log.entry
WHERE named.name = :of AND placed.number > :after AND placed.number <= :last AND deed > 0
"""
_ONE = f"""
SELECT ?, {_COLUMNS.partition(", ")[2]} FROM log JOIN record ON record.id = log.record JOIN entry ON entry.number = log.entry
LEFT JOIN shown ON shown.entry = log.entry WHERE log.place = ?
"""
_LATEST = " AND (next IS NULL OR next > :upto)"
_HORIZON = """
SELECT entry.number, place, stamp, shown.time FROM shown JOIN entry ON entry.number = shown.entry
WHERE shown.time <= ? ORDER BY shown.entry DESC LIMIT 1
"""
_TOUCHED = """
SELECT DISTINCT substr(name, 1, instr(name, '/')), kind, sets FROM log JOIN record ON record.id = record
WHERE place > ? AND place <= ?
"""
_DAYS = "SELECT stamp / 86400, MAX(count) FROM entry WHERE number <= ? GROUP BY stamp / 86400 ORDER BY 1"


@dataclass(frozen=True, slots=True)
class Watermark:
    """What feeds announce: all up to *entry* and *place*, whose datestamp is *stamp*, announced since *since* (Unix seconds)."""

    entry: int
    place: int
    stamp: int
    announced_at: int


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a record, whose name is ``{source}/{key}``.

    *stamp* is the time of its entry, which never goes back and is the same in every copy of the journal; *announced_at* is when harvesters
    of this host could first hear of it, None before that. Both are seconds since 1970.
    """

    number: int
    place: int
    name: str
    entry: int
    change_type: ChangeType
    kind: str
    leaves: tuple[str, ...]
    stamp: int
    announced_at: int | None

    @property
    def graph(self) -> str:
        """Return the name of its graph without the base."""
        return RECORD + self.name

    @property
    def thing(self) -> str:
        """Return what follows ``/id/`` in the address of what it is about."""
        return f"{self.kind}/{self.name}"

    @property
    def sets(self) -> list[str]:
        """Return all sets that it is in, but that of all."""
        return sorted(all_sets(self.name, self.kind, frozenset(self.leaves)) - {ALL})


@contextmanager
def open_log(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the log in *folder* for answers of one state; None where there is none yet."""
    try:
        file = sqlite3.connect(f"file:{folder / NAME}?mode=ro", uri=True, timeout=_WAIT)
    except sqlite3.OperationalError:
        yield None
        return
    with closing(file):
        try:
            file.execute("BEGIN")
            file.execute("SELECT 1 FROM shown LIMIT 1")
        except sqlite3.OperationalError:  # it is just made
            yield None
            return
        yield file


def read_watermark(folder: Path, now: float) -> Watermark | None:
    """Return what feeds announce at *now*, None if nothing yet."""
    with open_log(folder) as file:
        row = file.execute(_HORIZON, (int(now),)).fetchone() if file else None
    return Watermark(*row) if row else None


def changes(file: sqlite3.Connection, of: str, after: int, last: int, most: int, latest: int | None = None) -> list[Change]:
    """Return at most *most* changes in the set *of* numbered above *after* up to *last*, in their order.

    With *latest*, a place, only those that were then their record's latest.
    """
    text = f"SELECT {_COLUMNS} {_FROM}{'' if latest is None else _LATEST} ORDER BY placed.number LIMIT :most"
    rows = file.execute(text, {"of": of, "after": after, "last": last, "most": most, "upto": latest})
    return [_change(row) for row in rows]


def newest_changes(file: sqlite3.Connection, of: str, last: int, most: int) -> list[Change]:
    """Return the *most* newest changes in the set *of* up to the number *last*, the newest first."""
    text = f"SELECT {_COLUMNS} {_FROM} ORDER BY placed.number DESC LIMIT :most"
    return [_change(row) for row in file.execute(text, {"of": of, "after": 0, "last": last, "most": most})]


def count(file: sqlite3.Connection, of: str, after: int, last: int, latest: int) -> int:
    """Count what ``changes`` would give."""
    text = f"SELECT COUNT(*) {_FROM}{_LATEST}"
    return int(file.execute(text, {"of": of, "after": after, "last": last, "upto": latest}).fetchone()[0])


def latest_change(file: sqlite3.Connection, name: str, upto: int) -> Change | None:
    """Return the latest change of a record at the place *upto*; None where it was not known then. Its number is that in the set of all."""
    return _find_earlier(file, name, lambda place, entry: place <= upto)


def change_at(file: sqlite3.Connection, name: str, entry: int, upto: int) -> Change | None:
    """Return what *entry* did with a record, where that is at most at the place *upto*; None where it did nothing."""
    change = _find_earlier(file, name, lambda place, those: place <= upto and those <= entry)
    return change if change and change.entry == entry else None


def _find_earlier(file: sqlite3.Connection, name: str, good: Callable[[int, int], bool]) -> Change | None:
    """Go back over the changes of a record to the first that is good."""
    row = file.execute("SELECT place, entry, before FROM record JOIN log ON place = last WHERE name = ?", (name,)).fetchone()
    while row and not good(row[0], row[1]):
        row = file.execute("SELECT place, entry, before FROM log WHERE place = ?", (row[2],)).fetchone()
    return _load(file, row[0]) if row else None


def _load(file: sqlite3.Connection, place: int) -> Change | None:
    row = file.execute(_ONE, (last_number(file, ALL, place), place)).fetchone()
    return _change(row) if row else None


def last_number(file: sqlite3.Connection, of: str, place: int) -> int:
    """Return the number of the last change in the set *of* up to *place*, 0 where there is none."""
    row = file.execute("SELECT id, size FROM named WHERE name = ?", (of,)).fetchone()
    low, high = 0, row[1] if row else 0
    while low < high:
        middle = (low + high + 1) // 2
        at = file.execute("SELECT place FROM placed WHERE of = ? AND number = ?", (row[0], middle)).fetchone()
        low, high = (middle, high) if at[0] <= place else (low, middle - 1)
    return low


def last_announced_before(file: sqlite3.Connection, time: int) -> int:
    """Return the last place announced before *time*, 0 if there was none."""
    row = file.execute("SELECT MAX(place) FROM shown JOIN entry ON number = shown.entry WHERE shown.time < ?", (time,)).fetchone()
    return int(row[0] or 0)


def first_announcement(file: sqlite3.Connection) -> int | None:
    """Return when the first change was announced."""
    row = file.execute("SELECT MIN(shown.time) FROM shown JOIN log ON log.entry = shown.entry").fetchone()
    return int(row[0]) if row[0] is not None else None


def set_names(file: sqlite3.Connection, after: str = "", most: int = -1) -> list[str]:
    """Return the names of the sets behind *after*, in their order, but that of all."""
    text = "SELECT name FROM named WHERE name > ? AND name != ? ORDER BY name LIMIT ?"
    return [row[0] for row in file.execute(text, (after, ALL, most))]


def changed_sets(file: sqlite3.Connection, after: int, upto: int) -> set[str]:
    """Return the sets in which anything changed by the entries numbered above *after* up to *upto*."""
    ends = [file.execute("SELECT MAX(place) FROM entry WHERE number <= ?", (number,)).fetchone()[0] or 0 for number in (after, upto)]
    names = set[str]()
    for source, kind, sets in file.execute(_TOUCHED, ends):
        names |= all_sets(source, kind, frozenset(sets.split()))
    return names


def slices(file: sqlite3.Connection, upto: int) -> list[tuple[int, int]]:
    """Return the slices of SLICE records each, by their numbers from 1, and when anything in them last changed."""
    text = f"SELECT (id - 1) / {SLICE} + 1, MAX(MIN(last, ?)) FROM record GROUP BY 1 ORDER BY 1"
    rows = file.execute(text, (upto,)).fetchall()
    stamp = "SELECT stamp FROM log JOIN entry ON entry.number = log.entry WHERE log.place = ?"
    return [(number, file.execute(stamp, (place,)).fetchone()[0]) for number, place in rows]


def slice_records(file: sqlite3.Connection, number: int, upto: int) -> list[tuple[str, int]]:
    """Return what the records of a slice are about, as ``{kind}/{source}/{key}``, and when each last changed; not those that are gone."""
    text = """
        SELECT kind || '/' || name, stamp FROM record JOIN log ON log.place = last JOIN entry ON entry.number = log.entry
        WHERE record.id > ? AND record.id <= ? AND deed != ? AND kind != '' AND (log.place <= ? OR before > 0) ORDER BY record.id
    """
    rows = file.execute(text, ((number - 1) * SLICE, number * SLICE, ChangeType.GONE, upto))
    return [(thing, stamp) for thing, stamp in rows]


def days(file: sqlite3.Connection, entry: int) -> list[tuple[int, int]]:
    """Return each day (counted from 1970) in which anything changed up to *entry*, and the number of its last change in the set of all."""
    out: list[tuple[int, int]] = []
    for day, last in file.execute(_DAYS, (entry,)):
        if last > (out[-1][1] if out else 0):
            out.append((day, last))
    return out


def _change(row: tuple[int, int, str, int, int, str, str, int, int | None]) -> Change:
    numbered, place, name, entry, deed, kind, sets, stamp, announced = row
    return Change(numbered, place, name, entry, ChangeType(deed), kind, tuple(sets.split()), stamp, announced)


__all__ = [
    "ALL",
    "Change",
    "ChangeType",
    "Watermark",
    "change_at",
    "changes",
    "count",
    "days",
    "first_announcement",
    "last_announced_before",
    "last_number",
    "latest_change",
    "newest_changes",
    "open_log",
    "read_watermark",
    "set_names",
    "slice_records",
    "slices",
]
