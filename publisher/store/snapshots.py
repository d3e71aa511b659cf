"""Create, read and remove immutable snapshots of the store. A snapshot is a folder that never
changes after its rename.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pyoxigraph import Store

from journal.atomic_file import replace_file
from journal.file_lock import is_locked
from publisher.errors import DamagedFiles
from publisher.projections import position as position_file
from publisher.projections.position import read_position
from publisher.projections.search.index import is_current
from publisher.store import checksums
from publisher.store.checksums import write_checksums

KEEP = 2  # the newest, and the previous one, which a reader may be opening
# a file with the number of the last snapshot that was removed with all others
_LAST_REMOVED = "last-removed"


class ProjectionPaths(NamedTuple):
    """The folders of the published search index and columns."""

    text: Path
    columns: Path

    @classmethod
    def below(cls, folder: Path) -> ProjectionPaths:
        """Return the paths in the folder of a store."""
        return cls(folder / "text" / "shown", folder / "columns" / "shown")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state: *position* is the number of its last journal entry, *entry* the id of that;
    *quads* excludes the status graph.

    *status* is a digest of the status graph, which changes without a journal entry. *modified* is
    the time of the last change in whole seconds since 1970; it increases with every change, even if
    two happen within one second. *text* and *columns* are the numbers of the last entries in the
    search index and the columns, -1 if there is none. *applying* is the number of the entry that is
    being loaded into an external store, 0 if there is none: answers may contain a part of it.
    *appeared* is when the first snapshot with these columns appeared, 0 for that snapshot itself.
    """

    number: int
    position: int
    entry: str
    quads: int
    path: str
    status: str = ""
    modified: int = 0
    text: int = -1
    columns: int = -1
    applying: int = 0
    appeared: int = 0

    @property
    def is_indexed(self) -> bool:
        """Return whether the search index and the columns have the same entries as the store."""
        return self.position == self.text == self.columns

    @property
    def first_appeared(self) -> int:
        """Return when a snapshot with these columns first appeared, in seconds since 1970."""
        return self.appeared or int((Path(self.path) / checksums.NAME).stat().st_mtime)

    @property
    def version(self) -> str:
        """Return an identifier of the published data: two states with the same version contain the
        same quads.
        """
        version = f"{self.position}-{self.entry}-{self.status}-{self.text}-{self.columns}"
        return f"{version}-{self.number}" if self.applying else version


def has_indexes(snapshot: Snapshot, paths: ProjectionPaths) -> bool:
    """Return whether *snapshot* has the indexes as they are published now, and the search index in
    the current format.
    """
    position, folder = read_position(paths.text), Path(snapshot.path) / "text"
    is_searchable = read_position(folder) == position and (position < 0 or is_current(folder))
    has_columns = snapshot.columns == read_position(paths.columns)
    if not (is_searchable and has_columns):
        return False
    # columns with another status graph have the same position
    published, linked = (
        folder / position_file.NAME for folder in (paths.columns, Path(snapshot.path) / "columns")
    )
    return snapshot.columns < 0 or os.path.samefile(published, linked)


def newest_snapshot(folder: Path) -> Snapshot | None:
    """Return the newest snapshot in *folder*, None while there is none; raises DamagedFiles if its
    description cannot be read.
    """
    numbers = _numbers(folder)
    return _read(folder, numbers[-1]) if numbers else None


def read_snapshot(path: Path) -> Snapshot:
    """Return the snapshot in the folder *path*; raises DamagedFiles if its description cannot be
    read.
    """
    return _read(path.parent, int(path.name))


def older_snapshots(folder: Path) -> list[Path]:
    """Return the folders of the snapshots in *folder* but the newest."""
    return [folder / f"{number:09d}" for number in _numbers(folder)[:-1]]


def create_snapshot(
    folder: Path,
    store: Store,
    position: int,
    entry: str,
    quads: int,
    status: str = "",
    indexes: ProjectionPaths | None = None,
) -> Snapshot:
    """Create a snapshot of *store* as it is now, with the indexes in *indexes*. The folder appears
    by a rename.
    """
    return _create(folder, store, Snapshot(0, position, entry, quads, "", status), indexes)


