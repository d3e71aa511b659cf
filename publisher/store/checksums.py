"""Write and verify checksums of the files of a snapshot, to detect damaged files.

The engine verifies only the blocks that a query reads, in one of its eight indexes: of 24 damaged
blocks, reading all quads detected six.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from isal import isal_zlib

from journal.integrity import Fault
from publisher.projections.database_projection import unreadable_reason

NAME = "checksums.json"
# name prefixes of files that may change: the checksums themselves, logs and locks
_CHANGING = (NAME, "LOG", "LOCK", ".")
_BLOCK = 1 << 20  # bytes per read

# by path: inode, bytes, modification time in nanoseconds, CRC-32
Checksums = dict[str, tuple[int, int, int, int]]


def write_checksums(folder: Path, before: Path | None) -> None:
    """Write the CRC-32 of each file of the snapshot in *folder*, which must not have been opened
    yet.

    Checksums of files shared with the snapshot *before* (hard links) are copied from it, so that
    what was written to one since is damage.
    """
    try:
        known = (
            {(before / name).stat().st_ino: entry[3] for name, entry in _read(before).items()}
            if before
            else {}
        )
    except (OSError, ValueError):
        known = {}
    checksums: Checksums = {}
    for path in _files(folder):
        status = path.stat()
        crc = known[status.st_ino] if status.st_ino in known else _crc(path)
        checksums[str(path.relative_to(folder))] = (
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            crc,
        )
    (folder / NAME).write_text(json.dumps(checksums))


def checksum_faults(folder: Path, remedy: str) -> Iterator[Fault]:
    """Yield the files of the snapshot in *folder* that are missing or have changed since it was
    created. It reads about 1 GB a second.

    Yields nothing for a snapshot without checksums.
    """
    try:
        checksums = _read(folder)
    except (OSError, ValueError) as error:
        yield Fault(_relative_name(folder, NAME), f"cannot be read: {error}", remedy)
        return
    for name, (_, size, _, expected) in sorted(checksums.items()):
        path = folder / name
        try:
            actual = _crc(path) if path.stat().st_size == size else None
        except OSError as error:
            yield Fault(_relative_name(folder, name), f"cannot be read: {error.strerror}", remedy)
            continue
        if actual != expected:
            yield Fault(_relative_name(folder, name), "has changed since it was written", remedy)
        # it was copied from a damaged file
        elif path.suffix == ".duckdb" and (reason := unreadable_reason(path)):
            yield Fault(_relative_name(folder, name), f"cannot be read: {reason}", remedy)


def copy_faults(snapshot: Path, name: str, files: Iterable[Path], remedy: str) -> Iterator[Fault]:
    """Yield those of *files* that are not as the file of the same name in the folder *name* of
    *snapshot*, which is undamaged.

    A file that the snapshot does not have is left out.
    """
    checksums = _read(snapshot)
    for path in sorted(files):
        if (file := f"{name}/{path.name}") not in checksums:
            continue
        _, size, _, expected = checksums[file]
        try:
            status = path.stat()
            is_same = status.st_ino == (snapshot / file).stat().st_ino or (
                status.st_size == size and _crc(path) == expected
            )
        except OSError:
            is_same = False
        if not is_same:
            yield Fault(
                path.relative_to(snapshot.parents[2]).as_posix(),
                "is not as it was published",
                remedy,
            )


def first_fault(folder: Path) -> str:
    """Return the first damaged file of the snapshot in *folder* with its problem, "" if there is
    none.
    """
    if not folder.is_dir():
        return f"{_relative_name(folder, '')} is missing"
    fault = next(checksum_faults(folder, ""), None)
    return f"{fault.name} {fault.problem}" if fault else ""


def _relative_name(folder: Path, name: str) -> str:
    return f"store/{folder.parent.name}/{folder.name}/{name}"


def _read(folder: Path) -> Checksums:
    """Return the checksums of a snapshot, none if it has no file of them; raises OSError or
    ValueError if the file is damaged.
    """
    if not (folder / NAME).exists():
        return {}
    try:
        return {
            name: (entry[0], entry[1], entry[2], entry[3])
            for name, entry in json.loads((folder / NAME).read_text()).items()
        }
    except (TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"it is not a table of files: {error!r}") from error


def _files(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(_CHANGING)
    )


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = isal_zlib.crc32(block, value)
    return value
