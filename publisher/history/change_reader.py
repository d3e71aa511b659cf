"""Read the changes of records a page at a time, up to a fixed sequence number of the change log.

A *sequence* number counts the changes in the order of the journal, a *number* those within a set.
Both are the same in every change log that was built from the journal, so a cursor with one of them
never expires.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from publisher.history.change_writer import ALL, RECORD, VANISHED, ChangeType, all_sets
from publisher.history.graph_changes import NAME

_WAIT = 5.0  # seconds to wait for the writer, which locks the file only briefly
SLICE = 10_000  # records in a slice; a sitemap may have up to 50,000
_COLUMNS = "set_change.number, change.sequence, record.name, change.entry, change.type, kind, sets, stamp, announcement.time"
_FROM = """
FROM record_set CROSS JOIN set_change ON set_change.set_id = record_set.id CROSS JOIN change ON change.sequence = set_change.sequence
JOIN record ON record.id = change.record JOIN entry ON entry.number = change.entry
LEFT JOIN announcement ON announcement.entry = change.entry
WHERE record_set.name = :set_name AND set_change.number > :after AND set_change.number <= :last AND change.type > 0
"""
_ONE = f"""
SELECT ?, {_COLUMNS.partition(", ")[2]} FROM change JOIN record ON record.id = change.record JOIN entry ON entry.number = change.entry
LEFT JOIN announcement ON announcement.entry = change.entry WHERE change.sequence = ?
"""
_LAST_ANNOUNCED = """
SELECT MAX(sequence) FROM announcement JOIN entry ON entry.number = announcement.entry WHERE announcement.time < ?
"""
_LATEST = " AND (replaced_at IS NULL OR replaced_at > :upto)"
_WATERMARK = """
SELECT entry.number, sequence, stamp, announcement.time FROM announcement JOIN entry ON entry.number = announcement.entry
WHERE announcement.time <= ? ORDER BY announcement.entry DESC LIMIT 1
"""
_CHANGED_RECORDS = """
SELECT DISTINCT substr(name, 1, instr(name, '/')), kind, sets FROM change JOIN record ON record.id = record
WHERE sequence > ? AND sequence <= ?
"""
_DAYS = "SELECT stamp / 86400, MAX(count) FROM entry WHERE number <= ? GROUP BY stamp / 86400 ORDER BY 1"


@dataclass(frozen=True, slots=True)
class Watermark:
    """The last announced change: its *entry*, *sequence* number, datestamp *stamp* and
    *announced_at*, both in seconds since 1970.
    """

    entry: int
    sequence: int
    stamp: int
    announced_at: int


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a record, whose name is ``{source}/{key}``.

    *stamp* is the time of its entry, which never decreases and is the same in every copy of the
    journal. *announced_at* is when this host first announced it to harvesters, None before that.
    Both are in seconds since 1970.
    """

    number: int
    sequence: int
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
        """Return all its sets except ALL and VANISHED."""
        return sorted(all_sets(self.name, self.kind, frozenset(self.leaves)) - {ALL, VANISHED})


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
            file.execute("SELECT 1 FROM set_range LIMIT 1")
        # it is just being created, or of an older form and about to be rebuilt
        except sqlite3.OperationalError:
            yield None
            return
        yield file


def read_watermark(folder: Path, now: float) -> Watermark | None:
    """Return the last change that feeds announce at *now*, None if there is none yet."""
    with open_log(folder) as file:
        row = file.execute(_WATERMARK, (int(now),)).fetchone() if file else None
    return Watermark(*row) if row else None


def changes(
    file: sqlite3.Connection,
    set_name: str,
    after: int,
    last: int,
    limit: int,
    latest: int | None = None,
) -> list[Change]:
    """Return at most *limit* changes in the set *set_name* with numbers above *after* up to *last*,
    in order.

    With *latest*, a sequence number, only changes that were the latest of their record there.
    """
    text = f"SELECT {_COLUMNS} {_FROM}{'' if latest is None else _LATEST} ORDER BY set_change.number LIMIT :limit"
    rows = file.execute(
        text, {"set_name": set_name, "after": after, "last": last, "limit": limit, "upto": latest}
    )
    return [_change(row) for row in rows]


def newest_changes(file: sqlite3.Connection, set_name: str, last: int, limit: int) -> list[Change]:
    """Return the *limit* newest changes in the set *set_name* up to the number *last*, the newest
    first.
    """
    text = f"SELECT {_COLUMNS} {_FROM} ORDER BY set_change.number DESC LIMIT :limit"
    return [
        _change(row)
        for row in file.execute(
            text, {"set_name": set_name, "after": 0, "last": last, "limit": limit}
        )
    ]


def count(file: sqlite3.Connection, set_name: str, after: int, last: int, latest: int) -> int:
    """Count the changes that ``changes`` would return."""
    text = f"SELECT COUNT(*) {_FROM}{_LATEST}"
    return int(
        file.execute(
            text, {"set_name": set_name, "after": after, "last": last, "upto": latest}
        ).fetchone()[0]
    )


def latest_change(file: sqlite3.Connection, name: str, upto: int) -> Change | None:
    """Return the latest change of a record up to *upto*, a sequence number, None if there is none.
    Its number is that in the set ALL.
    """
    return _find_earlier(file, name, lambda sequence, entry: sequence <= upto)


