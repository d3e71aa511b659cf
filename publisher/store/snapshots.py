"""Create, read and remove immutable snapshots of the store. A snapshot is a folder that never
changes after its rename.

The checksums of its files, like those of the store of a release, are in one manifest by which damaged
files are known: the engine verifies only the blocks that a query reads, in one of its indexes (of 24
damaged blocks, reading all quads detected six).
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from isal import isal_zlib
from pydantic import TypeAdapter
from pyoxigraph import Store

from journal.entry import Entry
from journal.files import is_locked, replace_file, replace_folder
from journal.journal import Fault
from publisher.errors import DamagedFiles

# Increase the number with every change of what snapshots and working files contain: those of another
# format count as none, and are built again.
FORMAT = (
    f"19 duckdb-{version('duckdb').partition('.')[0]} "
    f"tantivy-{version('tantivy')} stemmer-{version('PyStemmer')}"
)
CHECKSUMS = "checksums.json"
REBUILD = "stop the server, then run stocktake verify --repair"
# Name prefixes of files that may change: the checksums themselves, logs and locks.
_CHANGING = (CHECKSUMS, "LOG", "LOCK", ".")
_BLOCK = 1 << 20  # bytes per read


def write_checksums(folder: Path, before: Path | None) -> None:
    """Write the CRC-32 of each file of the snapshot in *folder*, which must not have been opened
    yet.

    Checksums of files shared with the snapshot *before* (hard links) are copied from it, so that
    what was written to one since is damage.
    """
    known: dict[int, int] = {}
    if before:
        with suppress(OSError, ValueError):
            for name, crc in read_checksums(before).items():
                known[(before / name).stat().st_ino] = crc
    checksums = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(_CHANGING):
            crc = known.get(path.stat().st_ino) or _crc(path)
            checksums[str(path.relative_to(folder))] = crc
    (folder / CHECKSUMS).write_text(json.dumps(checksums))


def read_checksums(folder: Path) -> dict[str, int]:
    """Return the CRC-32 of each file of a snapshot by its path, none if it has no checksums; raises
    OSError or ValueError if their file is damaged.
    """
    path = folder / CHECKSUMS
    checksums: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    return checksums


def checksum_faults(folder: Path) -> Iterator[Fault]:
    """Yield the files of the snapshot in *folder* that are missing or have changed since it was
    created. It reads about 1 GB a second.
    """
    place = f"store/{folder.parent.name}/{folder.name}"
    try:
        checksums = read_checksums(folder)
    except (OSError, ValueError) as error:
        yield Fault(f"{place}/{CHECKSUMS}", f"cannot be read: {error}", REBUILD)
        return
    for name, crc in sorted(checksums.items()):
        if problem := _problem(folder / name, crc):
            yield Fault(f"{place}/{name}", problem, REBUILD)


def _problem(path: Path, crc: int) -> str:
    try:
        return "" if _crc(path) == crc else "has changed since it was written"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = isal_zlib.crc32(block, value)
    return value


INDEXES = ("text", "columns")  # their folders in a snapshot, and their positions in its description
KEEP = 2  # the newest, and the previous one, which a reader may be opening
# A file with the number of the last snapshot that was removed with all others.
_LAST_REMOVED = "last-removed"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state: *position* is the number of its last journal entry, *entry* the id of that, *run* the
    id and *time* the start of its run; *quads* excludes the status graph.

    *status* is a digest of the status graph, which changes without a journal entry. *modified* is
    the time of the last change in whole seconds since 1970; it increases with every change, even if
    two happen within one second. *text* and *columns* are the numbers of the last entries in the
    search index and the columns, -1 if there is none. *applying* is the number of the entry that is
    being loaded into an external store, 0 if there is none: answers may contain a part of it.
    *appeared* is when the first snapshot with these columns appeared, 0 for that snapshot itself.
    *format* is the FORMAT of its files. *version* identifies the published data: two states with the
    same version contain the same quads.
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
    format: str = ""
    version: str = ""
    run: str = ""
    time: str = ""

    @property
    def is_indexed(self) -> bool:
        """Return whether the search index and the columns have the same entries as the store."""
        return self.position == self.text == self.columns

    @property
    def first_appeared(self) -> int:
        """Return when a snapshot with these columns first appeared, in seconds since 1970."""
        return self.appeared or int((Path(self.path) / CHECKSUMS).stat().st_mtime)


_SNAPSHOT = TypeAdapter(Snapshot)


def state_after(entry: Entry | None, quads: int, status: str) -> Snapshot:
    """Return the description of a snapshot after *entry*, None before the first."""
    state = Snapshot(0, 0, "", quads, "", status)
    if entry is None:
        return state
    time = f"{entry.time:%Y-%m-%dT%H:%M:%SZ}"
    return replace(state, position=entry.number, entry=entry.id, run=entry.run, time=time)


def newest_snapshot(folder: Path) -> Snapshot | None:
    """Return the newest snapshot in *folder*, None while there is none of this FORMAT; raises
    DamagedFiles if its description cannot be read.
    """
    numbers = _numbers(folder)
    newest = _read(folder, numbers[-1]) if numbers else None
    return newest if newest and newest.format == FORMAT else None


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
    store: Store | None,
    state: Snapshot,
    indexes: Mapping[str, Callable[[Path], object]] = MappingProxyType({}),
) -> Snapshot:
    """Create a snapshot of *store* as it is now (None: an external one). Return *state* with its
    number, its path and the positions of the indexes.

    Each of *indexes* writes one of INDEXES, at the position of the store, into a new folder. The
    others are those of the snapshot before. The folder appears by a rename.
    """
    before = newest_snapshot(folder)
    number = _last_number(folder) + 1
    path = folder / f"{number:09d}"
    with replace_folder(path) as part:
        for name in INDEXES:
            if write := indexes.get(name):
                write(part / name)
            elif before and getattr(before, name) >= 0:
                shutil.copytree(Path(before.path) / name, part / name, copy_function=os.link)
        positions: dict[str, Any] = {
            name: state.position if name in indexes else getattr(before, name, -1)
            for name in INDEXES
        }
        is_same = before and before.columns == positions["columns"]
        appeared = before.first_appeared if before and is_same else 0
        indexed = "-".join(map(str, positions.values()))
        part_of = f"-{number}" if state.applying else ""
        snapshot = replace(
            state,
            number=number,
            path=str(path),
            appeared=appeared,
            format=FORMAT,
            version=f"{state.position}-{state.entry}-{state.status}-{indexed}{part_of}",
            **positions,
        )
        snapshot = replace(snapshot, modified=_modified(snapshot, before))
        if store is not None:
            store.backup(part / "store")
        (part / "about.json").write_text(json.dumps(asdict(snapshot)))
        write_checksums(part, Path(before.path) if before else None)
    return snapshot


def _modified(snapshot: Snapshot, before: Snapshot | None) -> int:
    now = int(time.time())
    if before is None:
        return now
    return before.modified if before.version == snapshot.version else max(now, before.modified + 1)


def prune(folder: Path) -> None:
    """Remove snapshots that are neither among the newest KEEP nor open in a reader, and the
    leftovers of a crash.
    """
    for leftover in (*folder.glob(".old-*"), *folder.glob("*.part")):
        shutil.rmtree(leftover, ignore_errors=True)
    for number in _numbers(folder)[:-KEEP]:
        if not is_locked(folder / f"{number:09d}"):
            _remove(folder, number)


def _remove(folder: Path, number: int) -> None:
    """Remove a snapshot. Its folder disappears by a rename, so that no reader opens part of it."""
    removed = (folder / f"{number:09d}").rename(folder / f".old-{number}")
    shutil.rmtree(removed, ignore_errors=True)


def remove_all(folder: Path) -> None:
    """Remove all snapshots in *folder*. Later ones get other numbers, so that no reader takes a new
    one for one that it has open.
    """
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / _LAST_REMOVED, f"{_last_number(folder)}")
    for number in _numbers(folder):
        _remove(folder, number)


def _last_number(folder: Path) -> int:
    """Return the number of the last snapshot, which may be removed."""
    removed = 0
    with suppress(OSError, ValueError):
        removed = int((folder / _LAST_REMOVED).read_text())
    return max([removed, *_numbers(folder)])


def _numbers(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdecimal())


def _read(folder: Path, number: int) -> Snapshot:
    path = folder / f"{number:09d}"
    try:
        content = (path / "about.json").read_bytes()
        return replace(_SNAPSHOT.validate_json(content, strict=True), path=str(path))
    except (OSError, ValueError) as error:
        raise DamagedFiles(
            f"store/{folder.name}/{path.name}/about.json cannot be read: {error}"
        ) from error
