"""Following: the process that reads each entry of the journal once and notes which graphs it touched.

An entry is noted in one transaction, with the position. Kill it at any point: it goes on where it was; throw the file away, or exchange
the journal, and it is made anew. It works at low priority beside the follower of the store, and ends when its standard input is closed.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

from journal.entry import Entry
from journal.errors import JournalError
from journal.journal import Journal
from publisher.history.change_writer import RECORD, ChangeWriter
from publisher.history.graph_changes import FORMAT, NAME, SCHEMA, packed, short, unpacked
from publisher.logs import configure_logging
from publisher.store.snapshots import newest_snapshot

PAUSE = 0.25  # seconds between looks at the journal
SETTLED = 2_000_000_000  # nanoseconds after which a folder's time of change tells two changes apart on any file system
LEAD = 2  # seconds from a snapshot to the moment when harvesters are told of it, within which every reader shows it
NICENESS = 5  # how much its priority is below that of the others

log = structlog.get_logger(room="history")

Rows = list[bytes]


class HistoryUpdater:
    """Keep the file in *folder* level with *journal*, whose graphs stand under *base*."""

    def __init__(self, folder: Path, journal: Journal, base: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._path, self._journal, self._base = folder / NAME, journal, base
        self._listed: int | None = None  # when the journal's folder was last changed, if that was long enough ago
        self._file = self._open()
        if not self._continues():
            self._file.close()
            self._reset()
            self._file = self._open()

    @property
    def position(self) -> int:
        """Give the number of the last entry that is noted."""
        found = self._file.execute("SELECT position FROM mark").fetchone()
        return int(found[0]) if found else 0

    def step(self) -> int:
        """Note the entries that are new; give their number."""
        changed, done = self._journal.change_token, 0
        if changed == self._listed:
            return 0
        for entry in self._journal.entries(after=self.position):
            with self._file:
                self._record_entry(entry)
            done += 1
        self._listed = changed if time.time_ns() - changed > SETTLED else None
        return done

    def announce(self, snapshots: Path) -> None:
        """Note when the entries that are noted and in a snapshot of the store are first told to harvesters (``log.horizon``).

        What was in the journal before this file was made is told with the time when it came into the journal.
        """
        last, before = self._file.execute("SELECT MAX(entry), MAX(time) FROM shown").fetchone()
        current = newest_snapshot(snapshots)
        upto = min(self.position, current.position if current else 0)
        if upto <= (last or 0) or (last is None and self.position < _head(self._journal)):
            return
        now = int(time.time()) + LEAD
        with self._file:
            for entry in self._journal.entries(after=last or 0):
                if entry.number > upto:
                    break
                before = max(before or 0, int(entry.path.stat().st_mtime) if last is None else now)
                self._file.execute("INSERT INTO shown VALUES (?, ?)", (entry.number, before))

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
        self._lock.close()

    def _record_entry(self, entry: Entry) -> None:
        book = ChangeWriter(self._file, self._base)
        book.begin()
        for graph, rows in rows_by_graph(entry.lines()):
            name = short(graph, self._base)
            self._record_graph_change(name, entry.number, rows)
            if name.startswith(RECORD):
                book.record_change(name.removeprefix(RECORD), entry.number, rows)
        time, before = int(entry.time.timestamp()), self._file.execute("SELECT MAX(stamp) FROM entry").fetchone()[0] or 0
        row = (entry.number, entry.run, time, max(time, before), *book.end())
        self._file.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", row)
        self._file.execute("DELETE FROM mark")
        self._file.execute("INSERT INTO mark VALUES (?, ?, ?)", (entry.number, entry.id, FORMAT))

    def _record_graph_change(self, graph: str, entry: int, rows: Rows) -> None:
        added = sum(row.startswith(b"A") for row in rows)
        last = self._file.execute("SELECT entry, rows FROM touch WHERE graph = ? ORDER BY entry DESC LIMIT 1", (graph,)).fetchone()
        if last is None or last[0] != entry:
            kept = None if last is None else packed(b"\n".join(rows))
            self._file.execute("INSERT INTO touch VALUES (?, ?, ?, ?, ?)", (graph, entry, added, len(rows) - added, kept))
        else:  # its rows stand in two places of the entry
            kept = None if last[1] is None else packed(b"\n".join((unpacked(last[1]), *rows)))
            change = "UPDATE touch SET added = added + ?, removed = removed + ?, rows = ? WHERE graph = ? AND entry = ?"
            self._file.execute(change, (added, len(rows) - added, kept, graph, entry))

    def _open(self) -> sqlite3.Connection:
        try:
            file = sqlite3.connect(self._path)
            file.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            log.warning("change history cannot be opened; rebuilding", error=str(error))
            self._reset()
            file = sqlite3.connect(self._path)
            file.executescript(SCHEMA)
        return file

    def _continues(self) -> bool:
        """Tell whether the file was made by this form of ours from this journal."""
        found = self._file.execute("SELECT position, entry, format FROM mark").fetchone()
        if found is None:
            return True
        at = next(iter(self._journal.entries(after=found[0] - 1)), None)
        return at is not None and at.id == found[1] and found[2] == FORMAT

    def _reset(self) -> None:
        for end in ("", "-wal", "-shm"):
            self._path.with_name(NAME + end).unlink(missing_ok=True)


def _head(journal: Journal) -> int:
    head = journal.head
    return head.number if head else 0


def rows_by_graph(lines: Iterable[bytes]) -> Iterator[tuple[str, Rows]]:
    """Give the rows of a patch by their graphs, ``A <s> <p> <o>`` each; a graph comes again where its rows stand apart."""
    tail, rows = b"\0", Rows()  # no line ends so
    for line in lines:
        if not line.endswith(tail) and line[:2] in (b"A ", b"D "):
            if rows:
                yield tail[2:-4].decode(), rows
            tail, rows = line[line.rindex(b" <") :], []
        if line[:2] in (b"A ", b"D "):
            rows.append(line[: -len(tail)])
    if rows:
        yield tail[2:-4].decode(), rows


def _leave_at_end_of_input() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


def main() -> None:
    """Follow: arguments are the folder of the file, the journal's folder, the base of all IRIs and the folder of snapshots."""
    folder, journal, base, snapshots = sys.argv[1:5]
    configure_logging()
    threading.Thread(target=_leave_at_end_of_input, daemon=True).start()
    os.nice(NICENESS)
    following = HistoryUpdater(Path(folder), Journal(Path(journal)), base)
    while True:
        try:
            following.step()
            following.announce(Path(snapshots))
        except JournalError as error:
            log.error("cannot read new journal entries", error=str(error))
            time.sleep(10)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
