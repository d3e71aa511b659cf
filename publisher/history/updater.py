"""The projection of the journal into the change history: which graphs each entry changed, and how.

An entry is recorded in one transaction with the position, so that after a crash it continues there.
A file that is deleted, damaged or of another journal is rebuilt. It reads only the journal.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

from journal.errors import JournalError
from journal.file_lock import FileLock
from publisher.history.change_writer import RECORD, ChangeWriter
from publisher.history.graph_changes import (
    FORMAT,
    NAME,
    SCHEMA,
    compress_rows,
    decompress_rows,
    short,
)
from publisher.history.set_ranges import complete_ranges
from publisher.projections.journal_reader import DecodedEntry, JournalCursor, JournalReader
from publisher.store.snapshots import newest_snapshot

LEAD = 2  # seconds between a snapshot and its announcement, so that every server has switched to it

log = structlog.get_logger(component="history")

Rows = list[bytes]


class HistoryUpdater:
    """The change history in *folder*, of the journal of *reader*."""

    name = "history"
    # raised if it cannot be updated; opened again, it continues
    errors = (sqlite3.Error, OSError, JournalError)

    def __init__(self, folder: Path, reader: JournalReader) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / "lock")
        self._path, self._reader, self._base = folder / NAME, reader, reader.base
        self._cursor = JournalCursor(reader)
        self._file = self._open()
        if not self._continues():
            self._file.close()
            self._delete_files()
            self._file = self._open()

    @property
    def position(self) -> int:
        """Return the number of the last entry that is recorded."""
        row = self._file.execute("SELECT position FROM checkpoint").fetchone()
        return int(row[0]) if row else 0

    def step(self, until: int | None = None) -> int:
        """Record new entries, up to number *until* if it is set; return their number."""
        recorded = 0
        for entry in self._cursor.entries(self.position):
            if until is not None and entry.number > until:
                break
            with self._file:
                self._record_entry(entry)
            recorded += 1
        return recorded

    def announce(self, snapshots: Path) -> None:
        """Record when the entries that are both recorded and in a snapshot are first announced to
        harvesters (``change_reader``).

        Entries that were in the journal before this file was created are announced with the time
        when they were written.
        """
        last_entry, last_time = self._file.execute(
            "SELECT MAX(entry), MAX(time) FROM announcement"
        ).fetchone()
        current = newest_snapshot(snapshots)
        upto = min(self.position, current.position if current else 0)
        if upto <= (last_entry or 0) or (last_entry is None and self.position < self._head()):
            return
        now = int(time.time()) + LEAD
        with self._file:
            for entry in self._reader.entries(last_entry or 0):
                if entry.number > upto:
                    break
                written = int(entry.entry.path.stat().st_mtime)
                last_time = max(last_time or 0, written if last_entry is None else now)
                self._file.execute(
                    "INSERT INTO announcement VALUES (?, ?)", (entry.number, last_time)
                )

    def close(self) -> None:
        """Close the file and release the lock."""
        self._file.close()
        self._lock.close()

    def _record_entry(self, decoded: DecodedEntry) -> None:
        entry, writer = decoded.entry, ChangeWriter(self._file, self._base)
        writer.begin()
        complete_ranges(self._file, self.position, entry.number)
        for graph, rows in rows_by_graph(decoded.rows()):
            name = short(graph, self._base)
            self._record_graph_change(name, entry.number, rows)
            if name.startswith(RECORD):
                writer.record_change(name.removeprefix(RECORD), entry.number, rows)
        time = int(entry.time.timestamp())
        before = self._file.execute("SELECT MAX(stamp) FROM entry").fetchone()[0] or 0
        row = (entry.number, entry.run, time, max(time, before), *writer.end())
        self._file.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", row)
        self._file.execute("DELETE FROM checkpoint")
        self._file.execute(
            "INSERT INTO checkpoint VALUES (?, ?, ?)", (entry.number, entry.id, FORMAT)
        )

    def _record_graph_change(self, graph: str, entry: int, rows: Rows) -> None:
        added = sum(row.startswith(b"A") for row in rows)
        last = self._file.execute(
            "SELECT entry, rows FROM graph_change WHERE graph = ? ORDER BY entry DESC LIMIT 1",
            (graph,),
        ).fetchone()
        if last is None or last[0] != entry:
            stored = None if last is None else compress_rows(b"\n".join(rows))
            self._file.execute(
                "INSERT INTO graph_change VALUES (?, ?, ?, ?, ?)",
                (graph, entry, added, len(rows) - added, stored),
            )
        else:  # its rows are in two parts of the entry
            stored = (
                None
                if last[1] is None
                else compress_rows(b"\n".join((decompress_rows(last[1]), *rows)))
            )
            change = "UPDATE graph_change SET added = added + ?, removed = removed + ?, rows = ? WHERE graph = ? AND entry = ?"
            self._file.execute(change, (added, len(rows) - added, stored, graph, entry))

    def _open(self) -> sqlite3.Connection:
        try:
            file = sqlite3.connect(self._path)
            file.executescript(SCHEMA)
            # takes a second per gigabyte
            if (state := file.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                file.close()
                raise sqlite3.DatabaseError(state)
        except sqlite3.DatabaseError as error:
            log.warning("change history cannot be opened; rebuilding", error=str(error))
            self._delete_files()
            file = sqlite3.connect(self._path)
            file.executescript(SCHEMA)
        return file

    def _continues(self) -> bool:
        """Return whether the file was written in the current format from this journal."""
        row = self._file.execute("SELECT position, entry, format FROM checkpoint").fetchone()
        return row is None or (row[2] == FORMAT and self._reader.contains(row[0], row[1]))

    def _delete_files(self) -> None:
        for end in ("", "-wal", "-shm"):
            self._path.with_name(NAME + end).unlink(missing_ok=True)

    def _head(self) -> int:
        head = self._reader.journal.head
        return head.number if head else 0


def rows_by_graph(lines: Iterable[bytes]) -> Iterator[tuple[str, Rows]]:
    """Yield each graph with its rows ``A <s> <p> <o>``; a graph is repeated if its rows are in two
    parts of the entry.
    """
    tail, rows = b"\0", Rows()  # no line ends so
    for line in lines:
        if not line.endswith(tail):
            if rows:
                yield tail[2:-4].decode(), rows
            tail, rows = line[line.rindex(b" <") :], []
        rows.append(line[: -len(tail)])
    if rows:
        yield tail[2:-4].decode(), rows
