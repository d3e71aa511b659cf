"""The projection of the journal into the columns.

The position in the journal is part of each transaction: after a crash the columns continue from
their last commit. An entry that changes much of them is committed in parts: after a crash within it
the columns are rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import duckdb
import structlog
from pyoxigraph import Quad

from journal.errors import JournalError
from publisher.projections.database_projection import DatabaseProjection
from publisher.projections.journal_reader import DecodedEntry, JournalReader
from publisher.projections.position import write_position
from publisher.store.columns.database import BUILD_VERSION, ColumnDatabase
from publisher.store.columns.statements import ColumnStatements

FILE = "columns.duckdb"
_STATUS = "status"  # the file with the digest of the published status graph

log = structlog.get_logger(component="columns")


class StatusGraph(NamedTuple):
    """The quads of the graph of the store that is not in the journal, and their *digest*."""

    digest: str
    quads: Iterable[Quad]


class ColumnUpdater(DatabaseProjection[ColumnDatabase]):
    """The columns in *folder*; its subfolder ``shown`` has the last published state, with the
    current *status* graph.

    They are not published, and only the other projections read them, unless *are_published*.
    """

    name = "columns"
    errors: tuple[type[Exception], ...] = (duckdb.Error, OSError, ValueError)
    snapshot_wait = 1.0

    def __init__(
        self,
        folder: Path,
        reader: JournalReader,
        status: Callable[[], StatusGraph] = lambda: StatusGraph("", ()),
        *,
        are_published: bool = True,
    ) -> None:
        super().__init__(folder, reader, ColumnDatabase, BUILD_VERSION)
        self._status, self._are_published = status, are_published
        self._counted = (-1, 0)  # a position and the number of quads there
        if not self.checkpoint:
            self.reset()
        self._fault = self._database.fault

    @property
    def statements(self) -> ColumnStatements:
        """Return the statements up to the checkpoint."""
        return ColumnStatements(lambda query, values: self._database.read(query, values))

    @property
    def position(self) -> int:
        """Return the number of the last journal entry in the published columns, -1 if none are
        published; if they are not to be published, that of the last entry that is stored.
        """
        return super().position if self._is_to_be_published else self.checkpoint or -1

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
        return not self._is_to_be_published or (
            super().is_current and read_status(self.published) == self._status().digest
        )

    @property
    def _is_to_be_published(self) -> bool:
        return self._are_published and not self._fault

    def advance(self, position: int, entry: str) -> Iterator[None]:
        """Store the changes up to *position*, the entry with the id *entry*; yield between batches."""
        self._database.begin()
        number, identifier = self.checkpoint, ""

        def entries() -> Iterator[DecodedEntry]:
            nonlocal number, identifier
            for decoded in self._reader.entries(self.checkpoint):
                if decoded.number > position:
                    return
                yield decoded
                number, identifier = decoded.number, decoded.id

        try:
            yield from self._database.apply(
                chain.from_iterable(decoded.rows() for decoded in entries())
            )
        except JournalError:
            self._database.close()  # which forgets what was begun
            raise
        self._database.commit(number, identifier)
        self.checkpoint = number
        self._read_fault()

    def _read_fault(self) -> None:
        self._fault = self._database.fault
        if self._fault:
            log.error(
                "columns cannot hold the data; the RDF store answers queries, but none of named graphs",
                error=self._fault,
            )

    def show(self, seconds: float) -> None:
        """Publish a copy of the columns atomically."""
        status = self._status()
        self._database.replace_status(
            [f"A {' '.join(map(str, quad))} .".encode() for quad in status.quads]
        )
        self._read_fault()
        if self._fault:
            return
        part = self._new_part()
        has_base = self._database.copy_changes(part / FILE, self.published / FILE)
        if not has_base:
            self._database.copy(part / FILE)
        write_position(part, self.checkpoint)
        (part / _STATUS).write_text(status.digest)
        self._publish(part)
        if not has_base:
            self._database.use_base()

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
