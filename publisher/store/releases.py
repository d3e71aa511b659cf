"""Read and write the manifests of releases, build their stores from their N-Quads, in a process and
one at a time, and open them for queries.

The engine returns triples in the order of their bytes, so a query has the same result, byte for
byte, in every build.

The module runs as a process. A store appears by a rename, when it is complete.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path

import pyoxigraph
import structlog
from isal import igzip
from pydantic import TypeAdapter
from pyoxigraph import NamedNode, Store

from journal.files import FileLock, replace_file
from journal.journal import Journal
from languages.translations import TranslatableText
from publisher.errors import (
    DamagedRelease,
    NotReady,
    ReleaseNotFound,
    StoreFailure,
    Withdrawn,
)
from publisher.store.changes import JournalReader
from publisher.store.columns.database import FILE, ColumnDatabase, open_statements
from publisher.store.follow import load, replace_graph
from publisher.store.process import NICE, ChildProcess, prepare_child, raise_nice
from publisher.store.search.index import SearchUpdater
from publisher.store.snapshots import FORMAT, Snapshot, newest_snapshot, write_checksums
from publisher.store.verification import first_fault
from vocab.iris import Iris

MANIFEST = "release.json"


@dataclass(frozen=True, slots=True)
class File:
    """A file of a release. *bytes* and *sha256* are of the file as stored, compressed or not;
    *rows* is for tables only.
    """

    name: str
    media: str
    bytes: int
    sha256: str
    says: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseSource:
    """A source whose records are in a release."""

    name: str
    title: str
    publisher: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """Release *number*: the state after journal entry *position*, whose id is *entry*, issued at
    *issued* (UTC, to the second).

    *previous* is the number of the previous release. *counts* are of its content, *changes* of the
    differences from the previous release by kind, source and action line. *withdrawn* is when its
    files were removed by the retention policy, None while they exist. *demo* marks a release of the
    demo, whose data are fictitious; the manifest contains it only if it is true.
    """

    number: int
    iri: str
    position: int
    entry: str
    issued: str
    previous: int | None
    counts: Mapping[str, int]
    changes: Mapping[str, object]
    sources: tuple[ReleaseSource, ...] = ()
    files: tuple[File, ...] = ()
    key: str = ""  # the public key, as ``minisign -P`` expects it
    withdrawn: str | None = None
    format: int = field(default=1)
    demo: bool = False

    @property
    def day(self) -> str:
        return self.issued[:10]

    def file(self, name: str) -> File | None:
        """Return the file *name*, None if there is none."""
        return next((file for file in self.files if file.name == name), None)


_RELEASE = TypeAdapter(Release)


def write_manifest(folder: Path, release: Release) -> None:
    """Write the manifest into *folder*, replacing an older one atomically."""
    fields = {name: value for name, value in asdict(release).items() if name != "demo" or value}
    replace_file(folder / MANIFEST, json.dumps(fields, indent=1, ensure_ascii=False) + "\n")


def read_manifest(folder: Path) -> Release:
    """Read the manifest in *folder*; raise FileNotFoundError if there is none, and DamagedRelease
    if it cannot be read.
    """
    content = (folder / MANIFEST).read_bytes()
    try:
        return _RELEASE.validate_json(content)
    except ValueError as error:
        raise DamagedRelease(
            f"{MANIFEST} of release {folder.name} cannot be read; restore it from a backup or a mirror"
        ) from error


def release_numbers(releases: Path) -> list[int]:
    """Return the numbers of the existing releases, ascending."""
    return sorted(int(path.name) for path in releases.glob("[0-9]*") if path.name.isdecimal())


def newest_release(releases: Path) -> Release | None:
    """Return the newest release, None while there is none."""
    numbers = release_numbers(releases)
    return read_manifest(releases / str(numbers[-1])) if numbers else None


def list_releases(releases: Path) -> list[Release]:
    """Return all releases, the newest first."""
    return [read_manifest(releases / str(number)) for number in reversed(release_numbers(releases))]


def get_release(releases: Path, number: int) -> Release | None:
    """Return release *number*, None if there is none."""
    try:
        return read_manifest(releases / str(number))
    except FileNotFoundError:
        return None


def find_release(data: Path, number: int | None) -> Release:
    """Return release *number* under *data*, the newest if None. Raises ReleaseNotFound, and Withdrawn
    if its files were removed.
    """
    releases = data / "releases"
    release = newest_release(releases) if number is None else get_release(releases, number)
    if release is None:
        raise ReleaseNotFound(
            "there is no release yet; `stocktake release` makes one"
            if number is None
            else TranslatableText(
                "there is no release {number}; /releases/ lists them", number=number
            )
        )
    if release.withdrawn:
        raise Withdrawn(
            TranslatableText(
                "release {number} was kept until {day}; /release/{number} has its numbers, /releases/ newer ones",
                number=release.number,
                day=release.withdrawn,
            )
        )
    return release


COLUMNS, TEXT = "columns", "text"  # the folders of the columns and the search index in a store
_ABOUT = "about.json"
_WAIT = 8.0  # seconds that a query waits for the store of its release

log = structlog.get_logger(component="releases")


def store_folder(data: Path, number: int) -> Path:
    """Return the folder of the store of a release."""
    return data / "store" / "releases" / str(number)


def find_store(data: Path, release: Release, *, texts: bool = False) -> Snapshot | None:
    """Return the store of a release as a snapshot; None if it is missing, with *texts* also if its
    search index is, or if it was built by other versions of the engine, the columns or the search
    index, or from another journal.
    """
    folder = store_folder(data, release.number)
    try:
        about = json.loads((folder / _ABOUT).read_text())
    except (FileNotFoundError, ValueError):
        return None
    if about != _about(release) or (texts and not (folder / TEXT).exists()):
        return None
    issued = int(datetime.fromisoformat(release.issued).timestamp())
    return Snapshot(
        0,
        release.position,
        release.entry,
        release.counts.get("statements", 0),
        str(folder),
        modified=issued,
        text=release.position,
        version=f"release-{release.entry}",
    )


def _about(release: Release) -> dict[str, object]:
    return {
        "entry": release.entry,
        "position": release.position,
        "columns": release.position,
        "engine": pyoxigraph.__version__,
        "format": FORMAT,
    }


def create_store(data: Path, release: Release, iris: Iris, *, texts: bool = False) -> None:
    """Create what is missing of the store of a release and its columns, with *texts* also of its
    search index.
    """
    folder = store_folder(data, release.number)
    with _part(data, release) as part:
        if find_store(data, release) is None:
            _create_store(data, release, iris, part)
            if folder.exists():
                _remove(folder)
            (part / "store").rename(folder)
        if texts and not (folder / TEXT).exists():
            _create_text_index(data, release, iris, part / TEXT)
            write_checksums(folder, folder)


def _create_store(data: Path, release: Release, iris: Iris, part: Path) -> None:
    """Create the store *part* / "store" with its columns: of the current snapshot, without the
    status graph, if that is of the same entry, else of the N-Quads.
    """
    new, snapshot = part / "store", current_snapshot(data, release)
    (new / COLUMNS).mkdir(parents=True)
    if snapshot:
        Store.read_only(f"{snapshot.path}/store").backup(str(new / "store"))
        for file in Path(snapshot.path, COLUMNS).glob(f"{FILE}*"):
            shutil.copyfile(file, part / file.name)
    store = Store(str(new / "store"))
    with closing(ColumnDatabase(part / FILE, iris)) as columns:
        if snapshot:
            columns.replace_status(())
            replace_graph(store, NamedNode(iris.status), (), columns.stated)
        else:
            load(store, _lines(data, release, "nt"))
            columns.begin()
            deque(columns.apply(b"A " + line for line in _lines(data, release, "nq")), 0)
            columns.commit(release.position, release.entry)
        if fault := columns.checkpoint()[2]:
            log.error(
                "columns cannot hold the release; its store answers",
                release=release.number,
                error=fault,
            )
        columns.copy(new / COLUMNS / FILE)
    store.flush()
    del store  # It removes files that it merged until it is closed.
    (new / _ABOUT).write_text(json.dumps(_about(release)))
    write_checksums(new, None)


def current_snapshot(data: Path, release: Release) -> Snapshot | None:
    """Return the current snapshot if it is the state of a release."""
    newest = newest_snapshot(data / "store" / "snapshots")
    state = (release.position, release.entry, release.position)
    return newest if newest and (newest.position, newest.entry, newest.columns) == state else None


def open_release_tables(data: Path, release: Release, iris: Iris) -> Path:
    """Return the file of a release's columns and tables; its store is built first if it is missing."""
    if find_store(data, release) is None:
        create_store(data, release, iris)
    return store_folder(data, release.number) / COLUMNS / FILE


