"""Logbook: which record each entry of the journal brought, changed or took away, in one order of places that never change.

A record's sets are those by which it is harvested: its registry, its kind, and the action lines, goals and countries that it states or
that were translated for it. A record that is gone keeps the sets that it was in, so that who harvests a set hears that it went.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

from vocab.iris import KINDS
from vocab.terms import ADMS, DCT, FOAF

ALL = "all"  # the set of all records
RECORD = "record/"  # what the name of a record's graph begins with
SCHEMA = """
CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY, name TEXT UNIQUE, size INTEGER, last INTEGER);
CREATE TABLE IF NOT EXISTS log (
    place INTEGER PRIMARY KEY, record INTEGER, entry INTEGER, deed INTEGER, kind TEXT, sets TEXT, before INTEGER, next INTEGER
);
CREATE TABLE IF NOT EXISTS named (id INTEGER PRIMARY KEY, name TEXT UNIQUE, size INTEGER);
CREATE TABLE IF NOT EXISTS placed (of INTEGER, number INTEGER, place INTEGER, PRIMARY KEY (of, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shown (entry INTEGER PRIMARY KEY, time INTEGER);
"""
_AREA, _GOAL = "http://metadata.un.org/sdg/codes/geoArea/", "http://metadata.un.org/sdg/"
_SAFE = re.compile(r"[A-Za-z0-9_.!~*'()-]+\Z")  # of which a set's name may be made (OAI-PMH 2.0, section 2.6)


class Deed(IntEnum):
    """What an entry did with a record. HALF is no deed: the entry's rows of the record stand in two places, and this is the first."""

    HALF = 0
    NEW = 1
    CHANGED = 2
    GONE = 3


@dataclass(slots=True)
class _Known:
    """A record as the log last saw it."""

    id: int
    size: int = 0
    place: int = 0
    entry: int = 0
    deed: Deed = Deed.GONE
    kind: str = ""
    leaves: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Set:
    id: int
    size: int


@dataclass(slots=True)
class Logbook:
    """Write the log into *file*, whose records stand under *base*; one entry is noted in one transaction of the caller's."""

    file: sqlite3.Connection
    base: str
    _places: int = 0
    _records: int = 0
    _sets: dict[str, _Set] = field(default_factory=dict)
    _pattern: re.Pattern[bytes] = field(init=False)

    def __post_init__(self) -> None:
        root = re.escape(self.base.encode())
        kinds = "|".join(KINDS[:-1]).encode()
        ours = rb"(?P<own>actionLine|crosswalkedActionLine|goal|crosswalkedGoal)"
        spatial, status, topic = (re.escape(iri.encode()) for iri in (f"{DCT}spatial", f"{ADMS}status", f"{FOAF}primaryTopic"))
        told = rb"<%sid/(?:%s)/[^> ]*> <(?:%sns#%s|%s)> <(?P<value>[^>]*)>" % (root, kinds, root, ours, spatial)
        state = rb"<%srecord/[^> ]*> <%s> <%sns#(?P<state>gone)>" % (root, status, root)
        about = rb"<%srecord/[^> ]*> <%s> <%sid/(?P<kind>%s)/[^> ]*>" % (root, topic, root, kinds)
        self._pattern = re.compile(rb"^(?P<sign>[AD]) (?:%s|%s|%s)$" % (told, state, about), re.MULTILINE)

    def begin(self) -> None:
        """Read how far the log is; call it before the first record of an entry."""
        self._places = self.file.execute("SELECT MAX(place) FROM log").fetchone()[0] or 0
        self._records = self.file.execute("SELECT MAX(id) FROM record").fetchone()[0] or 0
        self._sets = {name: _Set(number, size) for number, name, size in self.file.execute("SELECT id, name, size FROM named")}

    def note(self, name: str, entry: int, rows: list[bytes]) -> None:
        """Note what *entry* did with the record *name* by *rows*, ``A <s> <p> <o>`` or ``D ...`` each."""
        known = self._known(name)
        added = sum(row.startswith(b"A") for row in rows)
        size = known.size + 2 * added - len(rows)
        kind, leaves, gone = self._read(b"\n".join(rows), known)
        deed = Deed.GONE if gone or size <= 0 else Deed.NEW if known.deed is Deed.GONE else Deed.CHANGED
        if known.entry == entry:
            deed = self._join(known, deed)
        self._places += 1
        self._write(_Known(known.id, size, self._places, entry, deed, kind, leaves), name, known.place)

    def end(self) -> tuple[int, int]:
        """Keep how large the sets are; give the last place and how many changes there are."""
        rows = [(it.id, name, it.size) for name, it in self._sets.items()]
        self.file.executemany("INSERT OR REPLACE INTO named VALUES (?, ?, ?)", rows)
        return self._places, self._sets[ALL].size if ALL in self._sets else 0

    def _known(self, name: str) -> _Known:
        found = self.file.execute(
            "SELECT record.id, size, place, entry, deed, kind, sets FROM record JOIN log ON place = last WHERE name = ?", (name,)
        ).fetchone()
        if found is None:
            self._records += 1
            return _Known(self._records)
        number, size, place, entry, deed, kind, sets = found
        return _Known(number, size, place, entry, Deed(deed), kind, frozenset(sets.split()))

    def _read(self, rows: bytes, known: _Known) -> tuple[str, frozenset[str], bool]:
        """Give kind and sets of the record after *rows*, and whether it is gone then."""
        kind, gone = known.kind, known.deed is Deed.GONE and known.size > 0
        came, went = set[str](), set[str]()
        for match in self._pattern.finditer(rows):
            added = match["sign"] == b"A"
            if match["state"]:
                gone = added
            elif match["kind"]:
                kind = match["kind"].decode() if added else kind
            elif leaf := self._leaf((match["own"] or b"").decode(), match["value"].decode()):
                (came if added else went).add(leaf)
        if gone:  # it keeps the sets that it was in
            return kind, known.leaves | went, True
        before = frozenset[str]() if known.deed is Deed.GONE else known.leaves
        return kind, before - (went - came) | came, False

    def _leaf(self, own: str, value: str) -> str | None:
        if not own:
            return f"country:{code}" if value.startswith(_AREA) and (code := value[len(_AREA) :]).isdecimal() else None
        line = own.endswith("ine")
        space = f"{self.base}scheme/action-line/" if line else _GOAL
        code = value.removeprefix(space)
        if code == value or not _SAFE.match(code):
            return None
        return f"{'line' if line else 'goal'}:{code}:{'crosswalked' if own.startswith('cross') else 'declared'}"

    def _join(self, known: _Known, deed: Deed) -> Deed:
        """Let what the same entry did before be a half of what it does now; give the deed of both."""
        found = "SELECT deed FROM log WHERE place = (SELECT before FROM log WHERE place = ?)"
        before = self.file.execute(found, (known.place,)).fetchone()
        self.file.execute("UPDATE log SET deed = ? WHERE place = ?", (Deed.HALF, known.place))
        fresh = before is None or before[0] == Deed.GONE
        return deed if deed is Deed.GONE else Deed.NEW if fresh else Deed.CHANGED

    def _write(self, it: _Known, name: str, before: int) -> None:
        put = self.file.execute
        put("UPDATE log SET next = ? WHERE place = ?", (it.place, before))
        sets = " ".join(sorted(it.leaves))
        put("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", (it.place, it.id, it.entry, it.deed, it.kind, sets, before))
        put("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", (it.id, name, it.size, it.place))
        rows = [(found.id, found.size, it.place) for found in map(self._grown, sorted(every(name, it.kind, it.leaves)))]
        self.file.executemany("INSERT INTO placed VALUES (?, ?, ?)", rows)

    def _grown(self, name: str) -> _Set:
        found = self._sets.setdefault(name, _Set(len(self._sets) + 1, 0))
        found.size += 1
        return found


def every(name: str, kind: str, leaves: frozenset[str]) -> set[str]:
    """Give all sets of a record: *leaves*, its registry, its kind, those above them, and the set of all.

    >>> sorted(every("demo/1", "event", frozenset({"goal:3:declared"})))
    ['all', 'goal', 'goal:3', 'goal:3:declared', 'kind', 'kind:event', 'source', 'source:demo']
    """
    own = (f"source:{name.partition('/')[0]}", *((f"kind:{kind}",) if kind else ()), *leaves)
    return {ALL, *(above for it in own for above in _paths(it))}


@lru_cache(4096)
def _paths(name: str) -> tuple[str, ...]:
    parts = name.split(":")
    return tuple(":".join(parts[:length]) for length in range(1, len(parts) + 1))
