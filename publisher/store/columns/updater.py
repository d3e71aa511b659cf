"""The projection of the journal into the columns.

The position in the journal is part of each transaction: after a crash the columns continue from their last commit.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import duckdb
import structlog

from publisher.projections import position as position_file
from publisher.projections.journal_reader import DecodedEntry, JournalReader
from publisher.projections.quad_source import QuadSource
from publisher.store.columns.database import BUILD_VERSION, ColumnDatabase, TermCollision
from vocab.iris import Iris

FILE = "columns.duckdb"

log = structlog.get_logger(component="columns")


class ColumnUpdater:
    """The columns in *folder*; the folder ``shown`` in it holds the last published state."""

    name = "columns"
    errors: tuple[type[Exception], ...] = (duckdb.Error, OSError)
    snapshot_wait = 1.0

    def __init__(self, folder: Path, reader: JournalReader) -> None:
        self.shown = folder / "shown"
        self._folder, self._reader = folder, reader
        self._unusable = False
        self._database = self._open()
        self.checkpoint = self._read_checkpoint()
        if not self.checkpoint:
            self.reset()

    @property
    def position(self) -> int:
        """Return the number of the journal entry that the shown columns hold, -1 if none are shown."""
        return self.checkpoint if self._unusable else position_file.read_position(self.shown)

    def advance(self, source: QuadSource, position: int, entry: str) -> Iterator[None]:
        """Store the changes up to *position*, the entry with the id *entry*; yield between batches."""
        self._database.begin()
        number, identifier = self.checkpoint, ""

        def entries() -> Iterator[DecodedEntry]:
            nonlocal number, identifier
            for found in self._reader.entries(self.checkpoint):
                if found.number > position:
                    return
                yield found
                number, identifier = found.number, found.id

        try:
            yield from self._database.apply(chain.from_iterable(found.rows() for found in entries()))
        except TermCollision as error:
            log.error("columns cannot hold the data; queries are answered by the RDF store", error=str(error))
            self.reset()
            self._unusable, self.checkpoint = True, position
            return
        self._database.set_graph_beside(Iris(self._reader.base).status)
        self._database.commit(number, identifier)
        self.checkpoint = number

    def show(self, seconds: float) -> None:
        """Publish a copy of the columns, in one piece."""
        if self._unusable:
            return
        part = self._folder / "shown.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        self._database.copy(part / FILE)
        position_file.write_position(part, self.checkpoint)
        shutil.rmtree(self.shown, ignore_errors=True)
        part.rename(self.shown)

    def reset(self) -> None:
        """Delete the columns, so that they are rebuilt."""
        self._database.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._database, self.checkpoint = ColumnDatabase(self._folder / "work.duckdb"), 0

    def close(self) -> None:
        """Close the columns."""
        self._database.close()

    def _read_checkpoint(self) -> int:
        position, entry, version = self._database.checkpoint()
        return position if version == BUILD_VERSION and self._reader.contains(position, entry) else 0

    def _open(self) -> ColumnDatabase:
        try:
            return ColumnDatabase(self._folder / "work.duckdb")
        except duckdb.Error as error:
            log.warning("columns cannot be opened; rebuilding", error=str(error))
            shutil.rmtree(self._folder, ignore_errors=True)
            return ColumnDatabase(self._folder / "work.duckdb")


def link_published(shown: Path, folder: Path) -> int:
    """Link the published columns into *folder*; return their position in the journal, -1 if there are none."""
    position = position_file.read_position(shown)
    if position < 0:
        return position
    folder.mkdir(parents=True)
    for file in shown.iterdir():
        os.link(file, folder / file.name)
    return position
