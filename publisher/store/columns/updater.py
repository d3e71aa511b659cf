"""The projection of the journal into the columns and the tables of things.

The position in the journal is part of each transaction: after a crash the columns continue from
their last commit. An entry that changes much of them is committed in parts: after a crash within it
the columns are rebuilt.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import structlog
from pyoxigraph import Quad

from journal.errors import JournalError
from publisher.projections.journal_reader import DecodedEntry, JournalReader
from publisher.projections.position import read_position, write_position
from publisher.store.change_writer import LEAD
from publisher.store.columns.database import BUILD_VERSION, ColumnDatabase
from publisher.store.columns.statements import ColumnStatements
from publisher.store.snapshots import newest_snapshot
from vocab.iris import Iris

WORK = "work.duckdb"
FILE = "columns.duckdb"
_STATUS = "status"  # the file with the digest of the published status graph

log = structlog.get_logger(component="columns")


class StatusGraph(NamedTuple):
    """The quads of the graph of the store that is not in the journal, and their *digest*."""

    digest: str
    quads: Iterable[Quad]


class ColumnUpdater:
    """The columns and tables in *folder*: the file ``work.duckdb``, and in the subfolder ``shown``
    its last published state, with the current *status* graph.

    A file that another version wrote, that belongs to another journal, or that cannot be opened is
    built again.
    """

    name = "columns"
    errors: tuple[type[Exception], ...] = (duckdb.Error, OSError, ValueError)
    snapshot_wait = 1.0

    def __init__(
        self,
        folder: Path,
        reader: JournalReader,
        status: Callable[[], StatusGraph] = lambda: StatusGraph("", ()),
    ) -> None:
        self.published = folder / "shown"
        self._folder, self._reader, self._status = folder, reader, status
        self._counted = (-1, 0)  # a position and the number of quads there
        self._database = self._open()
        position, entry, version = self._database.checkpoint()
        is_ours = version == BUILD_VERSION and reader.contains(position, entry)
        self.checkpoint = position if is_ours else 0
        if not self.checkpoint:
            if position:
                log.info("columns of another version or journal; rebuilding them", version=version)
            self.reset()

    def _open(self) -> ColumnDatabase:
        path = self._folder / WORK
        try:
            return ColumnDatabase(path, Iris(self._reader.base))
        except duckdb.Error as error:
            log.warning("file cannot be opened; rebuilding", file=str(path), error=str(error))
            shutil.rmtree(self._folder, ignore_errors=True)
            return ColumnDatabase(path, Iris(self._reader.base))

    @property
    def statements(self) -> ColumnStatements:
        """Return the statements up to the checkpoint."""
        return ColumnStatements(lambda query, values: self._database.read(query, values))

    @property
    def position(self) -> int:
        """Return the number of the journal entry that readers see, -1 if nothing is published."""
        return read_position(self.published)

    @property
    def quads(self) -> int:
        """Return the number of stored quads, without the status graph."""
        if self._counted[0] != self.checkpoint:
            self._counted = self.checkpoint, self._database.quads
        return self._counted[1]

    def stated(self, rows: Sequence[bytes]) -> set[int]:
        """Return the places of those *rows* of the journal whose triple is in some graph."""
        return self._database.stated(rows)

    @property
    def is_current(self) -> bool:
        """Return whether readers see what is stored, with the current status graph."""
        is_shown = self.position == self.checkpoint
        return is_shown and read_status(self.published) == self._status().digest

    def advance(self, position: int, entry: str) -> Iterator[None]:
        """Store the changes up to *position*, the entry with the id *entry*; yield between batches."""
        changes = self._database.begin()
        number, identifier = self.checkpoint, ""

        def entries() -> Iterator[DecodedEntry]:
            nonlocal number, identifier
            for decoded in self._reader.entries(self.checkpoint):
                if decoded.number > position:
                    return
                yield decoded
                number, identifier = decoded.number, decoded.id

        try:
            yield from self._database.apply(changes.read(entries()))
        except JournalError:
            self._database.close()  # which forgets what was begun
            raise
        self._database.commit(number, identifier)
        self.checkpoint = number

    def show(self, seconds: float) -> None:
        """Publish a copy of the file atomically."""
        status = self._status()
        self._database.replace_status(
            [f"A {' '.join(map(str, quad))} .".encode() for quad in status.quads]
        )
        if fault := self._database.fault:
            log.error(
                "columns cannot hold the data; the RDF store answers queries, but none of named graphs",
                error=fault,
            )
        if newest := newest_snapshot(self._folder.parent / "snapshots"):
            self._database.announce(newest.columns, newest.first_appeared + LEAD)
        part = self._folder / "shown.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        has_base = self._database.copy_changes(part / FILE, self.published / FILE)
        if not has_base:
            self._database.copy(part / FILE)
        write_position(part, self.checkpoint)
        (part / _STATUS).write_text(status.digest)
        shutil.rmtree(self.published, ignore_errors=True)
        part.rename(self.published)
        if not has_base:
            self._database.use_base()

    def reset(self) -> None:
        """Delete the file and what is published, so that both are rebuilt."""
        self._database.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._database, self.checkpoint = self._open(), 0

    def close(self) -> None:
        """Close the file; what was not committed is lost."""
        self._database.close()

    def free_memory(self) -> None:
        """Close the file until it is used again."""
        self._database.close()


def read_status(folder: Path) -> str:
    """Return the digest of the status graph in the columns that are published in *folder*, "" if
    none are.
    """
    try:
        return (folder / _STATUS).read_text()
    except FileNotFoundError:
        return ""
