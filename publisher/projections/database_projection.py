"""Check a DuckDB file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb

_MEMORY = "256MiB"  # while a file is read to its end


def unreadable_reason(path: Path) -> str:
    """Return why a row of the DuckDB file *path* cannot be read, "" if all can; DuckDB checks each
    block that it reads.

    Takes about five seconds of processor time for each gigabyte. Source:
    https://duckdb.org/docs/stable/internals/storage
    """
    try:
        # Attached, since this process may have opened the file already, with other settings.
        with closing(duckdb.connect(config={"memory_limit": _MEMORY, "threads": 1})) as connection:
            connection.execute("ATTACH ? AS file (READ_ONLY)", [str(path)])
            connection.execute("USE file")
            for (table,) in connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = 'file'"
            ).fetchall():
                connection.execute(f'SELECT bit_xor(hash(rows)) FROM "{table}" AS rows').fetchall()
    except (duckdb.Error, UnicodeDecodeError) as error:
        return str(error)
    return ""
