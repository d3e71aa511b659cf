"""The projection of the journal into the facet tables.

The changed things are read again from the columns, so applying an entry twice changes nothing: after
a crash the tables continue from their last commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog

from publisher.projections.database_projection import DatabaseProjection
from publisher.projections.facets.bitmap_build import BitmapBuild
from publisher.projections.facets.database import BUILD_VERSION, Database
from publisher.projections.facets.thing_rows import BATCH, FacetRows
from publisher.projections.journal_reader import JournalReader
from publisher.projections.position import write_position
from publisher.projections.statement_source import StatementSource
from vocab.iris import Iris

log = structlog.get_logger(component="tables")


class FacetUpdater(DatabaseProjection[Database]):
    """The facet tables of the things in *source*, in *folder*; its subfolder ``shown`` has the last
    published state.
    """

    name = "facets"
    snapshot_wait = 2.0

    def __init__(self, folder: Path, reader: JournalReader, source: StatementSource) -> None:
        iris = Iris(reader.base)
        super().__init__(folder, reader, lambda path: Database(path, iris), BUILD_VERSION)
        self._rows = FacetRows(source, iris)
        self._bitmap_build: BitmapBuild | None = None
        if not self.checkpoint and self._database.has_rows:
            self.reset()

    def advance(self, position: int, entry: str) -> Iterator[None]:
        """Store the changes up to *position*, the position of the source; yield between batches.

        New tables are built from all things in the source, and so are those of which most would
        change.
        """
        if self.checkpoint and self._reader.is_mostly_new(self.checkpoint):
            self._wait_for_bitmaps()
            self._start_over()
        self._database.begin()
        if self.checkpoint:
            yield from self._apply_entries(position)
            return
        log.info("building facet tables", position=position)
        yield from self._rows.insert_all(self._database)
        self._commit(position, entry)

    def _apply_entries(self, position: int) -> Iterator[None]:
        number, identifier, _ = self._database.checkpoint()
        for entry in self._reader.entries(self.checkpoint):
            if entry.number > position:
                break
            for changed in entry.changed(BATCH):
                self._rows.replace(self._database, changed)
                yield
            number, identifier = entry.number, entry.id
        self._commit(number, identifier)

    def show(self, seconds: float) -> None:
        """Publish the tables with their bitmaps, which are built in a thread; with a million things
        that takes minutes.
        """
        if self._bitmap_build is None:
            self._bitmap_build = self._start_bitmap_build()
        self._bitmap_build.wait(seconds)
        if not self._bitmap_build.done:
            return
        build, self._bitmap_build = self._bitmap_build, None
        if build.error is not None:
            raise build.error
        self._publish(build.tables.parent)

    def reset(self) -> None:
        """Delete the tables, so that they are rebuilt."""
        self._wait_for_bitmaps()
        super().reset()

    def close(self) -> None:
        """Close the tables."""
        self._wait_for_bitmaps()
        super().close()

    def _wait_for_bitmaps(self) -> None:
        if self._bitmap_build is not None:
            self._bitmap_build.wait()
            self._bitmap_build = None

    def _commit(self, position: int, entry: str) -> None:
        self._rows.set_relations(self._database)
        self._database.commit(position, entry)
        self.checkpoint = position

    def _start_bitmap_build(self) -> BitmapBuild:
        """Copy the tables as they are, and start to build the bitmaps of the copy."""
        part = self._new_part()
        self._database.copy(part / "tables.duckdb")
        write_position(part, self.checkpoint)
        return BitmapBuild(part / "tables.duckdb")
