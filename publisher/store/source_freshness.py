"""The status file, which is read again when it is replaced or when a source's freshness is due to
change, and the freshness of each source by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from math import inf
from pathlib import Path
from time import monotonic

import structlog
from pyoxigraph import NamedNode, Quad, RdfFormat, parse

from journal.errors import JournalWriteError
from journal.store import Store
from vocab.freshness import Freshness, FreshnessInputs, freshness, next_change
from vocab.provenance import check_source_status


def freshness_inputs(terms: Mapping[str, str]) -> FreshnessInputs:
    """Return the inputs of a source's freshness from its values in the status graph, by local names
    of our terms.
    """
    return FreshnessInputs(
        success=parse_time(terms.get("lastSuccess")),
        failures=int(terms.get("consecutiveFailures", "0")),
        late_from=parse_time(terms.get("lateFrom")),
        frozen_from=parse_time(terms.get("frozenFrom")),
        is_held="hold" in terms,
        retired=terms.get("freshness", "").endswith(f"#{Freshness.RETIRED.value}"),
    )


def parse_time(text: str | None) -> datetime | None:
    """Parse a timestamp of the status graph; None if *text* is None or empty."""
    return datetime.fromisoformat(text) if text else None


def terms_by_subject(
    statements: Iterable[tuple[str, str, str]], ns: str
) -> dict[str, dict[str, str]]:
    """Group the values of our terms by subject and by the local name of the term."""
    by_subject: dict[str, dict[str, str]] = {}
    for subject, predicate, value in statements:
        if predicate.startswith(ns):
            by_subject.setdefault(subject, {})[predicate.removeprefix(ns)] = value
    return by_subject


def recompute(quads: Iterable[Quad], ns: str, at: datetime) -> tuple[set[Quad], datetime | None]:
    """Return the status quads with the freshness of every source at *at*, and the time of the next
    change.

    Raises ValueError if a timestamp or a number cannot be parsed.
    """
    stored = list(quads)
    terms = terms_by_subject(
        ((_text(quad.subject), quad.predicate.value, _text(quad.object)) for quad in stored), ns
    )
    term = NamedNode(f"{ns}freshness")
    for values in terms.values():
        check_source_status(values)
    now = {
        source: freshness_inputs(values)
        for source, values in terms.items()
        if "freshness" in values
    }
    out = {
        Quad(
            quad.subject,
            term,
            NamedNode(ns + freshness(now[_text(quad.subject)], at).value),
            quad.graph_name,
        )
        if quad.predicate == term
        else quad
        for quad in stored
    }
    return out, min(
        (change for item in now.values() if (change := next_change(item, at))), default=None
    )


def _text(term: object) -> str:
    return str(getattr(term, "value", term))


FETCH_INTERVAL = 2.0  # seconds between two fetches from a shared store

log = structlog.get_logger(component="follower")

# The modification time, size and inode of a file, which differ after a replacement.
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
        """Return the status quads at *at*; None if the file cannot be read, so that the previous
        ones stay.
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
        self._fetched, part = monotonic(), self._path.with_suffix(".part")
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
