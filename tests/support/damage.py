"""Damage one file of each kind in a copy of a data directory: 64 bytes in the middle of the largest
are inverted. The table in docs/how-to/back-up.md has the results.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from typer.testing import CliRunner

from journal.journal import Journal, journal_faults
from stocktake import app

FLIPPED = 64  # bytes
# These files have nothing that is read again.
_IGNORED = re.compile(
    r"(^|/)([^/]*lock|locks|LOCK|LOG[^/]*|verified|first-start|[^/]*-(wal|shm))(/|$)"
)


def largest_files(data: Path) -> dict[str, Path]:
    """Return the largest file of each kind: its folder, with ``*`` for each number, and its suffix.
    Empty files and locks are left out.
    """
    kinds: dict[str, Path] = {}
    for path in sorted(data.rglob("*")):
        name = path.relative_to(data).as_posix()
        if path.is_file() and path.stat().st_size and not _IGNORED.search(name):
            last = f"*{path.suffix}" if path.suffix and path.parent != data else path.name
            kind = re.sub(
                r"[0-9a-f]{16,}|\d+", "*", path.relative_to(data).with_name(last).as_posix()
            )
            if kind not in kinds or path.stat().st_size > kinds[kind].stat().st_size:
                kinds[kind] = path
    return kinds


def invert(path: Path) -> None:
    """Invert 64 bytes in the middle of a file, or all of a smaller one."""
    content = bytearray(path.read_bytes())
    start = max(0, len(content) // 2 - FLIPPED // 2)
    content[start : start + FLIPPED] = bytes(
        byte ^ 0xFF for byte in content[start : start + FLIPPED]
    )
    path.write_bytes(content)


def verify(data: Path, *options: str) -> dict[str, str]:
    """Return the state of each part that is not sound; {"": text} if the command refuses the
    directory.
    """
    result = CliRunner().invoke(app, ["--data", str(data), "verify", "--json", *options])
    try:
        parts = json.loads(result.stdout)
    except json.JSONDecodeError:
        return {
            "": result.output.strip().splitlines()[-1]
            if result.output.strip()
            else repr(result.exception)
        }
    return {name: part["state"] for name, part in parts.items() if part["state"] != "sound"}


def _checkpoint(path: Path) -> None:
    """Move what is in the log beside an SQLite file into the file."""
    if path.with_name(f"{path.name}-wal").exists():
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy(data: Path, folder: Path) -> Path:
    """Copy a data directory; hard links between its files are kept."""
    copies: dict[int, str] = {}

    def copy_file(source: str, target: str) -> None:
        first = copies.setdefault(Path(source).stat().st_ino, target)
        if first == target:
            shutil.copy2(source, target)
        else:
            os.link(first, target)

    return Path(shutil.copytree(data, folder, copy_function=copy_file))


def damage_each(data: Path, beginning: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Damage one file of each kind in a copy of *data*; yield the kind, the part that is reported,
    and whether the damage was noticed and repaired.

    Only kinds whose paths start with *beginning* are damaged.
    """
    for kind, path in largest_files(data).items():
        if not kind.startswith(beginning):
            continue
        with TemporaryDirectory() as folder:
            copy = _copy(data, Path(folder) / "data")
            damaged = copy / path.relative_to(data)
            _checkpoint(damaged)
            invert(damaged)
            noticed = verify(copy)
            if noticed:
                verify(copy, "--repair")
            repaired = noticed and not verify(copy)
            answer = "yes" if noticed else "no"
            yield (
                kind,
                ", ".join(noticed) or "-",
                answer,
                "yes" if repaired else "by a person" if noticed else "-",
            )


def count_verified(journal: Journal) -> int:
    """Return the number of entries of a journal; fail if one is damaged."""
    assert [fault.problem for fault in journal_faults(journal)] == []
    return journal.position
