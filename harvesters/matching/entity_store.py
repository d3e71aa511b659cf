"""Store the entities of a matching, and what is computed from them, in temporary databases on disk,
so that any number of records needs the same memory. The last used entities are cached.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime

import orjson

from harvesters.matching.entities import Entity

_CACHE = 16 << 10  # KiB of pages in memory; other pages are on disk


class ScratchMapping(Mapping[str, str]):
    """A mapping of texts in a temporary *database*, which has the table of SCHEMA. It is iterated in
    the order of the keys; values may be replaced meanwhile.
    """

    SCHEMA = "CREATE TABLE mapping (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __getitem__(self, key: str) -> str:
        row = self._database.execute("SELECT value FROM mapping WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return str(row[0])

    def __setitem__(self, key: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO mapping VALUES (?, ?)", (key, value))

    def __iter__(self) -> Iterator[str]:
        last, text = "", "SELECT key FROM mapping WHERE key > ? ORDER BY key LIMIT ?"
        while keys := [key for (key,) in self._database.execute(text, (last, _FETCHED))]:
            yield from keys
            last = keys[-1]

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM mapping").fetchone()[0])


@contextmanager
def open_scratch(schema: str) -> Iterator[sqlite3.Connection]:
    """Open a database that only this process sees and that is gone when it is closed or the process
    ends; *schema* creates its tables.

    Its file is unlinked, in the folder for temporary files (SQLITE_TMPDIR or TMPDIR). Source:
    https://www.sqlite.org/inmemorydb.html
    """
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        for pragma in ("journal_mode = OFF", "temp_store = FILE", f"cache_size = -{_CACHE}"):
            database.execute(f"PRAGMA {pragma}")
        database.executescript(schema)
        database.execute("BEGIN")  # In one transaction, no page is written twice.
        yield database


_CACHED = 8_000  # entities in memory
_FETCHED = 1_000  # keys or entities that are read at once
_SCHEMA = """
CREATE TABLE entity (iri TEXT PRIMARY KEY, kind TEXT NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX entity_by_kind ON entity (kind);
CREATE TABLE changed (iri TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class EntityStore(Mapping[str, Entity]):
    """Entities by IRI. Store a changed entity again with ``entities[iri] = entity``, otherwise the
    change may be lost.

    An incremental matching compares the entities that ``mark_changed`` was called with. At most
    *cached* are in memory.
    """

    def __init__(self, database: sqlite3.Connection, cached: int = _CACHED) -> None:
        self._database = database
        self._cached = cached
        self._cache: dict[str, Entity] = {}
        self._unsaved: set[str] = set()

    def __getitem__(self, iri: str) -> Entity:
        if (entity := self._cache.get(iri)) is None:
            row = self._database.execute("SELECT data FROM entity WHERE iri = ?", (iri,)).fetchone()
            if row is None:
                raise KeyError(iri)
            entity = self._cache_entity(iri, _decode(iri, row[0]))
        return entity

    def __setitem__(self, iri: str, entity: Entity) -> None:
        self._cache_entity(iri, entity)
        self._unsaved.add(iri)

    def __contains__(self, iri: object) -> bool:
        if iri in self._cache:
            return True
        return (
            self._database.execute("SELECT 1 FROM entity WHERE iri = ?", (iri,)).fetchone()
            is not None
        )

    def __iter__(self) -> Iterator[str]:
        self._save()
        return (iri for (iri,) in self._database.execute("SELECT iri FROM entity ORDER BY iri"))

    def __len__(self) -> int:
        return sum(self.kinds().values())

    def setdefault(self, iri: str, entity: Entity) -> Entity:
        """Return the stored entity, or store and return *entity*; the caller may change it until it
        uses another one.
        """
        with suppress(KeyError):
            entity = self[iri]
        self[iri] = entity
        return entity

    def kinds(self) -> dict[str, int]:
        self._save()
        return dict(
            self._database.execute("SELECT kind, count(*) FROM entity GROUP BY kind ORDER BY kind")
        )

    def of_kind(self, kind: str) -> Iterator[Entity]:
        """Yield the entities of a kind in the order of their IRIs; each may be stored again
        meanwhile.
        """
        self._save()
        last = ""
        text = "SELECT iri, data FROM entity WHERE kind = ? AND iri > ? ORDER BY iri LIMIT ?"
        while rows := self._database.execute(text, (kind, last, _FETCHED)).fetchall():
            for iri, data in rows:
                yield _decode(iri, data)
            last = rows[-1][0]

    def mark_changed(self, iris: Iterable[str]) -> None:
        self._database.executemany(
            "INSERT OR IGNORE INTO changed VALUES (?)", ((iri,) for iri in iris)
        )

    def is_changed(self, iri: str) -> bool:
        return (
            self._database.execute("SELECT 1 FROM changed WHERE iri = ?", (iri,)).fetchone()
            is not None
        )

    def count_changed(self) -> int:
        self._save()
        return int(
            self._database.execute(
                "SELECT count(*) FROM changed JOIN entity USING (iri)"
            ).fetchone()[0]
        )

    def _cache_entity(self, iri: str, entity: Entity) -> Entity:
        if len(self._cache) >= self._cached and iri not in self._cache:
            self._save()
            for oldest in list(self._cache)[: self._cached // 2]:
                del self._cache[oldest]
        self._cache[iri] = entity
        return entity

    def _save(self) -> None:
        rows = (
            (iri, self._cache[iri].kind, _encode(self._cache[iri])) for iri in sorted(self._unsaved)
        )
        self._database.executemany("INSERT OR REPLACE INTO entity VALUES (?, ?, ?)", rows)
        self._unsaved.clear()


@contextmanager
def open_entities(entities: Iterable[Entity] = (), cached: int = _CACHED) -> Iterator[EntityStore]:
    """Open a store with *entities*; at most *cached* are in memory. Closing the store deletes it."""
    with open_scratch(_SCHEMA) as database:
        store = EntityStore(database, cached)
        for entity in entities:
            store[entity.iri] = entity
        yield store


def _encode(entity: Entity) -> bytes:
    lists = (
        entity.identifiers,
        entity.pages,
        entity.countries,
        entity.parties,
        entity.classes,
        entity.origins,
    )
    fields = (
        entity.kind,
        entity.source,
        entity.record,
        entity.start,
        entity.first_seen.isoformat(),
    )
    return orjson.dumps([fields, list(entity.names), *(sorted(values) for values in lists)])


def _decode(iri: str, data: bytes) -> Entity:
    (
        (kind, source, record, start, seen),
        names,
        identifiers,
        pages,
        countries,
        parties,
        classes,
        origins,
    ) = orjson.loads(data)
    return Entity(
        iri,
        kind,
        source,
        record,
        dict.fromkeys(names),
        {(scheme, value) for scheme, value in identifiers},
        set(pages),
        set(countries),
        set(map(tuple, parties)),
        set(classes),
        set(origins),
        start,
        datetime.fromisoformat(seen),
    )
