"""Check the files from which the next snapshot is made: the store, its indexes, and the positions
that they have reached in the journal.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pyoxigraph import Store

from journal.file_lock import is_locked
from journal.integrity import Fault
from publisher.projections.database_projection import unreadable_reason
from publisher.projections.journal_reader import JournalReader
from publisher.projections.search.index import TOPICS
from publisher.projections.search.updater import read_index_checkpoint
from publisher.store.checksums import copy_faults
from publisher.store.columns.updater import WORK
from publisher.store.embedded import read_store_checkpoint
from publisher.store.snapshots import Snapshot

# files that the engines write once, by the folder of a snapshot with them
_IMMUTABLE = {"store": "store/*.sst", "text": "text/index/*.*"}
# of the search index: they are replaced with each commit
_CHANGED = ("meta.json", ".managed.json")


def working_faults(
    store: Path, snapshot: Snapshot, reader: JournalReader, remedy: str
) -> Iterator[Fault]:
    """Yield what is damaged in the working files in the folder *store*; *snapshot* is the newest
    one, which is sound.

    The engines of the store and of the search index check what they read; files that they share
    with the snapshot are compared with it. The store is opened, unless a server has it open, and
    DuckDB files are read to the end. Bytes that no row uses may differ.
    """
    yield from _position_faults(store, reader, remedy)
    for name, pattern in _IMMUTABLE.items():
        files = [path for path in store.glob(pattern) if path.name not in _CHANGED]
        if name == "text" and not _is_index_published(store, snapshot):
            files = [path for path in files if path.name != TOPICS]  # it may be a newer one
        yield from copy_faults(Path(snapshot.path), name, files, remedy)
    is_open = is_locked(store / "lock")
    for path in (store / "columns" / WORK,):
        reason = _reason_of_copy(path) if is_open else path.exists() and unreadable_reason(path)
        if reason:
            yield Fault(f"store/{path.relative_to(store)}", f"cannot be read: {reason}", remedy)
    try:
        if not is_open:
            Store.read_only(str(store / "store"))
    except (OSError, RuntimeError, ValueError) as error:
        yield Fault("store/store", f"cannot be opened: {error}", remedy)


def _reason_of_copy(path: Path) -> str:
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


def _is_index_published(store: Path, snapshot: Snapshot) -> bool:
    """Return whether the search index is as in *snapshot*: nothing was committed since."""
    try:
        return read_index_checkpoint(store / "text" / "position.json").position == snapshot.text
    except (OSError, ValueError):
        return False


def _position_faults(store: Path, reader: JournalReader, remedy: str) -> Iterator[Fault]:
    """Yield the files of positions that cannot be read, or that are not those of the journal."""
    try:
        checkpoint = read_store_checkpoint(store / "position.json")
        if not reader.contains(checkpoint.position, checkpoint.entry):
            yield Fault(
                "store/position.json",
                f"the journal has no such entry {checkpoint.position}",
                remedy,
            )
    except (OSError, ValueError) as error:
        yield Fault("store/position.json", f"cannot be read: {error}", remedy)
    path = store / "text" / "position.json"
    if not path.exists():
        return  # it is not built yet
    try:
        committed = read_index_checkpoint(path)
        if not reader.contains(committed.position, committed.entry):
            yield Fault(
                "store/text/position.json",
                f"the journal has no such entry {committed.position}",
                remedy,
            )
    except (OSError, ValueError) as error:
        yield Fault("store/text/position.json", f"cannot be read: {error}", remedy)
