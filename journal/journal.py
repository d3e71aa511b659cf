"""Keep the journal: a folder of entries, numbered without gaps, each with the hash of the previous
one.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from math import inf
from pathlib import Path
from threading import get_ident
from time import monotonic

from journal import mirror_origin
from journal.entry import SUFFIX, Entry, read_header, write
from journal.errors import (
    ChainError,
    DamagedHeadError,
    JournalError,
    JournalWriteError,
    ReadOnlyMirrorError,
)
from journal.file_lock import FileLock
from journal.store import PATIENCE, Store, peek
from journal.store import read as read_store
from journal.verification import verify_file

_STORE_FOLDER = "journal"  # the journal's folder in a store
# bytes of an entry when unpacked: who may write the store is trusted not to fill our disk
_MAX_ENTRY_BYTES = 1 << 40
_INCOMING_FOLDER = "coming"  # holds fetched entries until they are verified
_REFRESH_SECONDS = 1.0  # seconds between two looks into a store
_COMPARE_SECONDS = 60.0  # seconds between two lists of a store's entries: they find gaps


def _no_fence() -> None:
    """Accept every run."""


class Journal:
    """The ordered log of changes in *folder*, which is created if missing; readers and one writer
    at a time may share it.
    """

    def __init__(self, folder: Path, patience: float = PATIENCE) -> None:
        """Open the journal in *folder*; a writer waits up to *patience* seconds for an unavailable
        object store.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _write_error(folder, error) from error
        self.store = read_store(folder, patience)
        self.store_error = ""  # why the store could not be looked into last, "" where it could
        self._refreshed_at = self._compared_at = -inf
        self._gap = ""  # the entry that the store lacked when it was compared last
        self._intact = ""  # id of the newest entry whose hash was checked

    @property
    def head(self) -> Entry | None:
        """Return the newest entry, None if there is none."""
        self._pull()
        return self._newest()

    def _newest(self) -> Entry | None:
        numbers = self._numbers()
        return read_header(self._path(numbers[-1])) if numbers else None

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Yield the entries with numbers above *after*, in order; raises ChainError at a gap."""
        self._pull()
        for expected, number in enumerate((n for n in self._numbers() if n > after), after + 1):
            if number != expected:
                raise ChainError(
                    f"journal {self.folder}: entry {expected} is missing before {number}; restore it from a mirror",
                    "journal_entry_missing",
                    {"folder": str(self.folder), "number": str(expected), "next": str(number)},
                )
            yield read_header(self._path(number))

    def entry(self, number: int) -> Entry | None:
        """Return the entry *number*, None if there is none."""
        path = self._path(number)
        if not path.exists():
            self._pull()
        return read_header(path) if path.exists() else None

    @property
    def change_token(self) -> int:
        """Return a number that changes when an entry is added; new entries of the object store are
        downloaded first.
        """
        self._pull()
        return self.folder.stat().st_mtime_ns

    def refresh(self) -> None:
        """Download new entries from the object store, if there is one; waits for it, and raises
        JournalWriteError on a timeout.
        """
        if self.store:
            self._fetch(self.store, wait=True)

    def append(
        self,
        blocks: Iterable[str],
        *,
        run: str,
        time: datetime,
        fence: Callable[[], None] = _no_fence,
    ) -> Entry:
        """Commit one run: write its rows to a temporary file, then give it the next number; the
        commit is atomic.

        A block is one or more rows ``A <s> <p> <o> <g> .`` or ``D ...``, joined by line ends,
        without the last. *fence* is called before the entry gets its number, and raises if the run
        must no longer be committed. Raises JournalWriteError if the folder cannot be written,
        ReadOnlyMirrorError if the journal is a mirror, and ChainError if our head is damaged or is
        not the store's newest entry.
        """
        self._check_not_mirror(run)
        with self._locked():
            self.check_store()
            head = self._intact_head()
            number = head.number + 1 if head else 1
            path = self._path(number)
            part = path.with_suffix(".part")
            try:
                write(part, blocks, head.id if head else None, run, time)
                fence()
                if self.store:
                    self.store.add(f"{_STORE_FOLDER}/{path.name}", part)
                _link_durably(part, path)
                self._mark_verified(path)
            except FileExistsError as error:
                raise self._number_taken(number, run) from error
            except OSError as error:
                raise self._not_written(run, error.strerror or str(error)) from error
            finally:
                with suppress(OSError):  # ``mend`` clears what is left
                    part.unlink(missing_ok=True)
                    part.with_suffix(".body").unlink(missing_ok=True)
            return self._committed(path)

    def _number_taken(self, number: int, run: str) -> JournalWriteError:
        message = (
            f"journal {self.folder}: another writer has taken number {number}; run {run} again"
        )
        return JournalWriteError(
            message,
            "journal_number_taken",
            {"folder": str(self.folder), "number": str(number), "run": run},
        )

    def _not_written(self, run: str, cause: str) -> JournalWriteError:
        message = f"journal {self.folder}: run {run} could not be written: {cause}"
        return JournalWriteError(
            f"{message}; free disk space or fix the directory, then run again",
            "journal_not_written",
            {"folder": str(self.folder), "run": run, "error": cause},
        )

    def _check_not_mirror(self, run: str) -> None:
        if mirrored := mirror_origin.read(self.folder):
            raise ReadOnlyMirrorError(
                f"journal {self.folder} is a mirror of {mirrored.url}, so run {run} is not written "
                "to it; harvest into another directory (--data)",
                "journal_is_mirror",
                {"folder": str(self.folder), "url": mirrored.url, "run": run},
            )

    def append_verified(self, part: Path, max_bytes: int) -> Entry:
        """Move the file *part*, on the same file system, into place as the next entry, after
        checking it.

        *max_bytes* limits its uncompressed size. Raises ChainError, ForkError or JournalWriteError;
        the file then stays.
        """
        with self._locked():
            head = self._intact_head()
            path = self._path(head.number + 1 if head else 1)
            verify_file(part, head.number + 1 if head else 1, head.id if head else None, max_bytes)
            try:
                _rename_durably(part, path)
                self._mark_verified(path)
            except OSError as error:
                raise JournalWriteError(
                    f"journal {self.folder}: {part.name} could not be imported: {error}"
                ) from error
            return self._committed(path)

    def _intact_head(self) -> Entry | None:
        """Return the newest entry; raise DamagedHeadError if it does not match its hash, since the
        next entry would be chained to it.

        An entry is read once for each process that writes.
        """
        head = self.head
        if head and head.id != self._intact:
            try:
                head.check()
            except ChainError as error:
                raise DamagedHeadError(str(error), error.code, error.values) from error
            self._intact = head.id
        return head

    def _committed(self, path: Path) -> Entry:
        entry = read_header(path)
        self._intact = entry.id
        return entry

    def recover(self) -> Path | None:
        """Clean up after a crash: delete temporary files, and move an incomplete last entry aside;
        return its new path or None.

        Call it when a writer starts, before the head is read.
        """
        with self._locked():
            for leftover in [*self.folder.glob("*.part"), *self.folder.glob("*.body")]:
                leftover.unlink()
            numbers = self._numbers()
            if not numbers:
                return None
            last = self._path(numbers[-1])
            if self._verified_mark() == _verified_mark_of(last):
                return None
            try:
                read_header(last).check()
                self._mark_verified(last)
            except ChainError:
                torn = last.with_name(last.name + ".torn")
                last.replace(torn)
                return torn
        return None

    def verify(self) -> int:
        """Check every entry and the chain; return the number of entries, raise ChainError at the
        first fault.
        """
        previous, count = None, 0
        for entry in self.entries():
            entry.check()
            if entry.previous != previous:
                raise ChainError(
                    f"journal entry {entry.number} names {entry.previous} as the one before, which is {previous}"
                )
            previous, count = entry.id, entry.number
        return count

    def _pull(self) -> None:
        """Download new entries from the object store at intervals; if it does not answer, the local
        entries are used.
        """
        if self.store and monotonic() - self._refreshed_at >= _REFRESH_SECONDS:
            is_first = self._refreshed_at == -inf
            try:
                self._fetch(self.store)
                # a list costs more with each entry, so whoever looks once pays none
                if not is_first and monotonic() - self._compared_at >= _COMPARE_SECONDS:
                    self._find_gap(self.store)
                self.store_error = self._gap
            except JournalError as error:
                self.store_error = str(error)

    def _find_gap(self, store: Store) -> None:
        """Note which entry the store lacks, or has in another form, and what to do; "" if none."""
        self._compared_at = monotonic()
        try:
            self.compare(store)
            self._gap = ""
        except ChainError as error:
            self._gap = str(error)

    def compare(self, store: Store, *, wait: bool = False) -> None:
        """Raise ChainError unless the newest entry of *store* is ours, as a reader sees it: what
        was added meanwhile is downloaded.
        """
        try:
            self._compare(store, self._newest(), wait=wait)
        except ChainError:
            self._fetch(store, wait=wait)
            self._compare(store, self._newest(), wait=wait)

    def check_store(self) -> None:
        """Download new entries from the object store, and raise ChainError unless its newest entry
        is then ours; does nothing without one.

        So nothing is written after another installation's journal, after an incomplete entry, or
        into a gap.
        """
        self.refresh()
        if self.store:
            self._compared_at = monotonic()
            self._compare(self.store, self.head, wait=True)

    def _compare(self, store: Store, head: Entry | None, *, wait: bool) -> None:
        where, number = f"{store.url}/{_STORE_FOLDER}", head.number if head else 0
        names = (
            name.removesuffix(SUFFIX)
            for name in store.names(_STORE_FOLDER, wait=wait)
            if name.endswith(SUFFIX)
        )
        newest = max((int(name) for name in names if name.isdigit()), default=0)
        if newest > number:
            remedy = "restore it from a backup or a mirror, then run again"
            raise ChainError(
                f"{where} has entry {newest}, but entry {number + 1} is missing or cannot follow entry {number}; {remedy}",
                "journal_store_gap",
                {
                    "where": where,
                    "newest": str(newest),
                    "missing": str(number + 1),
                    "number": str(number),
                },
            )
        if head is None:
            return
        there = store.peek(f"{_STORE_FOLDER}/{head.path.name}")
        remedy = f"put the entries of {self.folder} back there, or use an empty data folder"
        if there is None:
            raise ChainError(
                f"{where} has no entry {number}, which is {head.id} in {self.folder}: it was emptied or replaced; {remedy}",
                "journal_store_emptied",
                {"where": where, "number": str(number), "id": head.id, "folder": str(self.folder)},
            )
        if there != peek(head.path):
            raise ChainError(
                f"{where} has another entry {number} than {self.folder}: {_id_of(there[1])} there, {head.id} here; "
                f"it is cut short, or another installation's; {remedy}",
                "journal_store_differs",
                {
                    "where": where,
                    "number": str(number),
                    "folder": str(self.folder),
                    "id": head.id,
                    "other": _id_of(there[1]),
                },
            )

    def _fetch(self, store: Store, *, wait: bool = False) -> None:
        """Request the number after our last one, so that the cost does not grow with the journal,
        and verify what is downloaded.
        """
        self._refreshed_at = monotonic()
        number = max(self._numbers(), default=0)
        last = read_header(self._path(number)).id if number else None
        # apart, so that a look that finds nothing changes no ``stamp``
        folder = self.folder / _INCOMING_FOLDER
        folder.mkdir(exist_ok=True)
        part = folder / f"{os.getpid()}-{get_ident()}"  # others may fetch it at the same time
        while store.get(f"{_STORE_FOLDER}/{self._path(number + 1).name}", part, wait=wait):
            number += 1
            try:
                verify_file(part, number, last, _MAX_ENTRY_BYTES)
            except ChainError as error:
                remedy = "restore that entry from a backup or a mirror; if the store is another installation's, use another one"
                raise type(error)(f"{store.url}/{_STORE_FOLDER}: {error}; {remedy}") from error
            _rename_durably(part, self._path(number))
            last = read_header(self._path(number)).id

    def _mark_verified(self, path: Path) -> None:
        """Record that an entry is complete, so that the next start need not read it again; losing
        the record costs only time.
        """
        with suppress(OSError):
            (self.folder / "sound").write_text(_verified_mark_of(path))

    def _verified_mark(self) -> str | None:
        try:
            return (self.folder / "sound").read_text()
        except OSError:
            return None

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:09d}{SUFFIX}"

    def paths(self) -> list[Path]:
        """Return the files of the entries in the folder, in the order of their numbers."""
        return [self._path(number) for number in self._numbers()]

    def _numbers(self) -> list[int]:
        names = (path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}"))
        return sorted(int(name) for name in names if name.isdecimal())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            lock = FileLock(self.folder / "lock")
        except OSError as error:
            raise _write_error(self.folder, error) from error
        with lock:
            yield


def _write_error(folder: Path, error: OSError) -> JournalWriteError:
    return JournalWriteError(
        f"journal {folder} cannot be written: {error.strerror}; free disk space or fix the directory, then run again"
    )


def _id_of(start: bytes) -> str:
    """Return the id in the first bytes of an entry, or a description of what is there instead."""
    try:
        return (
            zlib.decompressobj(zlib.MAX_WBITS | 16)
            .decompress(start, 200)
            .decode()[len("H id <urn:sha256:") :]
            .partition(">")[0]
        )
    except (zlib.error, UnicodeDecodeError):
        return "no entry of a journal"


def _verified_mark_of(path: Path) -> str:
    return f"{path.name} {path.stat().st_size}"


def _link_durably(part: Path, path: Path) -> None:
    """Link a file to its final path and sync it; raises FileExistsError if the path exists,
    whatever locks are assumed.
    """
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.link(part, path)
    _sync_directory(path.parent)


def _rename_durably(part: Path, path: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.rename(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
