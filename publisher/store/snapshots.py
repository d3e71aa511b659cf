"""Immutable snapshots of the store, each a folder that never changes once it has its name."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pyoxigraph import Store

from journal.file_lock import is_locked
from publisher.projections.database_projection import link_published
from publisher.projections.position import read_position
from publisher.search import updater as search
from publisher.search.index import is_current
from publisher.store.checksums import write_checksums

KEEP = 2  # the newest, and the one before it, which a reader may just be opening


class ProjectionPaths(NamedTuple):
    """The folders of the published search index, facet tables and columns."""

    text: Path
    tables: Path
    columns: Path

    @classmethod
    def below(cls, folder: Path) -> ProjectionPaths:
        """Return the paths in the folder of a store."""
        return cls(folder / "text" / "shown", folder / "tables" / "shown", folder / "columns" / "shown")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state: *position* is the number of the last journal entry in it, *entry* its id, *quads* counts without the status graph.

    *status* is a digest of the status graph, which changes without an entry. *modified* are whole seconds since 1970 when what is
    shown last changed; a later state has a later second, even where two were made in one. *text* is the number of the last entry that
    the text index beside the store knows, -1 where there is none; *tables* is that of the tables, *columns* that of the columns. Of an
    external store, *taking* is the number of the entry that is being taken in, 0 where none is: answers may then hold a part of what
    it brings.
    """

    number: int
    position: int
    entry: str
    quads: int
    path: str
    status: str = ""
    modified: int = 0
    text: int = -1
    tables: int = -1
    columns: int = -1
    taking: int = 0

    @property
    def version(self) -> str:
        """Name all that is shown: two states with one version hold the same quads."""
        version = f"{self.position}-{self.entry}-{self.status}-{self.text}-{self.tables}"
        return f"{version}-{self.number}" if self.taking else version


def has_indexes(snapshot: Snapshot, paths: ProjectionPaths) -> bool:
    """Return whether *snapshot* has the indexes as they are published now, the search index in today's format."""
    position, folder = read_position(paths.text), Path(snapshot.path) / "text"
    is_searchable = read_position(folder) == position and (position < 0 or is_current(folder))
    is_counted = snapshot.tables == read_position(paths.tables)
    return is_searchable and is_counted and snapshot.columns == read_position(paths.columns)


def newest_snapshot(folder: Path) -> Snapshot | None:
    """Return the newest snapshot in *folder*, None while there is none."""
    numbers = _numbers(folder)
    return _read(folder, numbers[-1]) if numbers else None


def create_snapshot(
    folder: Path, store: Store, position: int, entry: str, quads: int, status: str = "", beside: ProjectionPaths | None = None
) -> Snapshot:
    """Create a snapshot of *store* as it is now, with the indexes of *beside*; its folder appears complete, by a rename."""
    return _made(folder, store, Snapshot(0, position, entry, quads, "", status), beside)


def register_external(folder: Path, state: Snapshot, beside: ProjectionPaths | None = None) -> Snapshot:
    """Create a snapshot of an external store, which is as *state* says; its number, path and indexes are set here."""
    return _made(folder, None, state, beside)


def _made(folder: Path, store: Store | None, state: Snapshot, beside: ProjectionPaths | None) -> Snapshot:
    before = newest_snapshot(folder)
    number = before.number + 1 if before else 1
    path, part = folder / f"{number:09d}", folder / ".part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    texts = search.link_published(beside.text, part / "text") if beside else -1
    counted = link_published(beside.tables, part / "tables") if beside else -1
    columned = link_published(beside.columns, part / "columns") if beside else -1
    snapshot = replace(state, number=number, path=str(path), text=texts, tables=counted, columns=columned)
    snapshot = replace(snapshot, modified=_modified(snapshot, before))
    if store is not None:
        store.backup(part / "store")
    write_checksums(part, Path(before.path) if before else None)
    (part / "about.json").write_text(json.dumps(asdict(snapshot)))
    part.rename(path)
    return snapshot


def _modified(made: Snapshot, before: Snapshot | None) -> int:
    now = int(time.time())
    if before is None:
        return now
    return before.modified if before.version == made.version else max(now, before.modified + 1)


def prune(folder: Path) -> None:
    """Remove what is neither among the newest nor open in a reader, and what a crash left behind."""
    for left in folder.glob(".old-*"):
        shutil.rmtree(left, ignore_errors=True)
    for number in _numbers(folder)[:-KEEP]:
        path = folder / f"{number:09d}"
        if not is_locked(path):
            gone = path.rename(path.with_name(f".old-{number}"))
            shutil.rmtree(gone, ignore_errors=True)


def _numbers(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.glob("[0-9]*")) if folder.is_dir() else []


def _read(folder: Path, number: int) -> Snapshot:
    path = folder / f"{number:09d}"
    return Snapshot(**{**json.loads((path / "about.json").read_text()), "path": str(path)})
