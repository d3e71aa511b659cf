"""Follow the journal: update the store, then the columns and the indexes that read these, and
publish snapshots of all of them.

The process may be killed at any time: each projection continues from its own checkpoint, and
applying an entry again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from publisher.projections.journal_reader import JournalReader
from publisher.projections.projection import Projection, SlicedProjection
from publisher.projections.search.updater import SearchUpdater
from publisher.store.columns.updater import ColumnUpdater
from publisher.store.snapshots import ProjectionPaths, Snapshot, has_indexes, newest_snapshot, prune
from publisher.store.thread_priority import lower_thread_priority

SLICE = 2.0  # seconds of index updates between two checks of the journal


class StoreState(NamedTuple):
    """The last journal entry in the store, the digest of its status graph, and whether the last
    update changed anything.

    *is_ready* is False if the store should be published before its indexes are updated, *is_level*
    if nothing may be published, since its columns could not be written.
    """

    position: int
    entry: str
    status: str
    changed: bool
    is_ready: bool = True
    is_level: bool = True


class StoreProjection(Protocol):
    """The RDF store, embedded or external."""

    snapshots: Path
    paths: ProjectionPaths

    def update(self) -> StoreState:
        """Apply what is new in the journal and the status file."""

    def optimize(self) -> bool:
        """Do the work that was postponed until the store was published; return whether there was
        any.
        """

    def create_snapshot(self) -> Snapshot:
        """Create a snapshot of the store with the published indexes."""

    def close(self) -> None:
        """Close the store and release its lock."""


StoreT = TypeVar("StoreT", bound=StoreProjection)


class Runner(Generic[StoreT]):
    """Updates *store*, the *columns*, and the *indexes* that read these.

    The columns must not change while an index reads them, so each index runs in time slices. A slow
    or failing index delays the others by at most its slice.
    """

    def __init__(
        self,
        store: StoreT,
        columns: SlicedProjection[ColumnUpdater],
        indexes: Iterable[Projection],
    ) -> None:
        self.store = store
        self._columns = columns.projection
        self._indexes: list[SlicedProjection[Projection]] = [
            columns,
            *(SlicedProjection(index) for index in indexes),
        ]
        self.position = 0  # number of the last journal entry in the store, 0 before the first step
        self._executor = ThreadPoolExecutor(1, "indexes", lower_thread_priority)

    @property
    def snapshots(self) -> Path:
        """Return the folder of the snapshots."""
        return self.store.snapshots

    def step(self) -> Snapshot | None:
        """Apply new journal entries; return the new snapshot, None if nothing changed."""
        state = self.store.update()
        self.position = state.position
        if not state.is_level:
            return None
        if state.is_ready:
            # in a thread of low priority, so that queries are not delayed
            self._executor.submit(self._update_indexes, state).result()
        current = newest_snapshot(self.snapshots)
        is_same = (
            current
            and not current.applying
            and (current.position, current.entry, current.status) == state[:3]
        )
        if (
            current
            and is_same
            and not state.changed
            and not self.store.optimize()
            and has_indexes(current, self.store.paths)
        ):
            return None
        snapshot = self.store.create_snapshot()
        prune(self.snapshots)
        return snapshot

    def _update_indexes(self, state: StoreState) -> None:
        for index in self._indexes:
            seconds = min(index.projection.snapshot_wait, SLICE) if state.changed else SLICE
            index.step(state.position, state.entry, seconds)
            if self._columns.checkpoint != state.position:
                return  # the others read them
        self._columns.free_memory()

    def progress(self) -> dict[str, dict[str, object]]:
        """Return the position of the store and of each index by its name, and its error if it could
        not be updated.
        """
        return {
            "store": {"position": self.position},
            **{index.projection.name: index.progress() for index in self._indexes},
        }

    def close(self) -> None:
        """Close the indexes and the store."""
        self._executor.shutdown()
        for index in self._indexes:
            index.close()
        self.store.close()


def open_indexes(folder: Path, reader: JournalReader, columns: ColumnUpdater) -> list[Projection]:
    """Open the search index in *folder*, which reads *columns*."""
    return [SearchUpdater(folder / "text", reader, columns.statements)]