@contextmanager
def _part(data: Path, release: Release) -> Iterator[Path]:
    """Yield an empty folder beside the stores. One process at a time has it, so what is in it before
    is of a process that was killed.
    """
    stores = store_folder(data, release.number).parent
    stores.mkdir(parents=True, exist_ok=True)
    part = stores / ".part"
    with FileLock(stores / ".lock"):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        yield part
        shutil.rmtree(part)


def _lines(data: Path, release: Release, form: str) -> Iterator[bytes]:
    """Yield the N-Quads of a release, or its N-Triples."""
    name = f"stocktake-{release.number}.{form}.gz"
    with igzip.open(data / "releases" / str(release.number) / name, "rb") as file:
        yield from file


def _create_text_index(data: Path, release: Release, iris: Iris, work: Path) -> None:
    """Create the search index of a release in the folder *work*, from its columns alone, so that
    every build has the same result.
    """
    folder = store_folder(data, release.number)
    reader = JournalReader(Journal(data / "journal"), iris.base)
    with open_statements(folder / COLUMNS / FILE) as statements:
        with closing(SearchUpdater(work, reader, statements)) as updater:
            deque(updater.advance(release.position, release.entry), 0)
        updater.write(work / "new")
    (work / "new").rename(folder / TEXT)


def remove_stores(data: Path, remaining: Iterable[int]) -> None:
    """Remove the stores of all releases except *remaining*. Workers that have one open can finish
    reading.
    """
    remaining_names = {str(number) for number in remaining}
    for folder in (data / "store" / "releases").glob("[0-9]*"):
        if folder.name not in remaining_names:
            _remove(folder)


