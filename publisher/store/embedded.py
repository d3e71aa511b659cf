"""The embedded RDF store: it applies journal entries and the status file, and creates snapshots."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pyoxigraph import NamedNode, Quad, Store

from journal.atomic_file import replace_file
from publisher.projections.journal_reader import JournalCursor, JournalReader
from publisher.store.apply import apply, count, digest, rebuild_default_graph, replace_graph
from publisher.store.columns.updater import ColumnUpdater, StatusGraph
from publisher.store.runner import Runner, StoreState, open_indexes
from publisher.store.snapshots import ProjectionPaths, Snapshot, create_snapshot
from publisher.store.status_watcher import StatusFile
from publisher.store.writer_lock import ignore_report, writer_lock
from vocab.iris import Iris

# seconds between checkpoints while entries are applied: a crash repeats no more work than that
CHECKPOINT_INTERVAL = 5.0

log = structlog.get_logger(component="follower")


@dataclass(frozen=True, slots=True)
class StoreCheckpoint:
    """The last journal entry in the store, and its number of *quads*, None while an entry is being
    applied.

    *needs_optimization*: the store was bulk-loaded since it was last optimized.
    """

    position: int = 0
    entry: str = ""
    quads: int | None = 0
    needs_optimization: bool = False


def read_store_checkpoint(path: Path) -> StoreCheckpoint:
    """Read the checkpoint in the file *path*; raises OSError, or ValueError if it is damaged."""
    values = json.loads(path.read_text())
    try:
        checkpoint = StoreCheckpoint(**values)
    except TypeError as error:
        raise ValueError(f"it is not a checkpoint: {error}") from error
    types = (
        (checkpoint.position, int),
        (checkpoint.entry, str),
        (checkpoint.quads or 0, int),
        (checkpoint.needs_optimization, bool),
    )
    if any(type(value) is not expected for value, expected in types):
        raise ValueError("it has a value of a wrong type")
    return checkpoint


class EmbeddedStore:
    """The store in *folder*. It follows the journal of *reader*, and stores the file *status* in
    the graph *status_graph*.

    The freshness of sources changes with time, so it is recomputed when due, by the clock *now*.
    *report* receives the reason while another process holds the lock, and "" afterwards.
    """

    def __init__(
        self,
        reader: JournalReader,
        folder: Path,
        status: Path,
        status_graph: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        report: Callable[[str], None] = ignore_report,
    ) -> None:
        self._reader = reader
        self._folder = folder
        self._graph = NamedNode(status_graph)
        self._now = now
        self._cursor = JournalCursor(reader)
        self._status_file = StatusFile(
            status, Iris(status_graph.removesuffix("status")).operations, reader.journal.store
        )
        self.snapshots, self.paths = folder / "snapshots", ProjectionPaths.below(folder)
        self.snapshots.mkdir(parents=True, exist_ok=True)
        self._lock = writer_lock(folder / "lock", report)
        self._checkpoint_file = folder / "position.json"
        self.checkpoint = self._read_checkpoint()
        if not reader.contains(self.checkpoint.position, self.checkpoint.entry):
            log.warning(
                "journal was replaced; rebuilding the store", position=self.checkpoint.position
            )
            self._delete_store()
        self.quads = self._open()
        self._status = digest(self.quads, self._graph)

    def update(self) -> StoreState:
        """Apply new journal entries and the new status file.

        After a bulk load the indexes are updated only when the store has been published and
        optimized.
        """
        changed = self._apply_entries()
        if self._apply_status():
            changed, self._status = True, digest(self.quads, self._graph)
        return StoreState(
            self.checkpoint.position,
            self.checkpoint.entry,
            self._status,
            changed,
            not self.checkpoint.needs_optimization,
        )

    def optimize(self) -> bool:
        """Merge the files that bulk loads wrote, if there are any; return whether there were.
        Queries then are 5 to 20 times faster.

        This takes minutes for tens of millions of quads, so the loaded data are published first.
        """
        if not self.checkpoint.needs_optimization:
            return False
        self.quads.optimize()
        self._store_checkpoint(replace(self.checkpoint, needs_optimization=False))
        return True

    def status_graph(self) -> StatusGraph:
        """Return the status graph."""
        return StatusGraph(
            self._status, self.quads.quads_for_pattern(None, None, None, self._graph)
        )

    def create_snapshot(self) -> Snapshot:
        """Create a snapshot of the store with the published indexes."""
        if self.checkpoint.quads is None:
            self._write_checkpoint(replace(self.checkpoint, quads=self._count_quads()))
        return create_snapshot(
            self.snapshots,
            self.quads,
            self.checkpoint.position,
            self.checkpoint.entry,
            self.checkpoint.quads or 0,
            self._status,
            self.paths,
        )

    def repair(self, graphs: Mapping[NamedNode, set[Quad]]) -> Snapshot:
        """Replace the quads of *graphs*, rebuild the default graph, and create a snapshot."""
        self._write_checkpoint(replace(self.checkpoint, quads=None))
        for graph, quads in graphs.items():
            replace_graph(self.quads, graph, quads)
        rebuild_default_graph(self.quads)
        self._store_checkpoint(replace(self.checkpoint, quads=self._count_quads()))
        return self.create_snapshot()

    def close(self) -> None:
        """Close the store and release the lock."""
        del self.quads
        self._lock.close()

    def _apply_entries(self) -> bool:
        before, quads, since = self.checkpoint.position, self.checkpoint.quads, time.monotonic()
        for entry in self._cursor.entries(before):
            if self.checkpoint.quads is not None:
                self._write_checkpoint(replace(self.checkpoint, quads=None))
            growth = apply(self.quads, entry.rows())
            quads = quads + growth.quads if quads is not None else None
            self.checkpoint = StoreCheckpoint(
                entry.number, entry.id, None, self.checkpoint.needs_optimization or growth.bulk
            )
            if time.monotonic() - since > CHECKPOINT_INTERVAL:
                self._store_checkpoint(self.checkpoint)
                since = time.monotonic()
        if self.checkpoint.position == before:
            return False
        self._store_checkpoint(
            replace(self.checkpoint, quads=self._count_quads() if quads is None else quads)
        )
        return True

    def _apply_status(self) -> bool:
        now = self._now()
        quads = self._status_file.read(now) if self._status_file.is_due(now) else None
        return quads is not None and replace_graph(self.quads, self._graph, quads)

    def _count_quads(self) -> int:
        return count(self.quads, self._graph)

    def _open(self) -> Store:
        path = self._folder / "store"
        try:
            return Store(path)
        except OSError as error:
            log.warning("store cannot be opened; rebuilding", error=str(error))
            self._delete_store()
            return Store(path)

    def _delete_store(self) -> None:
        self._checkpoint_file.unlink(missing_ok=True)
        shutil.rmtree(self._folder / "store", ignore_errors=True)
        self.checkpoint = StoreCheckpoint()

    def _read_checkpoint(self) -> StoreCheckpoint:
        try:
            return read_store_checkpoint(self._checkpoint_file)
        except (FileNotFoundError, ValueError):
            shutil.rmtree(self._folder / "store", ignore_errors=True)
            return StoreCheckpoint()

    def _store_checkpoint(self, checkpoint: StoreCheckpoint) -> None:
        self.quads.flush()
        self._write_checkpoint(checkpoint)

    def _write_checkpoint(self, checkpoint: StoreCheckpoint) -> None:
        replace_file(self._checkpoint_file, json.dumps(asdict(checkpoint)))
        self.checkpoint = checkpoint


def open_runner(
    reader: JournalReader,
    folder: Path,
    status: Path,
    status_graph: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    report: Callable[[str], None] = ignore_report,
) -> Runner[EmbeddedStore]:
    """Open the store in *folder* (as ``EmbeddedStore``) with its columns, facets and search
    index.
    """
    store = EmbeddedStore(reader, folder, status, status_graph, now, report)
    columns = ColumnUpdater(folder / "columns", reader, store.status_graph)
    return Runner(store, columns, open_indexes(folder, reader, columns))
