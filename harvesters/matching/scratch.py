"""A temporary database on disk, so that matching needs the same memory for any number of records."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

_CACHE = 16 << 10  # KiB of pages in memory; what is more is on disk


@contextmanager
def open_scratch(schema: str) -> Iterator[sqlite3.Connection]:
    """Open a database that only this process sees and that is gone when it is closed or the process ends; *schema* creates its tables.

    Its file is unlinked, in the folder for temporary files (SQLITE_TMPDIR or TMPDIR). Source: https://www.sqlite.org/inmemorydb.html
    """
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        for pragma in ("journal_mode = OFF", "temp_store = FILE", f"cache_size = -{_CACHE}"):
            database.execute(f"PRAGMA {pragma}")
        database.executescript(schema)
        database.execute("BEGIN")  # one transaction: nothing is ever written twice
        yield database
