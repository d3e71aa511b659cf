"""The embedded store: the columns, which hold all quads, and the RDF store, which holds their merge.
It applies journal entries and the status file, first to the columns, and creates snapshots of both.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pyoxigraph import NamedNode, Store

from journal.atomic_file import replace_file
from publisher.projections.journal_reader import JournalCursor, JournalReader
from publisher.projections.projection import SlicedProjection
from publisher.store.apply import apply, digest_of, replace_graph
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
    """The last journal entry in the RDF store. *needs_optimization*: it was bulk-loaded since it was
    last optimized.
    """

    position: int = 0
    entry: str = ""
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
        (checkpoint.needs_optimization, bool),
    )
    if any(type(value) is not expected for value, expected in types):
        raise ValueError("it has a value of a wrong type")
    return checkpoint


class EmbeddedStore:
    """The store in *folder*, with its columns. It follows the journal of *reader*, and stores the
    file *status* in the graph *status_graph*.

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
        self.columns = ColumnUpdater(folder / "columns", reader, self.status_graph)
        self.sliced = SlicedProjection(self.columns)
        self._checkpoint_file = folder / "position.json"
        self.checkpoint = self._read_checkpoint()
        if not reader.contains(self.checkpoint.position, self.checkpoint.entry):
            log.warning(
                "journal was replaced; rebuilding the store", position=self.checkpoint.position
            )
            self._delete_store()
        self.merge = self._open()
        merged = [*self.merge.quads_for_pattern(None, None, None, self._graph)]
        self._status = StatusGraph(digest_of(merged), merged)

    def update(self) -> StoreState:
        """Apply new journal entries and the new status file; nothing if the columns cannot be
        written.

        After a bulk load the indexes are updated only when the store has been published and
        optimized.
        """
        self._read_status()
        head, changed = self._cursor.head(), False
        position, entry = (head.number, head.id) if head else (0, "")
        is_level = self.sliced.step(position, entry, math.inf)
        if is_level:
            changed = self._apply_entries()
            changed |= replace_graph(
                self.merge, self._graph, self._status.quads, self.columns.stated
            )
        return StoreState(
            self.checkpoint.position,
            self.checkpoint.entry,
            self._status.digest,
            changed,
            not self.checkpoint.needs_optimization,
            is_level,
        )

    def optimize(self) -> bool:
        """Merge the files that bulk loads wrote, if there are any; return whether there were.
        Queries then are 5 to 20 times faster.

        This takes minutes for tens of millions of quads, so the loaded data are published first.
        """
        if not self.checkpoint.needs_optimization:
            return False
        self.merge.optimize()
        self._store_checkpoint(replace(self.checkpoint, needs_optimization=False))
        return True

    def status_graph(self) -> StatusGraph:
        """Return the status graph."""
        return self._status

    def create_snapshot(self) -> Snapshot:
        """Create a snapshot of the store with the published indexes."""
        return create_snapshot(
            self.snapshots,
            self.merge,
            self.checkpoint.position,
            self.checkpoint.entry,
            self.columns.quads,
            self._status.digest,
            self.paths,
        )

    def close(self) -> None:
        """Close the store and release the lock."""
        del self.merge
        self._lock.close()

    def _apply_entries(self) -> bool:
        """Apply the entries that the columns have; return whether there were any."""
        before, since = self.checkpoint.position, time.monotonic()
        if before == self.columns.checkpoint:
            return False
        for entry in self._reader.entries(before):
            if entry.number > self.columns.checkpoint:
                break
            bulk = apply(self.merge, entry.rows(), self.columns.stated)
            self.checkpoint = StoreCheckpoint(
                entry.number, entry.id, self.checkpoint.needs_optimization or bulk
            )
            if time.monotonic() - since > CHECKPOINT_INTERVAL:
                self._store_checkpoint(self.checkpoint)
                since = time.monotonic()
        self._store_checkpoint(self.checkpoint)
        _ = self.columns.quads  # counted while the file is open
        return self.checkpoint.position != before

    def _read_status(self) -> None:
        now = self._now()
        quads = self._status_file.read(now) if self._status_file.is_due(now) else None
        if quads is not None:
            merged = [quad for quad in quads if quad.graph_name == self._graph]
            self._status = StatusGraph(digest_of(merged), merged)

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
        except FileNotFoundError:
            shutil.rmtree(self._folder / "store", ignore_errors=True)
            return StoreCheckpoint()
        except ValueError as error:
            log.warning("store of another version or damaged; rebuilding it", error=str(error))
            shutil.rmtree(self._folder / "store", ignore_errors=True)
            return StoreCheckpoint()

    def _store_checkpoint(self, checkpoint: StoreCheckpoint) -> None:
        self.merge.flush()
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
    return Runner(store, store.sliced, open_indexes(folder, reader, store.columns))
