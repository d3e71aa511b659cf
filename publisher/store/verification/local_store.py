"""The embedded store as an audit target: its newest snapshot is verified; the store itself is
repaired.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from pyoxigraph import NamedNode, Quad, Store

from journal.journal import Journal
from publisher.errors import NotReady
from publisher.projections.journal_reader import JournalReader
from publisher.store.apply import stale_quads, unmerged_quads
from publisher.store.embedded import EmbeddedStore, open_runner
from publisher.store.snapshots import newest_snapshot
from publisher.store.verification.expected_counts import Difference, Tallies, Tally
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
        self._store = Store.read_only(str(Path(snapshot.path) / "store"))

    def counts(self) -> Tallies:
        """Return the tally of each graph, except the status graph."""
        tallies: Tallies = {}
        for quad in self._store.quads_for_pattern(None, None, None, None):
            if (
                isinstance(quad.graph_name, NamedNode)
                and quad.graph_name.value != self._iris.status
            ):
                graph = quad.graph_name.value
                tallies[graph] = tallies.get(graph, Tally()).changed(quad, 1)
        return tallies

    def graph(self, graph: str) -> set[Quad]:
        """Return the quads of one graph."""
        return set(self._store.quads_for_pattern(None, None, None, NamedNode(graph)))

    def unmerged(self) -> Difference | None:
        """Compare the default graph with the merge of all."""
        missing, added = (
            sum(1 for _ in quads)
            for quads in (unmerged_quads(self._store), stale_quads(self._store))
        )
        return Difference("", missing, added) if missing or added else None

    def repair(self, graphs: dict[str, set[Quad]]) -> None:
        """Replace the content of *graphs*, and rebuild the merge. Raises StoreBusy if a server
        follows the journal.
        """
        require_unlocked(self._data / "store" / "lock")
        with closing(EmbeddedStore(*_arguments(self._data, self._iris))) as store:
            store.repair({NamedNode(graph): quads for graph, quads in graphs.items()})


def rebuild_local(data: Path, iris: Iris) -> int:
    """Delete the store and rebuild it from the journal; return its position. Raises StoreBusy as
    ``LocalStore.repair``.
    """
    folder = data / "store"
    folder.mkdir(parents=True, exist_ok=True)
    require_unlocked(folder / "lock")
    (folder / "position.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "store", ignore_errors=True)
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
