"""Keep and check the journal: a folder of entries, numbered without gaps, each with the hash of the
previous one.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from math import inf
from pathlib import Path
from threading import get_ident
from time import monotonic

from journal.entry import SUFFIX, Entry, read_header, verify_file, write
from journal.errors import (
    ChainError,
    DamagedHeadError,
    JournalError,
    JournalWriteError,
    ReadOnlyMirrorError,
)
from journal.files import FileLock, sync
from journal.store import PATIENCE, Store, peek, read_origin, read_store

_REMEDY = "restore this file from a backup or a mirror (docs: How to back up)"
_STORE_FOLDER = "journal"  # the journal's folder in a store
# The limit of an entry's unpacked bytes: whoever may write the store is trusted not to fill our disk.
_MAX_ENTRY_BYTES = 1 << 40
_INCOMING = "incoming"  # the folder of fetched entries until they are verified
_VERIFIED = "verified"  # the file that names the newest entry that was read to its end
_REFRESH_SECONDS = 1.0  # seconds between two looks into a store
_COMPARE_SECONDS = 60.0  # seconds between two lists of a store's entries: they find gaps


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
        self.store_error = ""  # why the last look into the store failed, "" if it did not
        self._refreshed_at = self._compared_at = -inf
        self._gap = ""  # how the store differed when it was last compared
        self._intact = ""  # id of the newest entry whose hash was checked

    @property
    def head(self) -> Entry | None:
        """Return the newest entry, None if there is none."""
        self._pull()
        return self._newest()

    @property
    def position(self) -> int:
        """Return the number of the newest entry, 0 if there is none."""
        head = self.head
        return head.number if head else 0

    def _newest(self) -> Entry | None:
        numbers = self._numbers()
        return read_header(self._path(numbers[-1])) if numbers else None

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Yield the entries with numbers above *after*, in order; raises ChainError at a gap."""
        self._pull()
        for expected, number in enumerate((n for n in self._numbers() if n > after), after + 1):
            if number != expected:
                raise ChainError(
                    "journal %(folder)s: entry %(number)s is missing before %(next)s; restore it from a mirror",
                    folder=self.folder,
                    number=expected,
                    next=number,
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
        fence: Callable[[], None] = lambda: None,
    ) -> Entry:
        """Commit one run: write its rows to a temporary file, then give it the next number; the
        commit is atomic.

        A block is one or more rows ``A <s> <p> <o> <g> .`` or ``D ...``, joined by line ends,
        without the last. *fence* is called before the entry gets its number, and raises if the run
        must no longer be committed. Raises JournalWriteError if the folder cannot be written,
        ReadOnlyMirrorError if the journal is a mirror, and ChainError if our head is damaged or is
        not the store's newest entry.
        """
        if mirrored := read_origin(self.folder):
            raise ReadOnlyMirrorError(
                "journal %(folder)s is a mirror of %(url)s, so run %(run)s is not written to it; harvest "
                "into another directory (--data)",
                folder=self.folder,
                url=mirrored.url,
                run=run,
            )
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
                # Linking fails if the entry exists, so none is replaced, even without a lock.
                sync(part)
                os.link(part, path)
                sync(self.folder)
                self._mark_verified(path)
            except FileExistsError as error:
                raise JournalWriteError(
                    "journal %(folder)s: another writer has taken number %(number)s; run %(run)s again",
                    folder=self.folder,
                    number=number,
                    run=run,
                ) from error
            except OSError as error:
                raise JournalWriteError(
                    "journal %(folder)s: run %(run)s could not be written: %(error)s; free disk space or "
                    "fix the directory, then run again",
                    folder=self.folder,
                    run=run,
                    error=error.strerror or error,
                ) from error
            finally:
                with suppress(OSError):  # ``recover`` clears what is left.
                    part.unlink(missing_ok=True)
                    part.with_suffix(".body").unlink(missing_ok=True)
            return self._committed(path)

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
                self._publish(part, path)
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
                raise DamagedHeadError(error.message, **error.values) from error
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
            if self._is_verified(last):
                return None
            try:
                read_header(last).check()
                self._mark_verified(last)
            except ChainError:
                torn = last.with_name(last.name + ".torn")
                last.replace(torn)
                return torn
        return None

    def _pull(self) -> None:
        """Download new entries from the object store at intervals; if it does not answer, the local
        entries are used.
        """
        if self.store and monotonic() - self._refreshed_at >= _REFRESH_SECONDS:
            is_first = self._refreshed_at == -inf
            try:
                self._fetch(self.store)
                # Listing costs more with each entry, so a journal that is read once lists nothing.
                if not is_first and monotonic() - self._compared_at >= _COMPARE_SECONDS:
                    self._compared_at, self._gap = monotonic(), ""
                    self.compare(self.store)
                self.store_error = self._gap
            except ChainError as error:
                self.store_error = self._gap = str(error)
            except JournalError as error:
                self.store_error = str(error)

    def compare(self, store: Store) -> None:
        """Raise ChainError unless the newest entry of *store* is ours. If they differ, new entries
        are downloaded and the newest ones are compared again.
        """
        try:
            self._compare(store, self._newest(), wait=False)
        except ChainError:
            self._fetch(store)
            self._compare(store, self._newest(), wait=False)

    def check_store(self) -> None:
        """Download new entries from the object store, and raise ChainError unless its newest entry
        is then ours; does nothing without one.

        This keeps us from writing after another installation's journal, after an incomplete entry,
        or into a gap.
        """
        self.refresh()
        if self.store:
            self._compared_at = monotonic()
            self._compare(self.store, self.head, wait=True)

    def _compare(self, store: Store, head: Entry | None, *, wait: bool) -> None:
        where, number = f"{store.url}/{_STORE_FOLDER}", head.number if head else 0
        names = [
            name.removesuffix(SUFFIX)
            for name in store.names(_STORE_FOLDER, wait=wait)
            if name.endswith(SUFFIX)
        ]
        newest = max((int(name) for name in names if name.isdigit()), default=0)
        if newest > number:
            raise ChainError(
                "%(where)s has entry %(newest)s, but entry %(missing)s is missing or cannot follow entry "
                "%(number)s; restore it from a backup or a mirror, then run again",
                where=where,
                newest=newest,
                missing=number + 1,
                number=number,
            )
        if head is None:
            return
        there = store.peek(f"{_STORE_FOLDER}/{head.path.name}")
        known = {"where": where, "number": number, "id": head.id, "folder": self.folder}
        if there is None:
            raise ChainError(
                "%(where)s has no entry %(number)s, which is %(id)s in %(folder)s: it was emptied or "
                "replaced; put the entries of %(folder)s back there, or use an empty data folder",
                **known,
            )
        if there != peek(head.path):
            raise ChainError(
                "%(where)s has another entry %(number)s than %(folder)s: %(other)s there, %(id)s here; it is "
                "cut short, or another installation's; put the entries of %(folder)s back there, or use "
                "an empty data folder",
                other=_id_of(there[1]),
                **known,
            )

    def _fetch(self, store: Store, *, wait: bool = False) -> None:
        """Request the number after our last one, so that the cost does not grow with the journal,
        and verify what is downloaded.
        """
        self._refreshed_at = monotonic()
        number = max(self._numbers(), default=0)
        last = read_header(self._path(number)).id if number else None
        # In a folder of its own: a file beside the entries would change the ``change_token``.
        folder = self.folder / _INCOMING
        folder.mkdir(exist_ok=True)
        part = folder / f"{os.getpid()}-{get_ident()}"  # others may fetch it at the same time
        while store.get(f"{_STORE_FOLDER}/{self._path(number + 1).name}", part, wait=wait):
            number += 1
            try:
                verify_file(part, number, last, _MAX_ENTRY_BYTES)
            except ChainError as error:
                remedy = "restore that entry from a backup or a mirror; if the store is another installation's, use another one"
                raise type(error)(f"{store.url}/{_STORE_FOLDER}: {error}; {remedy}") from error
            self._publish(part, self._path(number))
            last = read_header(self._path(number)).id

    def _mark_verified(self, path: Path) -> None:
        """Record that an entry is complete, so that the next start need not read it again; losing
        the record costs only time.
        """
        with suppress(OSError):
            (self.folder / _VERIFIED).write_text(_verified_mark_of(path))

    def _is_verified(self, path: Path) -> bool:
        with suppress(OSError):
            return (self.folder / _VERIFIED).read_text() == _verified_mark_of(path)
        return False

    def _publish(self, part: Path, path: Path) -> None:
        sync(part)
        part.rename(path)
        sync(self.folder)

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


