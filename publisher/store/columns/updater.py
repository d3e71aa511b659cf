"""The projection of the journal into the columns.

The position in the journal is part of each transaction: after a crash the columns continue from
their last commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import duckdb
import structlog

from publisher.projections.database_projection import DatabaseProjection
from publisher.projections.journal_reader import DecodedEntry, JournalReader
from publisher.projections.position import write_position
from publisher.projections.statement_source import StatementSource
from publisher.store.columns.database import BUILD_VERSION, ColumnDatabase
from publisher.store.columns.statements import ColumnStatements
from vocab.iris import Iris

FILE = "columns.duckdb"

log = structlog.get_logger(component="columns")


class ColumnUpdater(DatabaseProjection[ColumnDatabase]):
    """The columns in *folder*; its subfolder ``shown`` has the last published state.

    They are not published, and only the other projections read them, unless *are_published*.
    """

    name = "columns"
    errors: tuple[type[Exception], ...] = (duckdb.Error, OSError, ValueError)
    snapshot_wait = 1.0

    def __init__(self, folder: Path, reader: JournalReader, *, are_published: bool = True) -> None:
        super().__init__(folder, reader, ColumnDatabase, BUILD_VERSION)
        self._are_published = are_published
        if not self.checkpoint:
            self.reset()
        self._fault = self._database.fault

    @property
    def statements(self) -> StatementSource:
        """Return the statements up to the checkpoint."""
        return ColumnStatements(lambda query, values: self._database.read(query, values))

    @property
    def position(self) -> int:
        """Return the number of the last journal entry in the published columns, -1 if none are
        published; if they are not to be published, that of the last entry that is stored.
        """
        if self._are_published and not self._fault:
            return super().position
        return self.checkpoint or -1

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

        yield from self._database.apply(
            chain.from_iterable(decoded.rows() for decoded in entries())
        )
        self._database.set_extra_graph(Iris(self._reader.base).status)
        self._database.commit(number, identifier)
        self.checkpoint = number
        self._fault = self._database.fault
        if self._fault:
            log.error(
                "columns cannot hold the data; queries are answered by the RDF store",
                error=self._fault,
            )

    def show(self, seconds: float) -> None:
        """Publish a copy of the columns atomically."""
        part = self._new_part()
        self._database.copy(part / FILE)
        write_position(part, self.checkpoint)
        self._publish(part)

    def free_memory(self) -> None:
        """Close the file until it is used again."""
        self._database.close()
