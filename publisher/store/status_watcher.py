"""Watch `status.nq`; re-read it when replaced, or when a source's freshness is due to change."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from math import inf
from pathlib import Path
from time import monotonic

import structlog
from pyoxigraph import Quad, RdfFormat, parse

from journal.errors import JournalWriteError
from journal.store import Store
from publisher.store.source_freshness import recompute

EVERY = 2.0  # seconds between two looks into a store

log = structlog.get_logger(component="follower")

_Look = tuple[int, int, int]  # time of change, size and number of a file: another one where it was replaced


class StatusFile:
    """The status file *path*, whose terms stand under *ns*."""

    def __init__(self, path: Path, ns: str, store: Store | None = None) -> None:
        self._path, self._ns, self._store = path, ns, store
        self._fetched = -inf  # when the one in the store that machines share was looked at last
        self._turn: datetime | None = None  # when the freshness of a source changes next
        self._seen: _Look | None = None  # what the file was when it was last read

    def due(self, at: datetime) -> bool:
        """Return whether the status at *at* may differ from the one last read."""
        self._fetch()
        seen = self._look()
        return seen is not None and (seen != self._seen or (self._turn is not None and at >= self._turn))

    def read(self, at: datetime) -> set[Quad] | None:
        """Return the status quads at *at*; None if the file cannot be read: the previous ones then stay."""
        self._seen = self._look()
        try:
            quads, self._turn = recompute(parse(self._path.read_bytes(), RdfFormat.N_QUADS), self._ns, at)
        except (SyntaxError, ValueError, FileNotFoundError) as error:
            log.warning("status file cannot be read; keeping the previous status", error=str(error))
            return None
        return quads

    def _fetch(self) -> None:
        """Fetch the status file from the shared store; while that does not answer, the last one stays."""
        if self._store is None or monotonic() - self._fetched < EVERY:
            return
        self._fetched, part = monotonic(), self._path.with_suffix(".coming")
        with suppress(JournalWriteError):
            if self._store.get(self._path.name, part):
                if self._path.exists() and self._path.read_bytes() == part.read_bytes():
                    part.unlink()
                else:
                    part.replace(self._path)

    def _look(self) -> _Look | None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
