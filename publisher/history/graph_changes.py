"""Touches: an SQLite file that knows for each graph the entries of the journal that changed it, and how.

The rows of a change are kept, but not those by which a graph first came: what it held then is what it holds now with all later changes
undone. So a first load, which is nearly all of a journal, costs some 100 bytes a graph. The log of records is in ``change_writer``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import zstandard

from publisher.history import change_writer

FORMAT = "2"  # count it up with every change of what is written, so that the file is made anew
NAME = "touches.db"
SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS mark (position INTEGER, entry TEXT, format TEXT);
CREATE TABLE IF NOT EXISTS entry (number INTEGER PRIMARY KEY, run TEXT, time INTEGER, stamp INTEGER, place INTEGER, count INTEGER);
CREATE TABLE IF NOT EXISTS touch (
    graph TEXT, entry INTEGER, added INTEGER, removed INTEGER, rows BLOB, PRIMARY KEY (graph, entry)
) WITHOUT ROWID;
{change_writer.SCHEMA}"""
_FOUND = """
SELECT touch.entry, entry.run, entry.time, added, removed, rows FROM touch JOIN entry ON entry.number = touch.entry
WHERE graph = ? AND touch.entry <= ? ORDER BY touch.entry
"""
_WAIT = 5.0  # seconds for the writer, which never holds the file longer than a moment


@dataclass(frozen=True, slots=True)
class GraphChange:
    """A change of a graph: by which entry and run, when (seconds since 1970), and how many triples came and went.

    *rows* are lines ``A <s> <p> <o>`` and ``D ...``; None where the graph came first.
    """

    entry: int
    run: str
    time: int
    added: int
    removed: int
    rows: tuple[str, ...] | None


def read_graph_changes(folder: Path, base: str, graph: str, position: int) -> tuple[GraphChange, ...] | None:
    """Return what touched *graph* up to the entry *position*, the first first; None where the file has not come that far.

    Times never go back: an entry with an earlier time gets that of the entry before.
    """
    try:
        with closing(sqlite3.connect(f"file:{folder / NAME}?mode=ro", uri=True, timeout=_WAIT)) as file:
            file.execute("BEGIN")  # both answers are of one state
            known = file.execute("SELECT position FROM mark").fetchone()
            rows = file.execute(_FOUND, (short(graph, base), position)).fetchall() if known and known[0] >= position else None
    except sqlite3.OperationalError:  # it is not there yet, or is just made anew
        return None
    return None if rows is None else _ordered(GraphChange(row[0], row[1], row[2], row[3], row[4], _unpacked(row[5])) for row in rows)


def _ordered(changes: Iterable[GraphChange]) -> tuple[GraphChange, ...]:
    out: list[GraphChange] = []
    for item in changes:
        out.append(replace(item, time=max(item.time, out[-1].time)) if out else item)
    return tuple(out)


def short(graph: str, base: str) -> str:
    """Return a graph's name as it is stored: without the base, if it begins with the base."""
    return graph.removeprefix(base)


def packed(lines: bytes) -> bytes:
    """Pack the rows of a change."""
    return zstandard.compress(lines, 3)


def unpacked(data: bytes) -> bytes:
    """Unpack the rows of a change."""
    return zstandard.decompress(data)


def _unpacked(data: bytes | None) -> tuple[str, ...] | None:
    return tuple(unpacked(data).decode().split("\n")) if data is not None else None
