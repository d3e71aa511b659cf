"""Write and verify the checksums of the files of a snapshot or of the store of a release, the one
manifest by which damaged files are known.

The engine verifies only the blocks that a query reads, in one of its indexes: of 24 damaged blocks,
reading all quads detected six.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import duckdb
from isal import isal_zlib

from journal.integrity import Fault

NAME = "checksums.json"
REBUILD = "stop the server, then run stocktake verify --repair"
# name prefixes of files that may change: the checksums themselves, logs and locks
_CHANGING = (NAME, "LOG", "LOCK", ".")
_BLOCK = 1 << 20  # bytes per read
_MEMORY = "256MiB"  # while a DuckDB file is read to its end


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
    (folder / NAME).write_text(json.dumps(checksums))


def read_checksums(folder: Path) -> dict[str, int]:
    """Return the CRC-32 of each file of a snapshot by its path, none if it has no checksums; raises
    OSError or ValueError if their file is damaged.
    """
    path = folder / NAME
    checksums: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    return checksums


def checksum_faults(folder: Path) -> Iterator[Fault]:
    """Yield the files of the snapshot in *folder* that are missing or have changed since it was
    created. It reads about 1 GB a second.
    """
    place = _place(folder)
    try:
        checksums = read_checksums(folder)
    except (OSError, ValueError) as error:
        yield Fault(f"{place}/{NAME}", f"cannot be read: {error}", REBUILD)
        return
    for name, crc in sorted(checksums.items()):
        if problem := _problem(folder / name, crc):
            yield Fault(f"{place}/{name}", problem, REBUILD)


def _problem(path: Path, crc: int) -> str:
    try:
        if _crc(path) != crc:
            return "has changed since it was written"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    # it was copied from a damaged file
    reason = unreadable_reason(path) if path.suffix == ".duckdb" else ""
    return f"cannot be read: {reason}" if reason else ""


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


def is_copy(path: Path, original: Path, crc: int) -> bool:
    """Return whether *path* is a hard link of *original*, which is undamaged, or has the same *crc*."""
    try:
        return path.samefile(original) or _crc(path) == crc
    except OSError:
        return False


def first_fault(folder: Path) -> str:
    """Return the first damaged file of the snapshot in *folder* with its problem, "" if there is
    none.
    """
    if not folder.is_dir():
        return f"{_place(folder)}/ is missing"
    fault = next(checksum_faults(folder), None)
    return f"{fault.name} {fault.problem}" if fault else ""


def _place(folder: Path) -> str:
    return f"store/{folder.parent.name}/{folder.name}"


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = isal_zlib.crc32(block, value)
    return value
