"""The embedded store as an audit target: its newest snapshot is verified, and what is not as in the
journal is built again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pyoxigraph import DefaultGraph, Quad, Store

from journal.journal import Journal
from publisher.errors import NotReady
from publisher.projections.journal_reader import JournalReader
from publisher.store.columns.statements import open_statements
from publisher.store.columns.updater import FILE
from publisher.store.embedded import open_runner
from publisher.store.snapshots import newest_snapshot
from publisher.store.verification.expected_counts import Difference, graph_of
from publisher.store.writer_lock import require_unlocked
from vocab.iris import Iris


class LocalStore:
    """The newest snapshot of the store under *data*; raises NotReady if there is none."""

    def __init__(self, data: Path, iris: Iris) -> None:
        self._data, self._iris = data, iris
        snapshot = newest_snapshot(data / "store" / "snapshots")
        if snapshot is None:
            raise NotReady(
                "there is no store yet; create it with stocktake serve or stocktake store rebuild"
            )
        self.position = snapshot.position
        self._path = Path(snapshot.path)

    def quads(self) -> Iterator[Quad]:
        """Yield all quads, except those of the status graph."""
        with open_statements(self._path / "columns" / FILE) as statements:
            yield from (quad for quad in statements.quads() if graph_of(quad) != self._iris.status)

    def graph(self, graph: str) -> set[Quad]:
        """Return the quads of one graph."""
        with open_statements(self._path / "columns" / FILE) as statements:
            return set(statements.quads(graph))

    def unmerged(self) -> Difference | None:
        """Compare the triples of the RDF store with those of all graphs."""
        with open_statements(self._path / "columns" / FILE) as statements:
            stated = {str(quad.triple) for quad in statements.quads()}
        store = Store.read_only(str(self._path / "store"))
        merged = {
            str(quad.triple) for quad in store.quads_for_pattern(None, None, None, DefaultGraph())
        }
        missing, added = len(stated - merged), len(merged - stated)
        return Difference("", missing, added) if missing or added else None

    def repair(self, graphs: dict[str, set[Quad]]) -> None:
        """Build the store again. Raises StoreBusy if a server follows the journal."""
        rebuild_local(self._data, self._iris)


def rebuild_local(data: Path, iris: Iris) -> int:
    """Delete the store and rebuild it from the journal; return its position. Raises StoreBusy as
    ``LocalStore.repair``.
    """
    folder = data / "store"
    folder.mkdir(parents=True, exist_ok=True)
    require_unlocked(folder / "lock")
    (folder / "position.json").unlink(missing_ok=True)
    for name in ("store", "columns"):
        shutil.rmtree(folder / name, ignore_errors=True)
    with closing(open_runner(*_arguments(data, iris))) as runner:
        runner.step()
        return runner.position


def _arguments(data: Path, iris: Iris) -> tuple[JournalReader, Path, Path, str]:
    return (
        JournalReader(Journal(data / "journal"), iris.base),
        data / "store",
        data / "status.nq",
        iris.status,
    )
