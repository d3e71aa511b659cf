"""Read the changes of records a page at a time, up to a fixed place in the change log.

A *place* is the number of a change in the order of the journal, a *number* its position within a set. Both are the same in every
change log that was built
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

_WAIT = 5.0  # seconds to wait for the writer, which locks the file only briefly
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
    """The last announced change: its *entry* and *place*, its datestamp *stamp*, and *announced_at*, both in seconds since 1970."""

    entry: int
    place: int
    stamp: int
    announced_at: int


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a record, whose name is ``{source}/{key}``.

    *stamp* is the time of its entry, which never decreases and is the same in every copy of the journal. *announced_at* is when this
    host first announced it to harvesters, None before that. Both are in seconds since 1970.
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
        """Return the part of its thing's IRI after ``/id/``."""
        return f"{self.kind}/{self.name}"

    @property
    def sets(self) -> list[str]:
        """Return all its sets except ALL."""
        return sorted(all_sets(self.name, self.kind, frozenset(self.leaves)) - {ALL})


@contextmanager
def open_log(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the change log in *folder* in a read transaction; yield None if there is none yet."""
    try:
        file = sqlite3.connect(f"file:{folder / NAME}?mode=ro", uri=True, timeout=_WAIT)
    except sqlite3.OperationalError:
        yield None
        return
    with closing(file):
        try:
            file.execute("BEGIN")
            file.execute("SELECT 1 FROM shown LIMIT 1")
        except sqlite3.OperationalError:  # it is just being created
            yield None
            return
        yield file


def read_watermark(folder: Path, now: float) -> Watermark | None:
    """Return the last change that feeds announce at *now*, None if there is none yet."""
    with open_log(folder) as file:
        row = file.execute(_HORIZON, (int(now),)).fetchone() if file else None
    return Watermark(*row) if row else None


def changes(file: sqlite3.Connection, set_name: str, after: int, last: int, limit: int, latest: int | None = None) -> list[Change]:
    """Return at most *limit* changes in the set *set_name* with numbers above *after* up to *last*, in order.

    With *latest*, a place, only changes that were the latest of their record at that place.
    """
    text = f"SELECT {_COLUMNS} {_FROM}{'' if latest is None else _LATEST} ORDER BY placed.number LIMIT :most"
    rows = file.execute(text, {"of": set_name, "after": after, "last": last, "most": limit, "upto": latest})
    return [_change(row) for row in rows]


def newest_changes(file: sqlite3.Connection, set_name: str, last: int, limit: int) -> list[Change]:
    """Return the *limit* newest changes in the set *set_name* up to the number *last*, the newest first."""
    text = f"SELECT {_COLUMNS} {_FROM} ORDER BY placed.number DESC LIMIT :most"
    return [_change(row) for row in file.execute(text, {"of": set_name, "after": 0, "last": last, "most": limit})]


def count(file: sqlite3.Connection, set_name: str, after: int, last: int, latest: int) -> int:
    """Count the changes that ``changes`` would return."""
    text = f"SELECT COUNT(*) {_FROM}{_LATEST}"
    return int(file.execute(text, {"of": set_name, "after": after, "last": last, "upto": latest}).fetchone()[0])


def latest_change(file: sqlite3.Connection, name: str, upto: int) -> Change | None:
    """Return the latest change of a record at the place *upto*; None if it was not known then. Its number is that in the set ALL."""
    return _find_earlier(file, name, lambda place, entry: place <= upto)


def change_at(file: sqlite3.Connection, name: str, entry: int, upto: int) -> Change | None:
    """Return the change of a record by *entry*, up to the place *upto*; None if there is none."""
    change = _find_earlier(file, name, lambda place, number: place <= upto and number <= entry)
    return change if change and change.entry == entry else None


def _find_earlier(file: sqlite3.Connection, name: str, accept: Callable[[int, int], bool]) -> Change | None:
    """Return the newest change of a record whose place and entry *accept* accepts."""
    row = file.execute("SELECT place, entry, before FROM record JOIN log ON place = last WHERE name = ?", (name,)).fetchone()
    while row and not accept(row[0], row[1]):
        row = file.execute("SELECT place, entry, before FROM log WHERE place = ?", (row[2],)).fetchone()
    return _load(file, row[0]) if row else None


def _load(file: sqlite3.Connection, place: int) -> Change | None:
    row = file.execute(_ONE, (last_number(file, ALL, place), place)).fetchone()
    return _change(row) if row else None


def last_number(file: sqlite3.Connection, set_name: str, place: int) -> int:
    """Return the number of the last change in the set *set_name* up to *place*, 0 if there is none."""
    row = file.execute("SELECT id, size FROM named WHERE name = ?", (set_name,)).fetchone()
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


def set_names(file: sqlite3.Connection, after: str = "", limit: int = -1) -> list[str]:
    """Return the names of the sets after *after*, in order, except ALL."""
    text = "SELECT name FROM named WHERE name > ? AND name != ? ORDER BY name LIMIT ?"
    return [row[0] for row in file.execute(text, (after, ALL, limit))]


def changed_sets(file: sqlite3.Connection, after: int, upto: int) -> set[str]:
    """Return the sets that the entries with numbers above *after* up to *upto* changed."""
    ends = [file.execute("SELECT MAX(place) FROM entry WHERE number <= ?", (number,)).fetchone()[0] or 0 for number in (after, upto)]
    names = set[str]()
    for source, kind, sets in file.execute(_TOUCHED, ends):
        names |= all_sets(source, kind, frozenset(sets.split()))
    return names


def slices(file: sqlite3.Connection, upto: int) -> list[tuple[int, int]]:
    """Return the number (from 1) of each slice of SLICE records, and the time of its last change."""
    text = f"SELECT (id - 1) / {SLICE} + 1, MAX(MIN(last, ?)) FROM record GROUP BY 1 ORDER BY 1"
    rows = file.execute(text, (upto,)).fetchall()
    stamp = "SELECT stamp FROM log JOIN entry ON entry.number = log.entry WHERE log.place = ?"
    return [(number, file.execute(stamp, (place,)).fetchone()[0]) for number, place in rows]


def slice_records(file: sqlite3.Connection, number: int, upto: int) -> list[tuple[str, int]]:
    """Return the things of a slice's records as ``{kind}/{source}/{key}``, with their times of change; without deleted records."""
    text = """
        SELECT kind || '/' || name, stamp FROM record JOIN log ON log.place = last JOIN entry ON entry.number = log.entry
        WHERE record.id > ? AND record.id <= ? AND deed != ? AND kind != '' AND (log.place <= ? OR before > 0) ORDER BY record.id
    """
    rows = file.execute(text, ((number - 1) * SLICE, number * SLICE, ChangeType.GONE, upto))
    return [(thing, stamp) for thing, stamp in rows]


def days(file: sqlite3.Connection, entry: int) -> list[tuple[int, int]]:
    """Return each day (counted from 1970) with changes up to *entry*, and the number of its last change in the set ALL."""
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
