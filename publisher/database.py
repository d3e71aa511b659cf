"""Open DuckDB databases, and read the SQL files of the folder ``sql``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import duckdb


def connect(
    path: Path | None = None, *, read_only: bool = False, **config: str | int
) -> duckdb.DuckDBPyConnection:
    """Return a connection to the file *path*, or to a database in memory, with the settings
    *config*.

    DuckDB's progress bar is off: it appears after two seconds on standard output, which may be a
    file that a command writes.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {**config}
    connection = duckdb.connect(str(path or ":memory:"), read_only, settings)
    connection.execute("SET enable_progress_bar = false")
    return connection


def attach(path: Path, **config: str | int) -> duckdb.DuckDBPyConnection:
    """Return a read-only connection to the file *path*; this process may also have it open with
    other settings.
    """
    connection = connect(**config)  # type: ignore[arg-type]  # the settings are no path
    connection.execute("ATTACH ? AS stored (READ_ONLY)", [str(path)])
    connection.execute("USE stored")
    return connection


@cache
def sql(name: str) -> str:
    """Return the text of the file *name* of SQL, in which values are bound, never pasted."""
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()
