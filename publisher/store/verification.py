"""Verify what the publisher derives from the journal, and repair it.

Files are verified by the checksums in the manifest of their snapshot. A store can also be compared
with the journal, graph by graph: of each graph the sum of the digests of its quads is compared, so that
a million graphs fit in memory. What differs is built again from the journal.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from pyoxigraph import DefaultGraph, Quad, RdfFormat, Store, parse

from journal.journal import Fault, Journal
from publisher.errors import DamagedFiles, NotReady
from publisher.store.changes import JournalReader, in_batches, recompute, rows_of
from publisher.store.columns.database import FILE, open_statements
from publisher.store.follow import discard, open_runner, require_unlocked
from publisher.store.snapshots import (
    REBUILD,
    checksum_faults,
    newest_snapshot,
    older_snapshots,
)
from vocab.iris import Iris

_BATCH, _BATCH_BYTES = 10_000, 16 << 20  # rows of the journal that are parsed at once


class AuditTarget(Protocol):
    """A store that can be compared with the journal."""

    @property
    def position(self) -> int:
        """Return the number of the last completely loaded entry."""

    def quads(self) -> Iterator[Quad]:
        """Yield all quads, except those of graphs that do not come from the journal."""

    def is_merged(self) -> bool:
        """Return whether the merge has the triples of all graphs, and no others."""


def compare(
    journal: Journal, store: AuditTarget, progress: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Return the IRIs of the graphs in which a store differs from the journal, sorted, and then ""
    if the merge of all graphs does; *progress* receives the name of each step as it begins.
    """
    position = store.position
    progress(f"reading the journal up to entry {position:,}")
    ours = _sums(_changes(journal, position))
    progress("reading the store")
    theirs = _sums((quad, 1) for quad in store.quads())
    progress("comparing")
    different = sorted(graph for graph in {*ours, *theirs} if ours[graph] != theirs[graph])
    return different if store.is_merged() else [*different, ""]


def _sums(changes: Iterable[tuple[Quad, int]]) -> defaultdict[str, int]:
    """Return the sum of the digests of the quads of each graph, which does not depend on their
    order, after *changes*: quads that are added (1) or removed (-1).
    """
    sums = defaultdict[str, int](int)
    for quad, by in changes:
        digest = int.from_bytes(blake2b(str(quad).encode(), digest_size=16).digest())
        graph = _graph_of(quad)
        sums[graph] = (sums[graph] + by * digest) % (1 << 128)
    return sums


def _changes(journal: Journal, position: int) -> Iterator[tuple[Quad, int]]:
    for entry in journal.entries():
        if entry.number > position:
            return
        for batch in in_batches(rows_of(entry), _BATCH, _BATCH_BYTES):
            lines = b"".join(row[2:] for row in batch)
            quads = parse(lines, RdfFormat.N_QUADS, lenient=True)
            yield from zip(quads, [1 if row[:1] == b"A" else -1 for row in batch], strict=True)


def _graph_of(quad: Quad) -> str:
    """Return the IRI of the graph of *quad*, "" for the default graph."""
    return str(getattr(quad.graph_name, "value", ""))


class LocalStore:
    """The newest snapshot of the embedded store under *data*. Raises NotReady if there is none."""

    def __init__(self, data: Path, iris: Iris) -> None:
        self._status = iris.status
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
            yield from (q for q in statements.quads() if _graph_of(q) != self._status)

    def is_merged(self) -> bool:
        """Return whether the RDF store has the triples of all graphs, and no others."""
        with open_statements(self._path / "columns" / FILE) as statements:
            stated = {str(quad.triple) for quad in statements.quads()}
        quads = Store.read_only(str(self._path / "store")).quads_for_pattern
        return stated == {str(quad.triple) for quad in quads(None, None, None, DefaultGraph())}


def rebuild_local(data: Path, iris: Iris) -> None:
    """Delete the embedded store and its indexes under *data*, and build them from the journal. Raises
    StoreBusy, before it deletes anything, if a server follows the journal.
    """
    (data / "store").mkdir(parents=True, exist_ok=True)
    require_unlocked(data / "store" / "lock")
    discard(data / "store")
    build_local(data, iris)


def build_local(data: Path, iris: Iris) -> None:
    """Apply the whole journal to the embedded store and its indexes under *data*."""
    reader = JournalReader(Journal(data / "journal"), iris.base)
    with closing(open_runner(reader, data / "store", data / "status.nq", iris.status)) as runner:
        runner.finish()


def first_fault(folder: Path) -> str:
    """Return the first damaged file of the snapshot in *folder*, with its problem; "" if there is
    none.
    """
    if not folder.is_dir():
        return f"store/{folder.parent.name}/{folder.name}/ is missing"
    fault = next(checksum_faults(folder), None)
    return f"{fault.name} {fault.problem}" if fault else ""


def store_faults(data: Path) -> Iterator[Fault]:
    """Yield the damaged files of the snapshots of the embedded store; none where there is no store
    yet.
    """
    snapshots = data / "store" / "snapshots"
    try:
        newest = newest_snapshot(snapshots)
    except DamagedFiles as error:
        yield Fault("store", str(error), REBUILD)
        return
    for path in [*older_snapshots(snapshots), *([Path(newest.path)] if newest else [])]:
        faults = list(checksum_faults(path))
        if path.is_dir():  # a server may have deleted it meanwhile
            yield from faults


def status_faults(data: Path, iris: Iris) -> Iterator[Fault]:
    """Yield the file of the status of sources if it cannot be read; it is written from the ledger,
    or copied from a mirror's origin.
    """
    path = data / "status.nq"
    try:
        if path.exists():
            recompute(
                parse(path.read_bytes(), RdfFormat.N_QUADS), iris.operations, datetime.now(UTC)
            )
    except (SyntaxError, ValueError, OSError) as error:
        yield Fault(
            path.name,
            f"cannot be read: {error}",
            "run stocktake verify --repair, which writes it again",
        )


def release_store_faults(data: Path) -> Iterator[Fault]:
    for folder in sorted((data / "store" / "releases").glob("[0-9]*")):
        yield from checksum_faults(folder)


def discard_damaged(store: Path) -> str:
    """Delete the embedded store and its indexes, in the folder *store*, if a file of the newest
    snapshot is damaged.

    Returns the first fault, "" if there is none. The process that writes the store then rebuilds
    them from the journal.
    """
    try:
        snapshot = newest_snapshot(store / "snapshots")
        fault = first_fault(Path(snapshot.path)) if snapshot else ""
    except DamagedFiles as error:
        fault = str(error)
    if fault:
        discard(store)
    return fault


def repair_files(data: Path, iris: Iris, faults: Iterable[Fault]) -> None:
    """Delete what *faults* name, and rebuild it from the journal. Raises StoreBusy, before it
    deletes anything, if a server runs.
    """
    store, names = data / "store", {fault.name for fault in faults}
    require_unlocked(store / "lock")
    older = (f"store/snapshots/{path.name}/" for path in older_snapshots(store / "snapshots"))
    # Nobody reads the older snapshots now, and the server builds a release again when asked for it.
    deleted = (*older, "store/releases/")
    for name in names:
        if name.startswith(deleted):
            shutil.rmtree(data.joinpath(*name.split("/")[:3]), ignore_errors=True)
    if not all(name.startswith(deleted) for name in names):
        rebuild_local(data, iris)