def discard_damaged_stores(data: Path) -> str:
    """Remove the damaged stores of releases, which are rebuilt when they are next queried. Returns
    the first fault, "" if there is none. Reads about 1 GB a second.
    """
    faults = []
    for folder in sorted((data / "store" / "releases").glob("[0-9]*")):
        if fault := first_fault(folder):
            _remove(folder)
            faults.append(fault)
    return next(iter(faults), "")


def _remove(folder: Path) -> None:
    (folder / _ABOUT).unlink(missing_ok=True)  # Without it, no part of the store is found.
    shutil.rmtree(folder, ignore_errors=True)


class OpenReleases:
    """The releases under *data*. Workers open one for a single query and then return to the current
    snapshot.
    """

    def __init__(self, data: Path, base: str) -> None:
        self._data, self._base = data, base
        self._builds: dict[tuple[int, bool], asyncio.Task[None]] = {}
        self._build_lock = asyncio.Semaphore(1)

    async def open(self, number: int, *, texts: bool = False) -> Snapshot:
        """Return the snapshot of release *number*, with its search index if *texts*.

        Raises ReleaseNotFound, Withdrawn, and NotReady while its store is being built.
        """
        release = await asyncio.to_thread(find_release, self._data, number)
        if snapshot := find_store(self._data, release, texts=texts):
            return snapshot
        build = self._builds.get((number, texts))
        if build is None:
            build = asyncio.create_task(self._build(number, texts))
            self._builds[number, texts] = build
            build.add_done_callback(lambda _: self._builds.pop((number, texts), None))
        await asyncio.wait([build], timeout=_WAIT)
        if snapshot := find_store(self._data, release, texts=texts):
            return snapshot
        if build.done():
            raise StoreFailure(f"release {number} could not be loaded for queries; see the log")
        raise NotReady(
            TranslatableText(
                "release {number} is being loaded for queries; try again in a moment", number=number
            )
        )

    async def _build(self, number: int, texts: bool) -> None:
        async with self._build_lock:
            builder = await ChildProcess.launch(__name__, {}, self._data, number, self._base, texts)
            try:
                await builder.exited.wait()
            finally:
                await builder.stop()
        if code := builder.process.exitcode:
            log.error("release store could not be built", release=number, code=code)

    async def close(self) -> None:
        for task in list(self._builds.values()):
            task.cancel()
        await asyncio.gather(*self._builds.values(), return_exceptions=True)


def run(_connection: Connection, data: Path, number: int, base: str, texts: bool) -> None:
    """Build the store of release *number* under *data*, with its search index if *texts*."""
    raise_nice(os.getpid(), NICE)
    prepare_child("release-store")
    create_store(data, read_manifest(data / "releases" / f"{number}"), Iris(base), texts=texts)
