"""A temporary database on disk, so that matching needs the same memory for any number of records."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, MutableMapping
from contextlib import closing, contextmanager

_CACHE = 16 << 10  # KiB of pages in memory; what is more is on disk
_FETCHED = 1_000  # keys that are read at once


class ScratchMapping(MutableMapping[str, str]):
    """Texts by text in a temporary database; iterated in the order of the keys, and values may be
    replaced meanwhile.

    *database* has the table of SCHEMA.
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

    def __delitem__(self, key: str) -> None:
        if not self._database.execute("DELETE FROM mapping WHERE key = ?", (key,)).rowcount:
            raise KeyError(key)

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
        database.execute("BEGIN")  # one transaction: nothing is ever written twice
        yield database
