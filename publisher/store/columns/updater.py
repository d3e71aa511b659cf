"""The projection of the journal into the columns.

The position in the journal is part of each transaction: after a crash the columns continue from
their last commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import structlog

from publisher.projections.database_projection import DatabaseProjection
from publisher.projections.journal_reader import DecodedEntry, JournalReader
from publisher.projections.position import write_position
from publisher.projections.quad_source import QuadSource
from publisher.store.columns.database import BUILD_VERSION, ColumnDatabase
from vocab.iris import Iris

FILE = "columns.duckdb"

log = structlog.get_logger(component="columns")


class ColumnUpdater(DatabaseProjection[ColumnDatabase]):
    """The columns in *folder*; its subfolder ``shown`` has the last published state."""

    name = "columns"
    snapshot_wait = 1.0

    def __init__(self, folder: Path, reader: JournalReader) -> None:
        super().__init__(folder, reader, ColumnDatabase, BUILD_VERSION)
        self._unusable = False
        if not self.checkpoint:
            self.reset()

    @property
    def position(self) -> int:
        """Return the number of the last journal entry in the published columns, -1 if none are
        published.
        """
        return self.checkpoint if self._unusable else super().position

    def advance(self, source: QuadSource, position: int, entry: str) -> Iterator[None]:
        """Store the changes up to *position*, the entry with the id *entry*; yield between batches."""
        if self._unusable:
            self.checkpoint = position
            return
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
        except ValueError as error:
            log.error(
                "columns cannot hold the data; queries are answered by the RDF store",
                error=str(error),
            )
            self.reset()
            self._unusable, self.checkpoint = True, position
            return
        self._database.set_extra_graph(Iris(self._reader.base).status)
        self._database.commit(number, identifier)
        self.checkpoint = number

    def show(self, seconds: float) -> None:
        """Publish a copy of the columns atomically."""
        if self._unusable:
            return
        part = self._new_part()
        self._database.copy(part / FILE)
        write_position(part, self.checkpoint)
        self._publish(part)
