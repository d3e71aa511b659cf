"""Data folders that take seconds to build: they are built once for each digest of the code that
builds them, and stored in the cache of pytest. Each process of the tests works on a copy.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ("vocab", "journal", "languages", "web", "publisher", "requirements.lock")
SUMS = "prebuilt.sha256"  # a release has a file of the usual name
Make = Callable[[Path], None]


def prebuilt(
    config: pytest.Config, name: str, makers: Sequence[Path], make: Make, target: Path
) -> Path:
    """Return *target*, a copy of the folder *name*, which *make* fills again if the program or a
    file of *makers* has changed since.
    """
    assert config.cache
    capture = config.pluginmanager.getplugin("capturemanager")

    def report(message: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{message}", file=sys.__stderr__, flush=True)

    place = config.cache.mkdir("prebuilt") / name
    return copy_kept(
        place, digest_of((*(ROOT / part for part in CODE), *makers)), make, target, report
    )


def copy_kept(
    place: Path, digest: str, make: Make, target: Path, report: Callable[[str], None]
) -> Path:
    """Return *target*, a copy of the folder that *make* filled for *digest* and that is in *place*.

    A folder whose files have changed since is removed and built again, with a message. Folders of
    other digests are removed.
    """
    place.mkdir(exist_ok=True)
    folder = place / digest
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists() and (fault := _fault(folder)):
            report(f"{folder} is broken ({fault}); it is made again")
            shutil.rmtree(folder)
        if not folder.exists():
            for old in place.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            part = place / "part"
            part.mkdir()
            make(part)
            (part / SUMS).write_text("".join(_sums(part)))
            part.rename(folder)
        return Path(shutil.copytree(folder, target, ignore=shutil.ignore_patterns(SUMS)))


def digest_of(paths: Sequence[Path]) -> str:
    """Return a digest of the files of *paths*, which may be folders, and of the Python that runs."""
    digest = sha256(sys.version.encode())
    for path in paths:
        for file in _files(path) if path.is_dir() else [path]:
            digest.update(f"{file}\0".encode() + sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below *folder* but for those that Python writes and the static files."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in ("__pycache__", "static"):
            yield from _files(path)
        elif path.is_file() and path.name != SUMS:
            yield path


def _sums(folder: Path) -> Iterator[str]:
    for file in _files(folder):
        yield f"{sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}\n"


def _fault(folder: Path) -> str:
    """Return the first file that has changed since it was written, "" if none has."""
    sums = folder / SUMS
    recorded = set(sums.read_text().splitlines(keepends=True)) if sums.is_file() else set()
    if not recorded:
        return SUMS
    return min((line.split()[1] for line in recorded ^ set(_sums(folder))), default="")
