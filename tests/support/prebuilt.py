"""Data folders that take seconds to make: made once for each digest of the code that makes them,
kept in the cache of pytest, and only read by tests.
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
CODE = ("vocab", "journal", "languages", "publisher", "requirements.lock")
SUMS = "SHA256SUMS"


def prebuilt(
    config: pytest.Config, name: str, makers: Sequence[Path], make: Callable[[Path], None]
) -> Path:
    """Return the folder *name* that *make* fills, as it was made before where neither the program
    nor a file of *makers* has changed since. A folder whose files are no longer as they were made
    is thrown away and made again, with a message.
    """
    assert config.cache
    place = config.cache.mkdir("prebuilt") / name
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = place / _digest_of_code(makers)
        if folder.exists() and (fault := _fault(folder)):
            _report(config, f"the prebuilt folder {folder} is broken ({fault}): it is made again")
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
    return folder


def _digest_of_code(makers: Sequence[Path]) -> str:
    digest = sha256(sys.version.encode())
    for top in (*(ROOT / name for name in CODE), *makers):
        for file in _files(top) if top.is_dir() else [top]:
            digest.update(f"{file}\0".encode() + sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below *folder* but for those that Python writes and those of pages."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in ("__pycache__", "static"):
            yield from _files(path)
        elif path.is_file() and path.name != SUMS:
            yield path


def _sums(folder: Path) -> Iterator[str]:
    for file in _files(folder):
        yield f"{sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}\n"


def _fault(folder: Path) -> str:
    """Return the first file that is not as it was made, "" if all are."""
    sums = folder / SUMS
    recorded = set(sums.read_text().splitlines(keepends=True)) if sums.is_file() else set()
    if not recorded:
        return SUMS
    return min((line.split()[1] for line in recorded ^ set(_sums(folder))), default="")


def _report(config: pytest.Config, message: str) -> None:
    """Print *message* at once: the output of a test is shown only where it fails."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{message}", file=sys.__stderr__, flush=True)