@dataclass(frozen=True, slots=True)
class Fault:
    """One damaged file or row: *name* is relative to the data directory, *remedy* is what a person
    must do.
    """

    name: str
    problem: str
    remedy: str


def journal_faults(journal: Journal) -> Iterator[Fault]:
    """Read every entry, and yield one fault for each that is missing, does not match its hash, or
    does not follow the one before, or that the object store of a shared journal lacks.

    Reads about 100 MB of uncompressed entries a second. Entries are never repaired, since nothing
    else has all of their content.
    """
    if journal.store:
        try:
            journal.compare(journal.store)
        except ChainError as error:
            # Its text ends with what to do.
            problem, _, remedy = str(error).rpartition("; ")
            yield Fault(journal.store.url, problem, remedy)
        except JournalError as error:
            yield Fault(journal.store.url, str(error), "check its address, then verify again")
    expected, previous = 1, ""
    for path in journal.paths():
        name, number = f"{journal.folder.name}/{path.name}", int(path.name.split(".")[0])
        if number != expected:
            missing = (
                f"entries {expected} to {number - 1} are"
                if number > expected + 1
                else f"entry {expected} is"
            )
            yield Fault(name, f"{missing} missing before it", _REMEDY)
            previous = ""
        expected = number + 1
        try:
            entry = read_header(path)
            if (previous and entry.previous != previous) or (number == 1 and entry.previous):
                yield Fault(
                    name,
                    f"follows the entry {entry.previous}, but {previous or 'nothing'} is before it",
                    _REMEDY,
                )
            entry.check()
        except (ChainError, UnicodeDecodeError) as error:
            yield Fault(name, str(error), _REMEDY)
            previous = ""
        else:
            previous = entry.id