def change_before(file: sqlite3.Connection, change: Change) -> Change | None:
    """Return the change of the same record before *change*, None if that was its first. Its number
    is that in the set ALL.
    """
    return _find_earlier(file, change.name, lambda sequence, _: sequence < change.sequence)


def change_at(file: sqlite3.Connection, name: str, entry: int, upto: int) -> Change | None:
    """Return the change of a record by *entry*, up to the sequence number *upto*; None if there is
    none.
    """
    change = _find_earlier(
        file, name, lambda sequence, number: sequence <= upto and number <= entry
    )
    return change if change and change.entry == entry else None


def _find_earlier(
    file: sqlite3.Connection, name: str, accept: Callable[[int, int], bool]
) -> Change | None:
    """Return the newest change of a record whose sequence number and entry *accept* accepts."""
    row = file.execute(
        "SELECT sequence, entry, previous FROM record JOIN change ON sequence = last WHERE name = ?",
        (name,),
    ).fetchone()
    while row and not accept(row[0], row[1]):
        row = file.execute(
            "SELECT sequence, entry, previous FROM change WHERE sequence = ?", (row[2],)
        ).fetchone()
    return _load(file, row[0]) if row else None


def _load(file: sqlite3.Connection, sequence: int) -> Change | None:
    row = file.execute(_ONE, (last_number(file, ALL, sequence), sequence)).fetchone()
    return _change(row) if row else None


def last_number(file: sqlite3.Connection, set_name: str, sequence: int) -> int:
    """Return the number of the last change in the set *set_name* up to *sequence*, 0 if there is
    none.
    """
    row = file.execute("SELECT id, size FROM record_set WHERE name = ?", (set_name,)).fetchone()
    low, high = 0, row[1] if row else 0
    while low < high:
        middle = (low + high + 1) // 2
        change = file.execute(
            "SELECT sequence FROM set_change WHERE set_id = ? AND number = ?", (row[0], middle)
        ).fetchone()
        low, high = (middle, high) if change[0] <= sequence else (low, middle - 1)
    return low


def last_announced_before(file: sqlite3.Connection, time: int) -> int:
    """Return the last sequence number announced before *time*, 0 if there was none."""
    row = file.execute(_LAST_ANNOUNCED, (time,)).fetchone()
    return int(row[0] or 0)


def first_announcement(file: sqlite3.Connection) -> int | None:
    """Return when the first change was announced."""
    row = file.execute(
        "SELECT MIN(announcement.time) FROM announcement JOIN change USING (entry)"
    ).fetchone()
    return int(row[0]) if row[0] is not None else None


def set_names(file: sqlite3.Connection, after: str = "", limit: int = -1) -> list[str]:
    """Return the names of the sets after *after*, in order, except ALL and VANISHED."""
    text = "SELECT name FROM record_set WHERE name > ? AND name NOT IN (?, ?) ORDER BY name LIMIT ?"
    return [row[0] for row in file.execute(text, (after, ALL, VANISHED, limit))]


def changed_sets(file: sqlite3.Connection, after: int, upto: int) -> set[str]:
    """Return the sets that the entries with numbers above *after* up to *upto* changed."""
    highest = "SELECT MAX(sequence) FROM entry WHERE number <= ?"
    ends = [file.execute(highest, (number,)).fetchone()[0] or 0 for number in (after, upto)]
    names = set[str]()
    for source, kind, sets in file.execute(_CHANGED_RECORDS, ends):
        names |= all_sets(source, kind, frozenset(sets.split()))
    return names


def slices(file: sqlite3.Connection, upto: int) -> list[tuple[int, int]]:
    """Return the number (from 1) of each slice of SLICE records, and the time of its last change."""
    text = f"SELECT (id - 1) / {SLICE} + 1, MAX(MIN(last, ?)) FROM record GROUP BY 1 ORDER BY 1"
    rows = file.execute(text, (upto,)).fetchall()
    stamp = "SELECT stamp FROM change JOIN entry ON entry.number = change.entry WHERE change.sequence = ?"
    return [(number, file.execute(stamp, (sequence,)).fetchone()[0]) for number, sequence in rows]


def slice_records(file: sqlite3.Connection, number: int, upto: int) -> list[tuple[str, int]]:
    """Return the things of a slice's records as ``{kind}/{source}/{key}``, with their times of
    change; without deleted records.
    """
    text = """
        SELECT kind || '/' || name, stamp FROM record JOIN change ON change.sequence = last JOIN entry ON entry.number = change.entry
        WHERE record.id > ? AND record.id <= ? AND change.type != ? AND kind != ''
        AND (change.sequence <= ? OR previous > 0) ORDER BY record.id
    """
    rows = file.execute(text, ((number - 1) * SLICE, number * SLICE, ChangeType.DELETED, upto))
    return [(thing, stamp) for thing, stamp in rows]


def days(file: sqlite3.Connection, entry: int) -> list[tuple[int, int]]:
    """Return each day (counted from 1970) with changes up to *entry*, and the number of its last
    change in the set ALL.
    """
    out: list[tuple[int, int]] = []
    for day, last in file.execute(_DAYS, (entry,)):
        if last > (out[-1][1] if out else 0):
            out.append((day, last))
    return out


def _change(row: tuple[int, int, str, int, int, str, str, int, int | None]) -> Change:
    number, sequence, name, entry, change_type, kind, sets, stamp, announced = row
    return Change(
        number,
        sequence,
        name,
        entry,
        ChangeType(change_type),
        kind,
        tuple(sets.split()),
        stamp,
        announced,
    )


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
