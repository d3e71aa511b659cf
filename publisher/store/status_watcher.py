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

FETCH_INTERVAL = 2.0  # seconds between two fetches from a shared store

log = structlog.get_logger(component="follower")

# modification time, size and inode of a file; they differ after a replacement
_FileIdentity = tuple[int, int, int]


class StatusFile:
    """The status file *path*, whose terms are in the namespace *ns*; *store* is the shared store it
    is fetched from, if any.
    """

    def __init__(self, path: Path, ns: str, store: Store | None = None) -> None:
        self._path, self._ns, self._store = path, ns, store
        self._fetched = -inf  # when it was last fetched from the shared store
        self._next_change: datetime | None = None  # when the freshness of some source changes next
        self._seen: _FileIdentity | None = None  # the identity of the file when it was last read

    def is_due(self, at: datetime) -> bool:
        """Return whether the status at *at* may differ from the one last read."""
        self._fetch()
        seen = self._identity()
        return seen is not None and (
            seen != self._seen or (self._next_change is not None and at >= self._next_change)
        )

    def read(self, at: datetime) -> set[Quad] | None:
        """Return the status quads at *at*; None if the file cannot be read; then keep the previous
        ones.
        """
        self._seen = self._identity()
        try:
            quads, self._next_change = recompute(
                parse(self._path.read_bytes(), RdfFormat.N_QUADS), self._ns, at
            )
        except (SyntaxError, ValueError, FileNotFoundError) as error:
            log.warning("status file cannot be read; keeping the previous status", error=str(error))
            return None
        return quads

    def _fetch(self) -> None:
        """Fetch the status file from the shared store; keep the last one if that fails."""
        if self._store is None or monotonic() - self._fetched < FETCH_INTERVAL:
            return
        self._fetched, part = monotonic(), self._path.with_suffix(".coming")
        with suppress(JournalWriteError):
            if self._store.get(self._path.name, part):
                if self._path.exists() and self._path.read_bytes() == part.read_bytes():
                    part.unlink()
                else:
                    part.replace(self._path)

    def _identity(self) -> _FileIdentity | None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
