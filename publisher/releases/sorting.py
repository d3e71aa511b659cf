"""Sorting: lines by their bytes, more of them than memory holds."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

RUN = 100_000  # lines sorted in memory at once: about 50 MB
FAN = 100  # sorted files merged at once, below the usual limit of open files


class Sorter:
    """Take lines (each with its line end) in any order, and give them sorted; what does not fit waits in *folder*."""

    def __init__(self, folder: Path, run: int = RUN, fan: int = FAN) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._run, self._fan = folder, run, fan
        self._waiting: list[bytes] = []
        self._files: list[Path] = []

    def add(self, lines: Iterable[bytes]) -> None:
        """Take more lines."""
        self._waiting += lines
        if len(self._waiting) >= self._run:
            self._write()

    def sorted(self) -> Iterator[bytes]:
        """Yield all lines in order; nothing can be added afterwards."""
        self._write()
        files = merge_files(self._files, self._folder, self._fan)
        with ExitStack() as opened:
            yield from heapq.merge(*(opened.enter_context(file.open("rb")) for file in files))

    def _write(self) -> None:
        path = self._folder / f"sorted-{len(self._files)}"
        self._waiting.sort()
        with path.open("wb") as file:
            file.writelines(self._waiting)
        self._files.append(path)
        self._waiting = []


def merge_files(files: list[Path], folder: Path, fan: int) -> list[Path]:
    """Merge sorted files, *fan* at once, until no more than that are left; files that were merged are removed."""
    step = 0
    while len(files) > fan:
        step += 1
        path = folder / f"merged-{step}"
        with ExitStack() as opened, path.open("wb") as out:
            out.writelines(heapq.merge(*(opened.enter_context(file.open("rb")) for file in islice(files, fan))))
        for file in files[:fan]:
            file.unlink()
        files = [*files[fan:], path]
    return files
