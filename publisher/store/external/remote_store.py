"""The external RDF store: the journal is loaded into it, and its position is recorded in snapshots.

An entry that fits into one update appears at once. Queries may see a part of a larger entry, so a
snapshot that says so is published first. Several publishers may use one store; the one that holds
the lease writes.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from pyoxigraph import NamedNode, Quad

from publisher.errors import NotReady, StoreFailure
from publisher.projections.journal_reader import DecodedEntry, JournalReader
from publisher.projections.projection import SlicedProjection
from publisher.store.apply import digest_of
from publisher.store.columns.updater import ColumnUpdater
from publisher.store.external import update_batches
from publisher.store.external.client import Client
from publisher.store.external.endpoint import StoreURLs
from publisher.store.external.remote_quads import RemoteQuads
from publisher.store.external.state import State
from publisher.store.external.writer import StoreWriter
from publisher.store.external.writer_lease import SILENCE, WriterLease
from publisher.store.runner import Runner, StoreState, open_indexes
from publisher.store.snapshots import ProjectionPaths, Snapshot, newest_snapshot, register_external
from publisher.store.status_watcher import StatusFile
from publisher.store.writer_lock import ignore_report, writer_lock
from vocab.iris import Iris

# seconds until every publisher reports that an entry is being applied: they check every 0.2 s
GRACE = 0.6


class RemoteStore:
    """The store at *urls*. It follows the journal of *reader*, and stores the file *status* in the
    graph *status_graph*.

    *folder* holds its lock, snapshots and indexes. Raises NotReady if the store does not answer,
    StoreFailure if it contains other data.
    """

    def __init__(
        self,
        urls: StoreURLs,
        reader: JournalReader,
        folder: Path,
        status: Path,
        status_graph: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        wait: Callable[[float], None] = time.sleep,
        report: Callable[[str], None] = ignore_report,
    ) -> None:
        self._reader = reader
        self._graph = NamedNode(status_graph)
        self._now = now
        self._wait = wait
        self._status_file = StatusFile(
            status, Iris(status_graph.removesuffix("status")).operations, reader.journal.store
        )
        self.snapshots, self.paths = folder / "snapshots", ProjectionPaths.below(folder)
        self.snapshots.mkdir(parents=True, exist_ok=True)
        self._last = State()
        # closed if the next step fails, so that a new process can lock the folder
        with ExitStack() as opened:
            opened.enter_context(writer_lock(folder / "lock", report))
            client = opened.enter_context(closing(Client(urls.query)))
            dialect = client.dialect(SILENCE)
            self.writer = opened.enter_context(closing(StoreWriter(urls, dialect)))
            self.lease = WriterLease(client, self.writer, reader.journal, writer_name(folder))
            self._quads = RemoteQuads(client, dialect)
            self._status = set(self._quads.graph(self._graph))
            self._opened = opened.pop_all()

    def update(self) -> StoreState:
        """Load new journal entries and a new status file."""
        before = self.lease.read(self._now())
        if before.position < self._last.position:
            raise StoreFailure(
                f"the store was reset from entry {self._last.position} to {before.position}; loading it again from there"
            )
        # a store that lost its data answers once it is at its last entry, so the status is in before
        is_restored = before.position < self._published() and self._load_status()
        self._last = self._load_entries(before)
        if self._last.position < self._published():
            raise NotReady(
                f"the store is at entry {self._last.position} of {self._published()}, and another publisher loads it again"
            )
        changed = self._load_status() or is_restored or self._last.position != before.position
        return StoreState(self._last.position, self._last.entry, digest_of(self._status), changed)

    def optimize(self) -> bool:
        """Return False: the engine optimizes itself."""
        return False

    def create_snapshot(self) -> Snapshot:
        """Record the state of the store in a snapshot, with the published indexes."""
        return self._register(self._last)

    def close(self) -> None:
        """Close the connections and release the lock."""
        self._opened.close()

    def _load_entries(self, state: State) -> State:
        head = self._reader.journal.head
        if head is None or head.number <= state.position or not self.lease.claim(self._now()):
            return state
        # a store that is loaded again answers nothing before it has what was published
        if newest_snapshot(self.snapshots) and state.position >= self._published():
            self._register(replace(state, applying=head.number))
            self._wait(GRACE)
        for entry in self._reader.entries(state.position):
            state = self._load(entry, state)
        return state

    def _published(self) -> int:
        """Return the newest published entry that the journal has, 0 if there is none."""
        newest, head = newest_snapshot(self.snapshots), self._reader.journal.head
        return min(newest.position, head.number) if newest and head else 0

    def _load(self, entry: DecodedEntry, state: State) -> State:
        self.lease.write_state(replace(state, applying=entry.number), self._now())
        quads, skipped = state.quads, self.writer.skipped
        for run in update_batches.quad_runs(entry.rows(), update_batches.BULK):
            self.lease.renew(self._now())
            (self.writer.add if run.added else self.writer.remove)(run.quads)
            quads += len(run.quads) if run.added else -len(run.quads)
        state = State(entry.number, entry.id, quads - (self.writer.skipped - skipped))
        self.lease.write_state(state, self._now())
        return state

    def _load_status(self) -> bool:
        started = self._now()
        if not self._status_file.is_due(started):
            return False
        if not self.lease.claim(started):
            stored = set(self._quads.graph(self._graph))
            changed, self._status = stored != self._status, stored
            return changed
        new = self._status_file.read(started)
        if new is None:
            return False
        changed = new != self._status
        self.writer.remove(_lines(self._status - new))
        self.writer.add(_lines(new - self._status))
        self._status = new
        return changed

    def _register(self, state: State) -> Snapshot:
        snapshot = Snapshot(
            0,
            state.position,
            state.entry,
            state.quads,
            "",
            digest_of(self._status),
            applying=state.applying,
        )
        return register_external(self.snapshots, snapshot, self.paths)


def writer_name(folder: Path) -> str:
    """Return the name of this writer. It is the same after a restart in the same folder, so that it
    keeps its lease.
    """
    return f"{socket.gethostname()}-{blake2b(str(folder.resolve()).encode(), digest_size=6).hexdigest()}"


def _lines(quads: set[Quad]) -> list[bytes]:
    return sorted(f"{quad} .\n".encode() for quad in quads)


def open_external_runner(
    urls: StoreURLs,
    reader: JournalReader,
    folder: Path,
    status: Path,
    status_graph: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    wait: Callable[[float], None] = time.sleep,
    report: Callable[[str], None] = ignore_report,
) -> Runner[RemoteStore]:
    """Open the store at *urls* (as ``RemoteStore``) with its indexes in *folder*, facets and
    search. They read columns, which are not published: the store answers queries.
    """
    store = RemoteStore(urls, reader, folder, status, status_graph, now, wait, report)
    columns = ColumnUpdater(folder / "columns", reader, are_published=False)
    return Runner(store, SlicedProjection(columns), open_indexes(folder, reader, columns))
