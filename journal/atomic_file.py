"""Replace files atomically, and write them to the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_file(
    path: Path, content: bytes | str, *, before: Callable[[Path], None] | None = None
) -> None:
    """Write *content* to *path*; readers see the old or the new file, also after a crash.

    The content is written to ``NAME.new`` beside *path* and synced, then *before* is called with
    that file, then it is renamed. If anything raises, *path* is unchanged. Text is written as
    UTF-8.
    """
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    if before:
        before(new)
    new.replace(path)


def sync(path: Path) -> None:
    """Write a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder, which takes the place of *path* by a rename when the block ends."""
    part = path.with_name(f"{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    shutil.rmtree(path, ignore_errors=True)
    part.rename(path)
