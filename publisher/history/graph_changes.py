"""Read the change history: an SQLite file with the changes of each graph by journal entry.

The rows of a change are stored, except those that created a graph: its first state is its current
state with all later changes undone. So a first load, which is most of a journal, needs some 100
bytes per graph. ``change_writer`` writes the log of records.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import zstandard

from publisher.history import change_writer

FORMAT = "6"  # increase it with every change of the stored form, so that the file is rebuilt
NAME = "changes.db"
SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS checkpoint (position INTEGER, entry TEXT, format TEXT);
CREATE TABLE IF NOT EXISTS entry (number INTEGER PRIMARY KEY, run TEXT, time INTEGER, stamp INTEGER, sequence INTEGER, count INTEGER);
CREATE TABLE IF NOT EXISTS graph_change (
    graph TEXT, entry INTEGER, added INTEGER, removed INTEGER, rows BLOB, PRIMARY KEY (graph, entry)
) WITHOUT ROWID;
{change_writer.SCHEMA}"""
_CHANGES_OF_GRAPH = """
SELECT graph_change.entry, entry.run, entry.time, added, removed, rows FROM graph_change JOIN entry ON entry.number = graph_change.entry
WHERE graph = ? AND graph_change.entry <= ? ORDER BY graph_change.entry
"""
_WAIT = 5.0  # seconds to wait for the writer, which locks the file only briefly


@dataclass(frozen=True, slots=True)
class GraphChange:
    """A change of a graph: its entry, run and time (seconds since 1970), and the number of added
    and removed triples.

    *rows* are lines ``A <s> <p> <o>`` and ``D ...``; None for the change that created the graph.
    """

    entry: int
    run: str
    time: int
    added: int
    removed: int
    rows: tuple[str, ...] | None


def read_graph_changes(
    folder: Path, base: str, graph: str, position: int
) -> tuple[GraphChange, ...] | None:
    """Return the changes of *graph* up to the entry *position*, oldest first; None if the file has
    not reached *position*.

    Times never decrease: an entry with an earlier time gets the time of the entry before.
    """
    try:
        with closing(
            sqlite3.connect(f"file:{folder / NAME}?mode=ro", uri=True, timeout=_WAIT)
        ) as file:
            file.execute("BEGIN")  # both queries read one state
            checkpoint = file.execute("SELECT position FROM checkpoint").fetchone()
            if not checkpoint or checkpoint[0] < position:
                return None
            rows = file.execute(_CHANGES_OF_GRAPH, (short(graph, base), position)).fetchall()
    except sqlite3.OperationalError:  # it does not exist yet, or is being rebuilt
        return None
    return _ordered(
        GraphChange(row[0], row[1], row[2], row[3], row[4], _decompressed_rows(row[5]))
        for row in rows
    )


def _ordered(changes: Iterable[GraphChange]) -> tuple[GraphChange, ...]:
    out: list[GraphChange] = []
    for change in changes:
        out.append(replace(change, time=max(change.time, out[-1].time)) if out else change)
    return tuple(out)


def short(graph: str, base: str) -> str:
    """Return a graph's name as it is stored: without the base, if it begins with the base."""
    return graph.removeprefix(base)


def compress_rows(lines: bytes) -> bytes:
    """Compress the rows of a change."""
    return zstandard.compress(lines, 3)


def decompress_rows(data: bytes) -> bytes:
    """Decompress the rows of a change."""
    return zstandard.decompress(data)


def _decompressed_rows(data: bytes | None) -> tuple[str, ...] | None:
    return tuple(decompress_rows(data).decode().split("\n")) if data is not None else None
