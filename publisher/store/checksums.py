"""Checksums of the files of a snapshot, so that a damaged file is found whatever part of it a query reads.

The engine checks a block when it reads it, and a query reads one of its eight indexes: of 24 damaged blocks, reading all quads found six.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from isal import isal_zlib

from journal.integrity import Fault

NAME = "checksums.json"
_CHANGING = (NAME, "about.json", "LOG", "LOCK", ".")  # beginnings of the names of files that may change: logs, locks, and our own
_BLOCK = 1 << 20  # bytes read at once

Known = dict[str, tuple[int, int, int, int]]  # by path: inode, bytes, modification time in nanoseconds, CRC-32


def write_checksums(folder: Path, before: Path | None) -> None:
    """Write the CRC-32 of each file of the snapshot in *folder*, which has not been opened yet.

    Files that are the same as in the snapshot *before* (hard links) are not read again.
    """
    known = {entry[:3]: entry[3] for entry in _read(before).values()} if before else {}
    checksums: Known = {}
    for path in _files(folder):
        status = path.stat()
        identity = (status.st_ino, status.st_size, status.st_mtime_ns)
        checksums[str(path.relative_to(folder))] = (*identity, known[identity] if identity in known else _crc(path))
    (folder / NAME).write_text(json.dumps(checksums))


def checksum_faults(folder: Path, cure: str) -> Iterator[Fault]:
    """Yield the files of the snapshot in *folder* that are missing or have changed since it was made; reads about 1 GB a second.

    Yields nothing for a snapshot that was made without checksums.
    """
    for name, (_, size, _, expected) in sorted(_read(folder).items()):
        path = folder / name
        try:
            actual = _crc(path) if path.stat().st_size == size else None
        except OSError as error:
            yield Fault(_name(folder, name), f"cannot be read: {error.strerror}", cure)
            continue
        if actual != expected:
            yield Fault(_name(folder, name), "has changed since it was written", cure)


def first_fault(folder: Path) -> str:
    """Return the first damaged file of the snapshot in *folder* with its problem, "" if there is none."""
    if not folder.is_dir():
        return f"{_name(folder, '')} is missing"
    fault = next(checksum_faults(folder, ""), None)
    return f"{fault.name} {fault.problem}" if fault else ""


def _name(folder: Path, name: str) -> str:
    return f"store/{folder.parent.name}/{folder.name}/{name}"


def _read(folder: Path) -> Known:
    try:
        return {name: (entry[0], entry[1], entry[2], entry[3]) for name, entry in json.loads((folder / NAME).read_text()).items()}
    except (OSError, ValueError, IndexError, AttributeError):
        return {}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(_CHANGING))


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = isal_zlib.crc32(block, value)
    return value
