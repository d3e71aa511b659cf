"""Check the files that the publisher derives from the journal, and rebuild the damaged ones."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from pyoxigraph import RdfFormat, Store, parse

from journal.file_lock import SharedLock, is_locked
from journal.journal import Fault, Journal
from publisher.errors import DamagedFiles, NotReady
from publisher.projections.projection import Checkpoint, JournalReader, read_position
from publisher.projections.search.index import TOPICS
from publisher.store.columns.updater import WORK
from publisher.store.follow import require_unlocked
from publisher.store.snapshots import (
    REBUILD,
    ProjectionPaths,
    Snapshot,
    checksum_faults,
    first_fault,
    is_copy,
    newest_snapshot,
    older_snapshots,
    read_checksums,
    unreadable_reason,
)
from publisher.store.source_freshness import recompute
from publisher.store.verification import (
    LocalStore,
    compare,
    discard,
    rebuild_local,
)
from vocab.iris import Iris

# Each of these files names the journal entry that a projection has reached.
_CHECKPOINTS = ("position.json", "text/position.json")
# These files of the search index are replaced with each commit.
_CHANGED = ("meta.json", ".managed.json")


def store_faults(data: Path, iris: Iris, progress: Callable[[str], None]) -> Iterator[Fault]:
    """Yield what is damaged in the newest snapshot of the embedded store: changed files, and graphs
    that are not those of the journal.

    The journal must be undamaged. Yields nothing where there is no store yet.
    """
    store, journal = data / "store", Journal(data / "journal")
    try:
        locked = _lock_newest(store / "snapshots")
    except DamagedFiles as error:
        yield Fault("store", str(error), REBUILD)
        return
    if locked is None:
        return
    snapshot, lock = locked
    with closing(lock):
        if faults := list(checksum_faults(Path(snapshot.path))):
            yield from faults
            return
        for path in older_snapshots(store / "snapshots"):
            faults = list(checksum_faults(path))
            if path.is_dir():  # a server may have deleted it meanwhile
                yield from faults
        for name, problem in _working_problems(store, snapshot, JournalReader(journal, iris.base)):
            yield Fault(f"store/{name}", problem, REBUILD)
    try:
        for difference in compare(journal, LocalStore(data, iris), progress):
            graph = difference.graph or "the default graph"
            yield Fault(
                "store",
                f"{graph}: {difference.missing} statements missing, {difference.added} too many",
                REBUILD,
            )
    except (duckdb.Error, OSError, RuntimeError, ValueError, NotReady) as error:
        yield Fault("store", f"cannot be read: {error}", REBUILD)


def _lock_newest(folder: Path) -> tuple[Snapshot, SharedLock] | None:
    """Return the newest snapshot in *folder*, with a lock that keeps a server from deleting it; None
    if there is none.
    """
    while snapshot := newest_snapshot(folder):
        with suppress(FileNotFoundError):  # it was replaced twice meanwhile
            return snapshot, SharedLock(snapshot.path)
    return None


def _working_problems(
    store: Path, snapshot: Snapshot, reader: JournalReader
) -> Iterator[tuple[str, str]]:
    """Yield the files in the folder *store* from which the next snapshot is made and that are
    damaged, each with its problem; *snapshot* is the newest one, which is sound.

    The engines of the store and of the search index check what they read; files that they share
    with the snapshot are compared with it. The store is opened, unless a server has it open, and
    DuckDB files are read to the end. Bytes that no row uses may differ.
    """
    for name in _CHECKPOINTS:
        try:
            checkpoint = Checkpoint.read(store / name)
            if not reader.contains(checkpoint.position, checkpoint.entry):
                yield name, f"the journal has no such entry {checkpoint.position}"
        except (OSError, ValueError) as error:
            if (store / name).exists():
                yield name, f"cannot be read: {error}"
    newest, checksums = Path(snapshot.path), read_checksums(Path(snapshot.path))
    for name, path in sorted(_copies(store, snapshot)):
        if name in checksums and not is_copy(path, newest / name, checksums[name]):
            yield str(path.relative_to(store)), "differs from its published copy"
    if reason := _unreadable_reason(store / "columns" / WORK):
        yield f"columns/{WORK}", f"cannot be read: {reason}"
    try:
        if not is_locked(store / "lock"):
            Store.read_only(str(store / "store"))
    except (OSError, RuntimeError, ValueError) as error:
        yield "store", f"cannot be opened: {error}"


def _copies(store: Path, snapshot: Snapshot) -> Iterator[tuple[str, Path]]:
    """Yield the names of files in *snapshot*, and the files in the folder *store* that must be the
    same: those that the engines write once, and those that are published.
    """
    for path in store.glob("store/*.sst"):
        yield f"store/{path.name}", path
    for name, folder in ProjectionPaths.below(store)._asdict().items():
        if folder.is_dir() and read_position(folder) in (-1, getattr(snapshot, name)):
            for path in (Path(snapshot.path) / name).glob("*"):
                yield f"{name}/{path.name}", folder / path.name
    committed = None
    with suppress(OSError, ValueError):
        committed = Checkpoint.read(store / "text" / "position.json").position
    changed = _CHANGED if committed == snapshot.text else (*_CHANGED, TOPICS)
    for path in store.glob("text/index/*.*"):
        if path.name not in changed:
            yield f"text/{path.name}", path


def _unreadable_reason(path: Path) -> str:
    """Return why a copy of the DuckDB file *path* cannot be read, "" if it can, or if the file
    changes while it is copied. A server could not open the file itself while it is read.
    """
    with suppress(FileNotFoundError), tempfile.TemporaryDirectory(dir=path.parents[1]) as folder:
        before = _file_states(path)
        for file in before:
            shutil.copyfile(file, Path(folder) / file.name)
        reason = unreadable_reason(Path(folder) / path.name) if before else ""
        return reason if _file_states(path) == before else ""
    return ""


def _file_states(path: Path) -> dict[Path, tuple[int, int]]:
    """Return the time and the size of a DuckDB file and its log."""
    stats = {file: file.stat() for file in path.parent.glob(f"{path.name}*")}
    return {file: (stat.st_mtime_ns, stat.st_size) for file, stat in stats.items()}


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


def repair(data: Path, iris: Iris, faults: Iterable[Fault]) -> None:
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
