"""The embedded store as an audit target: its newest snapshot is verified, its follower repairs it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyoxigraph import NamedNode, Quad, Store

from journal.journal import Journal
from publisher.errors import NotReady
from publisher.store.apply import stale_quads, unmerged_quads
from publisher.store.follower import Follower, require_unlocked
from publisher.store.snapshots import newest_snapshot
from publisher.store.verification.expected_counts import Difference, Tallies, Tally
from vocab.iris import Iris


class LocalStore:
    """The newest snapshot of the store under *data*; raises NotReady where there is none."""

    def __init__(self, data: Path, iris: Iris) -> None:
        self._data, self._iris = data, iris
        shown = newest_snapshot(data / "store" / "snapshots")
        if shown is None:
            raise NotReady("there is no store yet; create it with stocktake serve or stocktake store rebuild")
        self.position = shown.position
        self._store = Store.read_only(str(Path(shown.path) / "store"))

    def counts(self) -> Tallies:
        """Return what each graph holds, but for the status graph."""
        found: Tallies = {}
        for quad in self._store.quads_for_pattern(None, None, None, None):
            if isinstance(quad.graph_name, NamedNode) and quad.graph_name.value != self._iris.status:
                graph = quad.graph_name.value
                found[graph] = found.get(graph, Tally()).changed(quad, 1)
        return found

    def graph(self, graph: str) -> set[Quad]:
        """Return what one graph holds."""
        return set(self._store.quads_for_pattern(None, None, None, NamedNode(graph)))

    def unmerged(self) -> Difference | None:
        """Compare the default graph with the merge of all."""
        missing, added = (sum(1 for _ in them) for them in (unmerged_quads(self._store), stale_quads(self._store)))
        return Difference("", missing, added) if missing or added else None

    def repair(self, wanted: dict[str, set[Quad]]) -> None:
        """Make each graph what is wanted, and the merge too. Raises StoreBusy where a server follows the journal."""
        with _follower(self._data, self._iris) as follower:
            follower.repair({NamedNode(graph): quads for graph, quads in wanted.items()})


def rebuild_local(data: Path, iris: Iris) -> int:
    """Delete the store and rebuild it from the journal; return its position. Raises StoreBusy as ``LocalStore.repair``."""
    folder = data / "store"
    folder.mkdir(parents=True, exist_ok=True)
    require_unlocked(folder / "lock")
    (folder / "position.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "store", ignore_errors=True)
    with _follower(data, iris) as follower:
        follower.step()
        return follower.mark.position


@contextmanager
def _follower(data: Path, iris: Iris) -> Iterator[Follower]:
    require_unlocked(data / "store" / "lock")
    follower = Follower(Journal(data / "journal"), data / "store", data / "status.nq", iris.status)
    try:
        yield follower
    finally:
        follower.close()
