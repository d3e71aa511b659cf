"""Sort lines by their bytes in constant memory (external merge sort)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

# lines sorted in memory at once, and their bytes from which no more are added
RUN_LENGTH, RUN_BYTES = 100_000, 16_000_000
MAX_MERGED = 100  # sorted files merged at once, below the usual limit of open files


class Sorter:
    """Sorts lines, each with its line end; sorted runs are stored in *folder*."""

    def __init__(
        self, folder: Path, run_length: int = RUN_LENGTH, max_merged: int = MAX_MERGED
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._run_length, self._max_merged = folder, run_length, max_merged
        self._lines: list[bytes] = []
        self._bytes = 0
        self._files: list[Path] = []

    def add(self, lines: Iterable[bytes]) -> None:
        """Add lines."""
        before = len(self._lines)
        self._lines += lines
        self._bytes += sum(map(len, self._lines[before:]))
        if len(self._lines) >= self._run_length or self._bytes >= RUN_BYTES:
            self._write()

    def sorted(self) -> Iterator[bytes]:
        """Yield all lines in order; nothing can be added afterwards."""
        self._write()
        files = merge_files(self._files, self._folder, self._max_merged)
        with ExitStack() as opened:
            yield from heapq.merge(*(opened.enter_context(file.open("rb")) for file in files))

    def _write(self) -> None:
        path = self._folder / f"sorted-{len(self._files)}"
        self._lines.sort()
        with path.open("wb") as file:
            file.writelines(self._lines)
        self._files.append(path)
        self._lines, self._bytes = [], 0


def merge_files(files: list[Path], folder: Path, max_merged: int) -> list[Path]:
    """Merge sorted files, *max_merged* at once, until at most *max_merged* are left; merged files
    are deleted.
    """
    step = 0
    while len(files) > max_merged:
        step += 1
        path = folder / f"merged-{step}"
        with ExitStack() as opened, path.open("wb") as out:
            out.writelines(
                heapq.merge(
                    *(opened.enter_context(file.open("rb")) for file in islice(files, max_merged))
                )
            )
        for file in files[:max_merged]:
            file.unlink()
        files = [*files[max_merged:], path]
    return files
