"""Follow the journal: update the columns, the RDF store and the search index, and publish snapshots
of all of them.

The columns have all quads, and the RDF store their merge. The process may be killed at any time:
each of the three continues from its own checkpoint, and applying an entry again changes nothing.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog
from pyoxigraph import NamedNode, Quad, RdfFormat, Store, parse

from journal.files import FileLock, describe_holder, is_locked, replace_file
from publisher.errors import StoreBusy, StoreFailure
from publisher.store.changes import Checkpoint, JournalReader, StatusFile, in_batches, rows_of
from publisher.store.columns.database import ColumnUpdater, StatusGraph
from publisher.store.search.index import SearchUpdater
from publisher.store.snapshots import (
    FORMAT,
    Snapshot,
    create_snapshot,
    newest_snapshot,
    prune,
    remove_all,
    state_after,
)
from vocab.iris import Iris

# Triples in a transaction; one transaction of 400,000 quads took twice as long and 1.8 GB.
BATCH = 1_000
LARGE = 50_000  # additions from which a bulk load is faster
# Triples in a bulk load, and their bytes from which on no more are added.
BULK, BULK_BYTES = 80_000, 24 << 20

# Returns the places of those rows of the journal whose triple is in some graph now.
Stated = Callable[[Sequence[bytes]], Collection[int]]


def apply(store: Store, rows: Iterable[bytes], stated: Stated) -> None:
    """Apply the rows ``A <s> <p> <o> <g> .`` and ``D ...`` of an entry. A deleted triple stays if
    it is *stated* after all that is applied, so that the order of rows does not matter.
    """
    deleted = list[bytes]()

    def added() -> Iterator[bytes]:
        for row in rows:
            if row[:1] == b"A":
                yield _triple(row)
            else:
                deleted.append(row)
            if len(deleted) >= LARGE:
                _remove(store, deleted, stated)
                deleted.clear()

    _add(store, added())
    _remove(store, deleted, stated)


def _triple(row: bytes) -> bytes:
    """Return the triple of a row, as a line of N-Triples."""
    return row[2 : row.rindex(b" <")] + b" .\n"


def _quads(lines: Iterable[bytes]) -> list[Quad]:
    return list(parse(b"".join(lines), RdfFormat.N_TRIPLES, lenient=True))


def _add(store: Store, lines: Iterator[bytes]) -> None:
    first = list(islice(lines, LARGE))
    if len(first) == LARGE:
        load(store, chain(first, lines))
        return
    for start in range(0, len(first), BATCH):
        store.extend(_quads(first[start : start + BATCH]))


def load(store: Store, lines: Iterable[bytes]) -> None:
    """Load *lines* of N-Triples into *store*, and merge the files that this writes, which makes
    queries 5 to 20 times faster.
    """
    for batch in in_batches(lines, BULK, BULK_BYTES):
        store.bulk_load(b"".join(batch), RdfFormat.N_TRIPLES, lenient=True)
    store.optimize()


def _remove(store: Store, rows: Sequence[bytes], stated: Stated) -> None:
    if rows:
        places = stated(rows)
        for quad in _quads(_triple(row) for place, row in enumerate(rows) if place not in places):
            store.remove(quad)


def replace_graph(store: Store, graph: NamedNode, quads: Iterable[Quad], stated: Stated) -> None:
    """Replace the triples of *graph* in the merge by *quads*. The store has this graph under its name
    too, so that its old triples are known.
    """
    old = set(store.quads_for_pattern(None, None, None, graph))
    new = {quad for quad in quads if quad.graph_name == graph}
    gone = sorted(old - new, key=str)
    places = stated([f"D {quad} .\n".encode() for quad in gone]) if gone else ()
    store.extend([Quad(*quad.triple) for quad in new - old])
    for place, quad in enumerate(gone):
        if place not in places:
            store.remove(Quad(*quad.triple))
        store.remove(quad)
    store.extend(new - old)


def digest_of(quads: Iterable[Quad]) -> str:
    """Return a digest of the quads of a graph. Their order does not matter."""
    lines = sorted(str(quad.triple) for quad in quads)
    return blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def writer_lock(path: Path, report: Callable[[str], None] = lambda _reason: None) -> FileLock:
    """Wait for the lock at *path* and return it.

    While another process holds it, *report* receives the reason with the id of that process;
    afterwards "".
    """
    waited = False

    def report_holder(process: str) -> None:
        # Without the command line, which contains paths: /health publishes this reason.
        nonlocal waited
        waited = True
        report(
            f"process {process or 'unknown'} writes this store ({path.parent.name}/): another server uses the same data folder"
        )

    lock = FileLock(path, on_wait=report_holder)
    if waited:
        report("")
    return lock


def discard(store: Path) -> None:
    """Delete the store and its indexes in the folder *store*; exports and the stores of releases
    stay.
    """
    (store / "position.json").unlink(missing_ok=True)
    for name in ("store", "text", "columns"):
        shutil.rmtree(store / name, ignore_errors=True)
    remove_all(store / "snapshots")


def discard_other_format(store: Path) -> None:
    """Delete what another version of the program wrote into the folder *store*."""
    path = store / "format"
    if not path.exists() or path.read_text() != FORMAT:
        if (store / "columns").exists():
            log.info("store is of another format; building it from the journal")
            discard(store)
        replace_file(path, FORMAT)


def require_unlocked(path: Path) -> None:
    """Raise StoreBusy, which names the process, if another process holds the lock at *path*; a
    missing file means unlocked.
    """
    if is_locked(path):
        raise StoreBusy(
            f"a server uses this data folder ({describe_holder(path)}); stop it, then run this command again"
        )


# Seconds between checkpoints while entries are applied: a crash repeats no more work than that.
CHECKPOINT_INTERVAL = 5.0
SLICE = 2.0  # seconds of index updates between two checks of the journal
RETRY = 5.0  # seconds before a failed step is tried again

log = structlog.get_logger(component="follower")


MAX_RETRY_DELAY = 60.0  # seconds


class Projection(Protocol):
    """An index that is built from the journal and updated by its new entries.

    Applying an entry again changes nothing, so that after a crash it continues from its checkpoint.
    Readers see only what is in a snapshot: the whole state at one entry.
    """

    name: str
    subfolder: str  # of a snapshot
    errors: tuple[type[Exception], ...]  # raised if its files cannot be written; it is then rebuilt
    snapshot_wait: float  # seconds that a snapshot of new data waits for it

    def is_at(self, position: int) -> bool:
        """Return whether it has stored all up to the entry *position*, and nothing later."""

    def advance(self, position: int, entry: str) -> Iterator[None]:
        """Store the changes up to *position*, the entry with the id *entry*; yield between batches.

        What a projection reads from another one is at *position* meanwhile.
        """

    def write(self, folder: Path) -> None:
        """Write what is stored into *folder*, which does not exist yet."""

    def reset(self) -> None:
        """Delete the stored projection, so that it is rebuilt."""

    def close(self) -> None:
        """Close the files; what was not stored is lost."""


class ProjectionFailure(Exception):
    """A projection could not be written into a snapshot, and is rebuilt."""


ProjectionT = TypeVar("ProjectionT", bound=Projection, covariant=True)


class SlicedProjection(Generic[ProjectionT]):
    """Updates *projection* in slices of time, so that a failure does not affect others.

    A failure deletes what is stored, so that it is rebuilt: at once after the first failure in a
    row, then after a pause that doubles to MAX_RETRY_DELAY seconds of *clock*. Failures are
    forgotten once it is in a snapshot.
    """

    def __init__(
        self, projection: ProjectionT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.projection, self._clock = projection, clock
        self.error = ""  # why it could not be written last, "" once it is in a snapshot
        self._failures, self._retry_at, self._must_reset = 0, 0.0, False
        self._work: Iterator[None] | None = None

    def step(self, position: int, entry: str, seconds: float) -> bool:
        """Work for about *seconds* toward *position*; return whether that is stored."""
        until = time.monotonic() + seconds
        try:
            if self._must_reset:
                if self._clock() < self._retry_at:
                    return False
                self.projection.reset()
                self._must_reset = False
            while not self.projection.is_at(position):
                self._work = self._work or self.projection.advance(position, entry)
                if next(self._work, self) is self:
                    self._work = None
                elif time.monotonic() > until:
                    return False
        except self.projection.errors as error:
            self._fail(error)
            return False
        return True

    def write(self, folder: Path) -> None:
        """Write what is stored into the new *folder* of a snapshot. Raises ProjectionFailure."""
        try:
            self.projection.write(folder)
        except self.projection.errors as error:
            self._fail(error)
            raise ProjectionFailure(self.error) from error
        self.error, self._failures = "", 0

    def _fail(self, error: Exception) -> None:
        delay = min(MAX_RETRY_DELAY, 2.0**self._failures) if self._failures else 0.0
        self._work, self._failures, self._must_reset = None, self._failures + 1, True
        self._retry_at = self._clock() + delay
        self.error = f"{type(error).__name__}: {error}"
        log.error(
            "projection cannot be written; rebuilding",
            projection=self.projection.name,
            error=self.error,
            seconds=delay,
        )

    def pause(self) -> None:
        """Close the files, which frees memory until they are used again, unless a slice is open: its
        transaction would be lost.
        """
        if self._work is None:
            self.projection.close()

    def close(self) -> None:
        self._work = None
        self.projection.close()


class FollowingStore(Protocol):
    """The RDF store, embedded or external."""

    snapshots: Path

    @property
    def merge(self) -> Store | None:
        """Return the store that snapshots copy; None if it is an external one."""

    def update(self) -> Snapshot | None:
        """Apply what is new in the journal and the status file; return the state, of which no
        snapshot is created yet, None if nothing may be published.
        """

    def close(self) -> None:
        """Close the store and release its lock."""


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
        report: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._reader = reader
        self._folder = folder
        self._graph = NamedNode(status_graph)
        self._now = now
        self._status_file = StatusFile(
            status, Iris(status_graph.removesuffix("status")).operations, reader.journal.store
        )
        self.snapshots = folder / "snapshots"
        self.snapshots.mkdir(parents=True, exist_ok=True)
        self._lock = writer_lock(folder / "lock", report)
        discard_other_format(folder)
        self.columns = ColumnUpdater(folder / "columns", reader, lambda: self._status)
        self.sliced = SlicedProjection(self.columns)
        self._checkpoint_file = folder / "position.json"
        self.checkpoint = Checkpoint(0, "")
        self.merge = self._open()
        merged = [*self.merge.quads_for_pattern(None, None, None, self._graph)]
        self._status = StatusGraph(digest_of(merged), merged)

    def update(self) -> Snapshot | None:
        """Apply new journal entries and the new status file; None if the columns, which come first,
        cannot be written.
        """
        self._read_status()
        head = self._reader.head()
        position, entry = (head.number, head.id) if head else (0, "")
        if not self.sliced.step(position, entry, math.inf):
            return None
        self._apply_entries(position)
        replace_graph(self.merge, self._graph, self._status.quads, self.columns.stated)
        return state_after(head, self.columns.quads, self._status.digest)

    def close(self) -> None:
        del self.merge
        self._lock.close()

    def _apply_entries(self, position: int) -> None:
        """Apply the entries up to *position*, which the columns have."""
        before, since = self.checkpoint.position, time.monotonic()
        for entry in islice(self._reader.journal.entries(before), position - before):
            apply(self.merge, rows_of(entry), self.columns.stated)
            self.checkpoint = Checkpoint(entry.number, entry.id)
            if entry.number == position or time.monotonic() - since > CHECKPOINT_INTERVAL:
                self.merge.flush()
                self.checkpoint.write(self._checkpoint_file)
                since = time.monotonic()

    def _read_status(self) -> None:
        now = self._now()
        quads = self._status_file.read(now) if self._status_file.is_due(now) else None
        if quads is not None:
            merged = [quad for quad in quads if quad.graph_name == self._graph]
            self._status = StatusGraph(digest_of(merged), merged)

    def _open(self) -> Store:
        path = self._folder / "store"
        try:
            checkpoint = Checkpoint.read(self._checkpoint_file)
            if not self._reader.contains(checkpoint.position, checkpoint.entry):
                raise ValueError("it belongs to another journal")
            store, self.checkpoint = Store(path), checkpoint
            return store
        except (OSError, ValueError) as error:
            log.info("no usable store; building it", reason=str(error))
        self._checkpoint_file.unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)
        return Store(path)


StoreT = TypeVar("StoreT", bound=FollowingStore)


class Runner(Generic[StoreT]):
    """Updates *store*, the *columns*, and the *indexes* that read these, as search does.

    The columns must not change while an index reads them, so each index runs in time slices. A slow
    or failing index delays the others by at most its slice.
    """

    def __init__(
        self, store: StoreT, columns: SlicedProjection[ColumnUpdater], *indexes: Projection
    ) -> None:
        self.store = store
        self._columns = columns
        self._indexes: list[SlicedProjection[Projection]] = [
            columns,
            *(SlicedProjection(index) for index in indexes),
        ]
        self.position = 0  # number of the last journal entry in the store, 0 before the first step

    def step(self) -> Snapshot | None:
        """Apply new journal entries; return the new snapshot, None if nothing changed."""
        state = self.store.update()
        if state is None:
            return None
        self.position, current = state.position, newest_snapshot(self.store.snapshots)
        is_same = (
            current is not None
            and not current.applying
            and ((current.entry, current.status) == (state.entry, state.status))
        )
        ready = self._update_indexes(state, is_same)
        new = [index for index in ready if not (current and _has(current, index, state))]
        snapshot = None
        if new or not is_same:
            # A projection that cannot be written is rebuilt, and the next step tries again.
            with suppress(ProjectionFailure):
                writers = {index.projection.subfolder: index.write for index in new}
                snapshot = create_snapshot(self.store.snapshots, self.store.merge, state, writers)
                prune(self.store.snapshots)
        self._columns.pause()
        return snapshot

    def finish(self) -> None:
        """Step until a snapshot has all that the journal has. Raises StoreFailure if an index cannot
        be written.
        """
        while self.step() or self._behind():
            if error := next((index.error for index in self._indexes if index.error), ""):
                raise StoreFailure(error)

    def _behind(self) -> list[str]:
        """Return the names of the indexes that the newest snapshot does not have at its position."""
        progress = self.progress().items()
        return [name for name, state in progress if state["position"] != self.position]

    def _update_indexes(self, state: Snapshot, is_same: bool) -> list[SlicedProjection[Projection]]:
        """Return the indexes that are at *state* now. A new snapshot waits for each for a moment,
        unless the store *is_same* as in the newest one.
        """
        ready = list[SlicedProjection[Projection]]()
        for index in self._indexes:
            seconds = SLICE if is_same else min(index.projection.snapshot_wait, SLICE)
            if index.step(state.position, state.entry, seconds):
                ready.append(index)
            if self._columns.projection.checkpoint != state.position:
                break  # the others read them
        return ready

    def progress(self) -> dict[str, dict[str, object]]:
        """Return the position of the store and of each index by its name, and its error if it could
        not be updated.
        """
        current = newest_snapshot(self.store.snapshots)
        return {
            "store": {"position": self.position},
            **{
                index.projection.name: {
                    "position": getattr(current, index.projection.subfolder, -1),
                    **({"error": index.error} if index.error else {}),
                }
                for index in self._indexes
            },
        }

    def close(self) -> None:
        for index in self._indexes:
            index.close()
        self.store.close()


def _has(snapshot: Snapshot, index: SlicedProjection[Projection], state: Snapshot) -> bool:
    """Return whether *snapshot* has *index* at *state*."""
    name = index.projection.subfolder
    # The columns have the status graph too.
    is_same = name != "columns" or snapshot.status == state.status
    return not index.error and getattr(snapshot, name) == state.position and is_same


def open_runner(
    reader: JournalReader,
    folder: Path,
    status: Path,
    status_graph: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    report: Callable[[str], None] = lambda _reason: None,
) -> Runner[EmbeddedStore]:
    """Open the store in *folder* (as ``EmbeddedStore``) with its columns and search index."""
    store = EmbeddedStore(reader, folder, status, status_graph, now, report)
    return Runner(
        store, store.sliced, SearchUpdater(folder / "text", reader, store.columns.statements)
    )
