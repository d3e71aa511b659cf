"""Write the log of records: which record each journal entry added, changed or removed, in an order
that never changes.

The sets of a record are its registry, its kind, and its action lines, goals and countries, declared
or crosswalked. A deleted record stays in its sets, so that harvesters of a set learn of the
deletion. Those that vanished at their source are a set too, which only comparisons read.
"""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

from publisher.history import set_ranges
from publisher.history.set_ranges import TouchedRecords, write_entry
from vocab.iris import KINDS
from vocab.terms import ADMS, DCT, FOAF

ALL = "all"  # the set of all records
VANISHED = "vanished"  # the set of those that are published, and vanished at their source
RECORD = "record/"  # prefix of the names of record graphs
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY, name TEXT UNIQUE, size INTEGER, last INTEGER);
CREATE TABLE IF NOT EXISTS change (
    sequence INTEGER PRIMARY KEY, record INTEGER, entry INTEGER, type INTEGER, kind TEXT, sets TEXT, previous INTEGER,
    replaced_at INTEGER
);
CREATE TABLE IF NOT EXISTS record_set (id INTEGER PRIMARY KEY, name TEXT UNIQUE, size INTEGER);
CREATE TABLE IF NOT EXISTS set_change (
    set_id INTEGER, number INTEGER, sequence INTEGER, PRIMARY KEY (set_id, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS set_size (
    set_id INTEGER, entry INTEGER, published INTEGER, PRIMARY KEY (set_id, entry)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS announcement (entry INTEGER PRIMARY KEY, time INTEGER);
{set_ranges.SCHEMA}"""
_STATE = """
SELECT record.id, size, sequence, entry, type, kind, sets FROM record JOIN change ON sequence = last WHERE name = ?
"""
_SETS = """
SELECT id, name, size, coalesce((SELECT published FROM set_size WHERE set_id = id ORDER BY entry DESC LIMIT 1), 0) FROM record_set
"""
_SPATIAL, _STATUS, _TOPIC = "spatial", "status", "topic"
_AREA, _GOAL = "http://metadata.un.org/sdg/codes/geoArea/", "http://metadata.un.org/sdg/"
# characters of a set's name (OAI-PMH 2.0, section 2.6)
_SAFE = re.compile(r"[A-Za-z0-9_.!~*'()-]+\Z")


class ChangeType(IntEnum):
    """How an entry changed a record. PARTIAL: the entry has rows of the record in two parts, and
    this is the first.
    """

    PARTIAL = 0
    NEW = 1
    CHANGED = 2
    DELETED = 3


@dataclass(slots=True)
class _RecordState:
    """The state of a record at its last change."""

    id: int
    size: int = 0
    sequence: int = 0
    entry: int = 0
    change_type: ChangeType = ChangeType.DELETED
    kind: str = ""
    leaves: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Set:
    id: int
    size: int  # changes
    published: int  # records


@dataclass(slots=True)
class ChangeWriter:
    """Writes the log into *file*, of records whose IRIs begin with *base*; the caller opens a
    transaction for each entry.
    """

    file: sqlite3.Connection
    base: str
    _last_sequence: int = 0
    _records: int = 0
    _sets: dict[str, _Set] = field(default_factory=dict)
    # sets whose number of published records changed, with the entry
    _resized: dict[str, int] = field(default_factory=dict)
    # records of each set, by entry
    _touched: dict[int, dict[str, TouchedRecords]] = field(default_factory=dict)
    # names of the properties that are read, by IRI
    _properties: dict[bytes, str] = field(init=False)

    def __post_init__(self) -> None:
        ours = {
            f"{self.base}ns#{name}": name
            for name in ("actionLine", "crosswalkedActionLine", "goal", "crosswalkedGoal")
        }
        iris = {
            **ours,
            f"{DCT}spatial": _SPATIAL,
            f"{ADMS}status": _STATUS,
            f"{FOAF}primaryTopic": _TOPIC,
        }
        self._properties = {f"<{iri}>".encode(): name for iri, name in iris.items()}

    def begin(self) -> None:
        """Read the current sizes; call it before the first record of an entry."""
        self._last_sequence = (
            self.file.execute("SELECT MAX(sequence) FROM change").fetchone()[0] or 0
        )
        self._records = self.file.execute("SELECT MAX(id) FROM record").fetchone()[0] or 0
        self._sets = {
            name: _Set(number, size, published)
            for number, name, size, published in self.file.execute(_SETS)
        }
        self._resized, self._touched = {}, {}

    def record_change(self, name: str, entry: int, rows: list[bytes]) -> None:
        """Record the change of the record *name* by *entry*; *rows* are ``A <s> <p> <o>`` or ``D
        ...``.
        """
        known = self._read_state(name)
        added = sum(row.startswith(b"A") for row in rows)
        size = known.size + 2 * added - len(rows)
        kind, leaves, deleted = self._read(rows, known)
        was_deleted = known.change_type is ChangeType.DELETED
        change_type = (
            ChangeType.DELETED
            if deleted or size <= 0
            else ChangeType.NEW
            if was_deleted
            else ChangeType.CHANGED
        )
        if known.entry == entry:
            change_type = self._merge_with_previous(known, change_type)
        self._last_sequence += 1
        state = _RecordState(known.id, size, self._last_sequence, entry, change_type, kind, leaves)
        self._write(state, name, known.sequence)
        self._count_published(name, known, state)

    def end(self) -> tuple[int, int]:
        """Store the sizes of the sets; return the last sequence number and the number of changes."""
        rows = [(item.id, name, item.size) for name, item in self._sets.items()]
        self.file.executemany("INSERT OR REPLACE INTO record_set VALUES (?, ?, ?)", rows)
        sizes = [
            (self._sets[name].id, entry, self._sets[name].published)
            for name, entry in self._resized.items()
        ]
        self.file.executemany("INSERT OR REPLACE INTO set_size VALUES (?, ?, ?)", sizes)
        for entry, touched in self._touched.items():
            write_entry(
                self.file, entry, {self._sets[name].id: item for name, item in touched.items()}
            )
        return self._last_sequence, self._sets[ALL].size if ALL in self._sets else 0

    def _read_state(self, name: str) -> _RecordState:
        row = self.file.execute(_STATE, (name,)).fetchone()
        if row is None:
            self._records += 1
            return _RecordState(self._records)
        number, size, sequence, entry, change_type, kind, sets = row
        return _RecordState(
            number, size, sequence, entry, ChangeType(change_type), kind, frozenset(sets.split())
        )

    def _read(self, rows: list[bytes], known: _RecordState) -> tuple[str, frozenset[str], bool]:
        """Return the kind and sets of the record after *rows*, and whether it is deleted."""
        kind, deleted = known.kind, known.change_type is ChangeType.DELETED and known.size > 0
        added_leaves, removed_leaves = set[str](), set[str]()
        for row in rows:
            sign, subject, predicate, value = row.split(b" ", 3)
            property_name = self._properties.get(predicate)
            if property_name is None or not value.startswith(b"<"):
                continue
            if property_name == _STATUS:
                deleted = sign == b"A" if value == self._iri("operations#gone") else deleted
                if value == self._iri("operations#vanished"):
                    (added_leaves if sign == b"A" else removed_leaves).add(VANISHED)
            elif property_name == _TOPIC:
                kind = self._kind(value) if sign == b"A" else kind
            elif self._kind(subject) and (leaf := self._leaf(property_name, value[1:-1].decode())):
                (added_leaves if sign == b"A" else removed_leaves).add(leaf)
        if deleted:  # the record stays in its sets
            return kind, known.leaves | removed_leaves, True
        before = frozenset[str]() if known.change_type is ChangeType.DELETED else known.leaves
        return kind, before - (removed_leaves - added_leaves) | added_leaves, False

    def _iri(self, path: str) -> bytes:
        return f"<{self.base}{path}>".encode()

    def _kind(self, thing: bytes) -> str:
        """Return the kind of a thing, "" if it has no record."""
        kind = thing.removeprefix(f"<{self.base}id/".encode()).partition(b"/")[0].decode()
        return kind if kind in KINDS[:-1] else ""

    def _leaf(self, property_name: str, value: str) -> str | None:
        if property_name == _SPATIAL:
            return (
                f"country:{code}"
                if value.startswith(_AREA) and (code := value[len(_AREA) :]).isdecimal()
                else None
            )
        line = property_name.endswith("ine")
        space = f"{self.base}scheme/action-line/" if line else _GOAL
        code = value.removeprefix(space)
        if code == value or not _SAFE.match(code):
            return None
        return f"{'line' if line else 'goal'}:{code}:{'crosswalked' if property_name.startswith('cross') else 'declared'}"

    def _merge_with_previous(self, known: _RecordState, change_type: ChangeType) -> ChangeType:
        """Join a change with the previous one of the same entry, which becomes PARTIAL; return the
        type of both.
        """
        query = "SELECT type FROM change WHERE sequence = (SELECT previous FROM change WHERE sequence = ?)"
        previous = self.file.execute(query, (known.sequence,)).fetchone()
        self.file.execute(
            "UPDATE change SET type = ? WHERE sequence = ?", (ChangeType.PARTIAL, known.sequence)
        )
        is_new = previous is None or previous[0] == ChangeType.DELETED
        return (
            change_type
            if change_type is ChangeType.DELETED
            else ChangeType.NEW
            if is_new
            else ChangeType.CHANGED
        )

    def _write(self, state: _RecordState, name: str, previous: int) -> None:
        execute = self.file.execute
        execute("UPDATE change SET replaced_at = ? WHERE sequence = ?", (state.sequence, previous))
        sets = " ".join(sorted(state.leaves))
        execute(
            "INSERT INTO change VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
            (state.sequence, state.id, state.entry, state.change_type, state.kind, sets, previous),
        )
        execute(
            "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)",
            (state.id, name, state.size, state.sequence),
        )
        sets_of_record = map(self._increment, sorted(all_sets(name, state.kind, state.leaves)))
        rows = [(record_set.id, record_set.size, state.sequence) for record_set in sets_of_record]
        self.file.executemany("INSERT INTO set_change VALUES (?, ?, ?)", rows)

    def _count_published(self, name: str, known: _RecordState, state: _RecordState) -> None:
        """Count the record out of the sets that it left and into those that it entered, and note it
        as touched in all of them.
        """
        old, new = (
            all_sets(name, item.kind, item.leaves)
            if item.change_type is not ChangeType.DELETED
            else set[str]()
            for item in (known, state)
        )
        for item in old ^ new:
            self._sets[item].published += 1 if item in new else -1
            self._resized[item] = state.entry
        touched = self._touched.setdefault(state.entry, defaultdict(TouchedRecords))
        for item in old:
            if known.entry == state.entry:  # the second part of its rows: *old* is after the first
                touched[item].after.discard(state.id)
            else:
                touched[item].before.add(state.id)
        for item in new:
            touched[item].after.add(state.id)

    def _increment(self, name: str) -> _Set:
        members = self._sets.setdefault(name, _Set(len(self._sets) + 1, 0, 0))
        members.size += 1
        return members


def all_sets(name: str, kind: str, leaves: frozenset[str]) -> set[str]:
    """Return all sets of a record: *leaves*, its registry, its kind, those above them, and the set
    of all.

    >>> sorted(all_sets("demo/1", "event", frozenset({"goal:3:declared"})))
    ['all', 'goal', 'goal:3', 'goal:3:declared', 'kind', 'kind:event', 'source', 'source:demo']
    """
    own_sets = (f"source:{name.partition('/')[0]}", *((f"kind:{kind}",) if kind else ()), *leaves)
    return {ALL, *(above for item in own_sets for above in _paths(item))}


@lru_cache(4096)
def _paths(name: str) -> tuple[str, ...]:
    parts = name.split(":")
    return tuple(":".join(parts[:length]) for length in range(1, len(parts) + 1))