def register_external(
    folder: Path, state: Snapshot, indexes: ProjectionPaths | None = None
) -> Snapshot:
    """Create a snapshot of an external store in the given *state*; its number, path and indexes are
    set here.
    """
    return _create(folder, None, state, indexes)


def _create(
    folder: Path, store: Store | None, state: Snapshot, indexes: ProjectionPaths | None
) -> Snapshot:
    before = newest_snapshot(folder)
    number = (before.number if before else _last_removed(folder)) + 1
    path, part = folder / f"{number:09d}", folder / ".part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    text = link_published(indexes.text, part / "text") if indexes else -1
    columns = link_published(indexes.columns, part / "columns") if indexes else -1
    appeared = before.first_appeared if before and before.columns == columns else 0
    snapshot = replace(
        state, number=number, path=str(path), text=text, columns=columns, appeared=appeared
    )
    snapshot = replace(snapshot, modified=_modified(snapshot, before))
    if store is not None:
        store.backup(part / "store")
    (part / "about.json").write_text(json.dumps(asdict(snapshot)))
    write_checksums(part, Path(before.path) if before else None)
    part.rename(path)
    return snapshot


def link_published(published: Path, folder: Path) -> int:
    """Link what is published in *published* into *folder*; return its position in the journal, -1
    if nothing is.
    """
    position = read_position(published)
    if position < 0:
        return position
    folder.mkdir(parents=True)
    for file in published.iterdir():
        os.link(file, folder / file.name)
    return position


def _modified(snapshot: Snapshot, before: Snapshot | None) -> int:
    now = int(time.time())
    if before is None:
        return now
    return before.modified if before.version == snapshot.version else max(now, before.modified + 1)


def prune(folder: Path) -> None:
    """Remove snapshots that are neither among the newest KEEP nor open in a reader, and the
    leftovers of a crash.
    """
    for leftover in folder.glob(".old-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for number in _numbers(folder)[:-KEEP]:
        if not is_locked(folder / f"{number:09d}"):
            _remove(folder, number)


def _remove(folder: Path, number: int) -> None:
    """Remove a snapshot. Its folder disappears by a rename, so that nobody finds a part of it."""
    removed = (folder / f"{number:09d}").rename(folder / f".old-{number}")
    shutil.rmtree(removed, ignore_errors=True)


def remove_all(folder: Path) -> None:
    """Remove all snapshots in *folder*. Later ones get other numbers, so that no reader takes a new
    one for one that it has open.
    """
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / _LAST_REMOVED, f"{max([_last_removed(folder), *_numbers(folder)])}")
    for number in _numbers(folder):
        _remove(folder, number)


def _last_removed(folder: Path) -> int:
    try:
        return int((folder / _LAST_REMOVED).read_text())
    except (OSError, ValueError):
        return 0


def _numbers(folder: Path) -> list[int]:
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name) for name in names if name.isdecimal())


def _read(folder: Path, number: int) -> Snapshot:
    path = folder / f"{number:09d}"
    try:
        state = (path / "about.json").stat()
        return _described(path, state.st_ino, state.st_size, state.st_mtime_ns)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DamagedFiles(
            f"store/{folder.name}/{path.name}/about.json cannot be read: {error}"
        ) from error


@lru_cache(64)
def _described(path: Path, *_identity: int) -> Snapshot:
    """Return the snapshot that the file in *path* describes. The file is read again only if its
    identity (inode, size, time) differs: server and follower ask several times a second.
    """
    stored = {**json.loads((path / "about.json").read_text()), "path": str(path)}
    for item in fields(Snapshot):
        if item.name in stored and type(stored[item.name]).__name__ != item.type:
            raise ValueError(f"{item.name} is not of the type {item.type}")
    return Snapshot(
        **{item.name: stored[item.name] for item in fields(Snapshot) if item.name in stored}
    )
