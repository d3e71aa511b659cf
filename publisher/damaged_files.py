"""Check the files that the publisher derives from the journal, and rebuild the damaged ones."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from pyoxigraph import RdfFormat, parse

from journal.errors import JournalError
from journal.file_lock import SharedLock
from journal.integrity import Fault
from journal.journal import Journal
from publisher.errors import DamagedFiles, NotReady
from publisher.history.graph_changes import NAME
from publisher.history.updater import HistoryUpdater
from publisher.projections.journal_reader import JournalReader
from publisher.projections.position import read_position
from publisher.store.checksums import checksum_faults, copy_faults, first_fault
from publisher.store.snapshots import (
    ProjectionPaths,
    Snapshot,
    newest_snapshot,
    older_snapshots,
)
from publisher.store.source_freshness import recompute
from publisher.store.verification import LocalStore, build_local, compare, discard
from publisher.store.working_files import working_faults
from publisher.store.writer_lock import require_unlocked
from vocab.iris import Iris

REBUILD = "stop the server, then run stocktake verify --repair"
# tables of the history that the journal does not yield again; they are checked by themselves
_UNDERIVED = ("announcement", "checkpoint")
_DISORDERED = """
SELECT entry FROM (SELECT entry, time, LAG(time, 1, 0) OVER (ORDER BY entry) AS previous FROM announcement)
WHERE typeof(time) <> 'integer' OR time < previous OR entry NOT BETWEEN 1 AND (SELECT MAX(position) FROM checkpoint) LIMIT 1
"""


def store_faults(data: Path, iris: Iris, progress: Callable[[str], None]) -> Iterator[Fault]:
    """Yield what is damaged in the newest snapshot of the embedded store: changed files, and graphs
    that are not those of the journal.

    The journal must be undamaged. Yields nothing where there is no store yet.
    """
    try:
        locked = _lock_newest(data / "store" / "snapshots")
    except DamagedFiles as error:
        yield Fault("store", str(error), REBUILD)
        return
    if locked is None:
        return
    snapshot, lock = locked
    with closing(lock):
        if faults := list(checksum_faults(Path(snapshot.path), REBUILD)):
            yield from faults
            return
        yield from _older_faults(data / "store" / "snapshots")
        yield from _published_faults(data / "store", snapshot)
        yield from working_faults(
            data / "store", snapshot, JournalReader(Journal(data / "journal"), iris.base), REBUILD
        )
    try:
        for difference in compare(Journal(data / "journal"), LocalStore(data, iris), progress):
            graph = difference.graph or "the default graph"
            yield Fault(
                "store",
                f"{graph}: {difference.missing} statements missing, {difference.added} too many",
                REBUILD,
            )
    except (OSError, ValueError, NotReady) as error:
        yield Fault("store", f"cannot be read: {error}", REBUILD)


def _lock_newest(folder: Path) -> tuple[Snapshot, SharedLock] | None:
    """Return the newest snapshot in *folder*, and a lock because of which a server keeps it; None
    if there is none.
    """
    while snapshot := newest_snapshot(folder):
        with suppress(FileNotFoundError):  # it was replaced twice meanwhile
            return snapshot, SharedLock(snapshot.path)
    return None


def _older_faults(folder: Path) -> Iterator[Fault]:
    """Yield the changed files of the snapshots before the newest; a server may be reading them
    still, or delete them meanwhile.
    """
    for path in older_snapshots(folder):
        faults = list(checksum_faults(path, REBUILD))
        if path.is_dir():
            yield from faults


def _published_faults(store: Path, snapshot: Snapshot) -> Iterator[Fault]:
    """Yield the damaged files of the published indexes that are in *snapshot*, which is undamaged;
    the next snapshot would link them.
    """
    for name, folder in ProjectionPaths.below(store)._asdict().items():
        position = read_position(folder)
        if not folder.is_dir() or position not in (-1, getattr(snapshot, name)):
            continue  # it was published after the snapshot
        expected = [folder / path.name for path in (Path(snapshot.path) / name).glob("*")]
        yield from copy_faults(Path(snapshot.path), name, expected, REBUILD)


def history_faults(data: Path, base: str) -> Iterator[Fault]:
    """Yield what is damaged in the change history: pages of its file, and rows that are not those
    that the journal yields.
    """
    folder = data / "store" / "history"
    if not (folder / NAME).exists():
        return
    name = f"store/history/{NAME}"
    try:
        with closing(sqlite3.connect(folder / NAME)) as file:
            messages = [str(row[0]) for row in file.execute("PRAGMA integrity_check(5)")]
            if messages != ["ok"]:
                yield Fault(name, "; ".join(messages), REBUILD)
                return
            position, entry = file.execute("SELECT position, entry FROM checkpoint").fetchone() or (
                0,
                "",
            )
            disordered = file.execute(_DISORDERED).fetchone()
            ours = _digests(file)
        if position and not JournalReader(Journal(data / "journal"), base).contains(
            position, entry
        ):
            yield Fault(
                name,
                f"the table checkpoint has an entry {position} that the journal has not",
                REBUILD,
            )
            return
        with tempfile.TemporaryDirectory(dir=data / "store") as temporary:
            expected = _rebuilt_digests(data, base, Path(temporary), position)
    except (sqlite3.DatabaseError, JournalError, OSError, TypeError) as error:
        yield Fault(name, f"cannot be read: {error}", REBUILD)
        return
    if disordered:
        yield Fault(name, "the table announcement has times that decrease", REBUILD)
    for table, digest in ours.items():
        if expected.get(table) != digest:
            yield Fault(
                name, f"the table {table} has not the rows that the journal yields", REBUILD
            )


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
    """Yield the changed files of the stores of releases."""
    for folder in sorted((data / "store" / "releases").glob("[0-9]*")):
        yield from checksum_faults(folder, REBUILD)


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
    store = data / "store"
    for lock in (store / "lock", store / "history" / "lock"):
        require_unlocked(lock)
    names = {fault.name for fault in faults}
    for path in older_snapshots(store / "snapshots"):  # nobody reads them now
        if inside := {name for name in names if name.startswith(f"store/snapshots/{path.name}/")}:
            shutil.rmtree(path)
            names -= inside
    for number in {name.split("/")[2] for name in names if name.startswith("store/releases/")}:
        # the server builds it again when it is asked for
        shutil.rmtree(store / "releases" / number)
    if any(name.startswith("store/history/") for name in names):
        shutil.rmtree(store / "history")
        _build_history(data, iris)
    if any(
        name.startswith("store") and not name.startswith(("store/history/", "store/releases/"))
        for name in names
    ):
        discard(store)
        build_local(data, iris)


def build(data: Path, iris: Iris) -> None:
    """Bring the embedded store, its indexes and the history level with the journal."""
    build_local(data, iris)
    _build_history(data, iris)


def _build_history(data: Path, iris: Iris) -> None:
    with closing(
        HistoryUpdater(
            data / "store" / "history", JournalReader(Journal(data / "journal"), iris.base)
        )
    ) as history:
        history.step()


def _digests(file: sqlite3.Connection) -> dict[str, bytes]:
    """Return a digest of the rows of each table whose rows depend on the journal alone."""
    digests = {}
    names = [
        str(row[0])
        for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    ]
    for table in names:
        if table in _UNDERIVED:
            continue
        digest = blake2b()
        for row in file.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3"):
            digest.update(repr(row).encode())
        digests[table] = digest.digest()
    return digests


def _rebuilt_digests(data: Path, base: str, folder: Path, position: int) -> dict[str, bytes]:
    """Return the digests of a history that is built again in *folder*, up to the entry *position*."""
    with closing(HistoryUpdater(folder, JournalReader(Journal(data / "journal"), base))) as history:
        history.step(position)
    with closing(sqlite3.connect(folder / NAME)) as file:
        return _digests(file)
