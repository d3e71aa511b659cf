"""Tidings: the status file beside the journal, read when it was replaced or when time alone changes what it tells."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import structlog
from pyoxigraph import Quad, RdfFormat, parse

from publisher.shelf.tides import restated

log = structlog.get_logger(room="follower")

_Look = tuple[int, int, int]  # time of change, size and number of a file: another one where it was replaced


class Tidings:
    """The status file *path*, whose terms stand under *ns*."""

    def __init__(self, path: Path, ns: str) -> None:
        self._path, self._ns = path, ns
        self._turn: datetime | None = None  # when it is to be told anew though the file is the same
        self._seen: _Look | None = None  # what the file was when it was last read

    def due(self, at: datetime) -> bool:
        """Tell whether there is something else to tell at the instant *at* than when it was read last."""
        found = self._look()
        return found is not None and (found != self._seen or (self._turn is not None and at >= self._turn))

    def read(self, at: datetime) -> set[Quad] | None:
        """Give what is to be told at the instant *at*; None where the file cannot be read, and what was told last stays."""
        self._seen = self._look()
        try:
            told, self._turn = restated(parse(self._path.read_bytes(), RdfFormat.N_QUADS), self._ns, at)
        except (SyntaxError, ValueError, FileNotFoundError) as error:
            log.warning("the status file cannot be read; the last one stays", error=str(error))
            return None
        return told

    def _look(self) -> _Look | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
