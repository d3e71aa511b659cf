"""A projection of the journal in a DuckDB file, and the folder in which its last published state
is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import duckdb
import structlog

from publisher.projections import position as position_file
from publisher.projections.journal_reader import JournalReader

_MEMORY = "256MiB"  # while a file is read to its end
WORK = "work.duckdb"

log = structlog.get_logger(component="projections")


class CheckpointedDatabase(Protocol):
    """A file that records with each commit which journal entry it leads up to."""

    def checkpoint(self) -> tuple[int, str, str]:
        """Return the number and id of the last journal entry, and the version that wrote it."""

    def close(self) -> None:
        """Close the file; what was not committed is lost."""


DatabaseT = TypeVar("DatabaseT", bound=CheckpointedDatabase)


class DatabaseProjection(Generic[DatabaseT]):
    """The file ``work.duckdb`` in *folder*, opened by *open_file*; the folder ``shown`` beside it
    holds the last published state.

    A file that another *version* wrote, that belongs to another journal, or that cannot be opened
    is built again.
    """

    errors: tuple[type[Exception], ...] = (duckdb.Error, OSError)

    def __init__(
        self,
        folder: Path,
        reader: JournalReader,
        open_file: Callable[[Path], DatabaseT],
        version: str,
    ) -> None:
        self.published = folder / "shown"
        self._folder = folder
        self._reader = reader
        self._open_file = open_file
        self._version = version
        self._database = self._open()
        self.checkpoint = self._read_checkpoint()

    @property
    def position(self) -> int:
        """Return the number of the journal entry that readers see, -1 if nothing is published."""
        return position_file.read_position(self.published)

    @property
    def is_current(self) -> bool:
        """Return whether readers see what is stored."""
        return self.position == self.checkpoint

    def reset(self) -> None:
        """Delete the file and what is published, so that both are rebuilt."""
        self._database.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._database, self.checkpoint = self._open_file(self._work), 0

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _start_over(self) -> None:
        """Delete the file, so that it is built anew; what is published stays until then."""
        self._database.close()
        for file in self._folder.glob(f"{WORK}*"):
            file.unlink()
        self._database, self.checkpoint = self._open_file(self._work), 0

    @property
    def _work(self) -> Path:
        return self._folder / WORK

    def _new_part(self) -> Path:
        """Return an empty folder, which becomes the published one once it is complete."""
        part = self._folder / "shown.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        return part

    def _publish(self, part: Path) -> None:
        shutil.rmtree(self.published, ignore_errors=True)
        part.rename(self.published)

    def _read_checkpoint(self) -> int:
        position, entry, version = self._database.checkpoint()
        return (
            position if version == self._version and self._reader.contains(position, entry) else 0
        )

    def _open(self) -> DatabaseT:
        try:
            return self._open_file(self._work)
        except duckdb.Error as error:
            log.warning("file cannot be opened; rebuilding", file=str(self._work), error=str(error))
            shutil.rmtree(self._folder, ignore_errors=True)
            return self._open_file(self._work)


def unreadable_reason(path: Path) -> str:
    """Return why a row of the DuckDB file *path* cannot be read, "" if all can; DuckDB checks each
    block that it reads.

    Takes about five seconds of processor time for each gigabyte. Source:
    https://duckdb.org/docs/stable/internals/storage
    """
    try:
        # Attached, since this process may have opened the file already, with other settings.
        with closing(duckdb.connect(config={"memory_limit": _MEMORY, "threads": 1})) as connection:
            connection.execute("ATTACH ? AS file (READ_ONLY)", [str(path)])
            connection.execute("USE file")
            for (table,) in connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = 'file'"
            ).fetchall():
                connection.execute(f'SELECT bit_xor(hash(rows)) FROM "{table}" AS rows').fetchall()
    except (duckdb.Error, UnicodeDecodeError) as error:
        return str(error)
    return ""


def link_published(published: Path, folder: Path) -> int:
    """Link what is published in *published* into *folder*; return its position in the journal, -1
    if nothing is.
    """
    position = position_file.read_position(published)
    if position < 0:
        return position
    folder.mkdir(parents=True)
    for file in published.iterdir():
        os.link(file, folder / file.name)
    return position


def is_linked(published: Path, folder: Path) -> bool:
    """Return whether *folder* has what is published in *published* now, by ``link_published``."""
    return os.path.samefile(published / position_file.NAME, folder / position_file.NAME)
