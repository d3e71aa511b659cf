"""Where a journal comes from: the object store in which machines share it, at any URL that fsspec
supports, such as ``s3://bucket/stocktake``; or the installation whose journal a mirror copies.

Of a store, only the status is ever replaced. Any other name is written once, by a conditional put, so that the
second of two writers fails; an incomplete upload has no name. Source:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, with_config

from journal.errors import JournalError, JournalWriteError
from journal.files import replace_file
from journal.outage import Outage

T = TypeVar("T")

PATIENCE = 120.0  # seconds that a writer waits for a store that is out of reach
PEEK = 65_536  # bytes that are compared: a header is in the first few hundred
_THEIRS = (
    "botocore",
    "aiobotocore",
    "aiohttp",
    "gcsfs",
    "azure",
)  # packages whose errors are a store's
# Beside the journal's entries: the store that they are in, and the installation that they come from.
NAME, ORIGIN = "store.json", "origin.json"
# Bytes of an unpacked entry of another journal: the first harvest of ten million records has about
# so many.
LARGEST = 64 << 30


@dataclass(frozen=True, slots=True)
class Store:
    """The object store at *url*; every method raises JournalWriteError if it does not answer.

    Writers wait up to *patience* seconds while it is unavailable; readers never wait.
    """

    url: str
    patience: float = PATIENCE

    def add(self, name: str, path: Path) -> None:
        """Upload a file under a new name. Raises FileExistsError if the name exists with other
        content.
        """
        tries = 0

        def put(system: Any, place: str) -> None:
            nonlocal tries
            tries += 1
            _put(system, path, place, is_new=True)

        try:
            self._call(name, put)
        except FileExistsError:
            # A put that succeeded, and whose answer was lost, is no conflict.
            if tries == 1 or self.peek(name) != peek(path):
                raise
        except FileNotFoundError as error:
            raise self._error(name, error) from error

    def peek(self, name: str) -> tuple[int, bytes] | None:
        """Return the length of an object and its first PEEK bytes, None if it does not exist."""

        def read_start(system: Any, place: str) -> tuple[int, bytes]:
            size = int(system.size(place))
            return size, system.cat_file(place, start=0, end=min(size, PEEK)) if size else b""

        with suppress(FileNotFoundError):
            return self._call(name, read_start)
        return None

    def replace(self, name: str, path: Path) -> None:
        """Replace an object: the status, the only one that is ever replaced; readers see the old or
        the new one.
        """

        try:
            self._call(name, lambda system, place: _put(system, path, place), wait=False)
        except FileNotFoundError as error:
            raise self._error(name, error) from error

    def get(self, name: str, path: Path, *, wait: bool = False) -> bool:
        """Download an object to *path*; return False if it does not exist. With *wait* it waits as
        a writer does.
        """
        try:
            self._call(name, lambda system, place: system.get_file(place, str(path)), wait=wait)
        except (FileNotFoundError, JournalWriteError) as error:
            path.unlink(missing_ok=True)
            if isinstance(error, JournalWriteError):
                raise
            return False
        return True

    def names(self, folder: str, *, wait: bool = False) -> list[str]:
        """Return the names in a folder, sorted. With *wait* it waits as a writer does."""

        def listed(system: Any, place: str) -> list[str]:
            system.invalidate_cache()
            return sorted(str(path).rpartition("/")[2] for path in system.ls(place, detail=False))

        with suppress(FileNotFoundError):
            return self._call(folder, listed, wait=wait)
        return []

    def _call(self, name: str, call: Callable[[Any, str], T], *, wait: bool = True) -> T:
        """Call *call* with the file system and the place of *name*; with *wait* again, with growing
        pauses, while it is unavailable, up to *patience* seconds. Raises FileExistsError and
        FileNotFoundError of the store as they are, any other error of it as JournalWriteError.
        """
        system, root = _system(self.url)
        outage = Outage("object store does not answer; retrying", "object store answers again")
        end, pause = monotonic() + (self.patience if wait else -1), 0.5
        while True:
            try:
                result = call(system, f"{root}/{name}")
            except (FileExistsError, FileNotFoundError):
                raise
            except Exception as error:
                if not _is_store_error(error):
                    raise
                is_final = isinstance(error, PermissionError | NotADirectoryError)
                if is_final or monotonic() + pause > end:
                    raise self._error(name, error) from error
                outage.failed(" ".join(str(error).split()), store=self.url)
            else:
                outage.over(store=self.url)
                return result
            sleep(pause)
            pause = min(pause * 2, 5.0)

    def _error(self, name: str, error: Exception) -> JournalWriteError:
        message = (
            "object store %(url)s: cannot read or write %(name)s: %(error)s; check that it answers, "
            "then run again"
        )
        if isinstance(error, PermissionError):
            message = (
                "object store %(url)s: cannot read or write %(name)s: %(error)s; give these keys the "
                "permission to list, read and write there, then run again"
            )
        elif isinstance(error, FileNotFoundError):
            message = (
                "object store %(url)s: cannot read or write %(name)s: %(error)s; create the bucket "
                "first, then run again"
            )
        return JournalWriteError(message, url=self.url, name=name, error=error)


def peek(path: Path) -> tuple[int, bytes]:
    """Return the length of a file and its first PEEK bytes, to compare with ``Store.peek``."""
    with path.open("rb") as file:
        return path.stat().st_size, file.read(PEEK)


def _is_store_error(error: Exception) -> bool:
    """Return whether an error is one of the store, and no bug of ours. The classes of its errors are
    known only if its package is installed.
    """
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _THEIRS


def _put(system: Any, path: Path, name: str, *, is_new: bool = False) -> None:
    """Upload a file; raises FileExistsError if the name *is_new* and exists. A system without
    conditional put gets it under a temporary name, from which it is moved.
    """
    if system.async_impl:
        system.put_file(str(path), name, mode="create" if is_new else "overwrite")
        return
    system.makedirs(name.rpartition("/")[0], exist_ok=True)
    part = f"{name}.{path.name}.part"
    system.put_file(str(path), part)
    try:
        if is_new and system.exists(name):
            raise FileExistsError(name)
        system.mv(part, name)
    finally:
        with suppress(FileNotFoundError):
            system.rm_file(part)


@cache
def _system(url: str) -> tuple[Any, str]:
    fsspec = import_module("fsspec")  # late: few journals are in a store
    options = (
        {"use_listings_cache": False, "skip_instance_cache": True} if url.startswith("s3:") else {}
    )
    try:
        system, root = fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise JournalError(
            f"the store {url!r} cannot be used: {error}; for s3:// pip install 'stocktake[s3]'"
        ) from error
    return system, root.rstrip("/")


def read_store(folder: Path, patience: float = PATIENCE) -> Store | None:
    """Return the object store of the journal in *folder*, None if the folder itself is the journal."""
    try:
        return Store(json.loads((folder / NAME).read_bytes())["url"], patience)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(
            f"{folder / NAME} cannot be read ({error}); set STOCKTAKE_OBJECT_STORE_URL again, or remove it"
        ) from error


def bind_replica(folder: Path, url: str) -> None:
    """Record that the journal in *folder* is a copy of the one in the store at *url*; raises
    JournalError if it belongs to another one.
    """
    known = read_store(folder)
    if known and known.url != url.rstrip("/"):
        raise JournalError(
            f"{folder} is a copy of the journal in {known.url}, not in {url}; use another data folder"
        )
    if known is None:
        if any(folder.glob("*.gz")):
            remedy = f"copy its entries to {url}/journal, then use an empty data folder"
            raise JournalError(f"{folder} has a journal of its own; {remedy}")
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / NAME, json.dumps({"url": url.rstrip("/")}))


_FORBID = ConfigDict(extra="forbid")


@with_config(_FORBID)
@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """An entry of the origin that failed a check of the mirror, at *time* (UTC), for *reason*.

    *file* is its path in quarantine, in the data folder; *etag* is its ETag at the origin, None if
    it sent none.
    """

    number: int
    reason: str
    time: str
    file: str
    etag: str | None = None


@with_config(_FORBID)
@dataclass(frozen=True, slots=True)
class Origin:
    """The Stocktake at *url* whose IRIs begin with *base*.

    *head* is the number of its newest entry at the last request, at *checked* (UTC, "" before the
    first answer); *error* is why the mirror could not follow it then, "" if it could. *refused* is
    the entry that failed a check, None if there is none.
    """

    url: str
    base: str
    head: int = 0
    checked: str = ""
    error: str = ""
    refused: RefusedEntry | None = None


_ORIGIN = TypeAdapter(Origin)


def read_origin(folder: Path) -> Origin | None:
    """Return the origin of the journal in *folder*, None if the journal is not a mirror; raises
    JournalError if the file is invalid.
    """
    try:
        return _ORIGIN.validate_json((folder / ORIGIN).read_bytes(), strict=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise JournalError(
            f"{folder / ORIGIN} cannot be read ({problem}); write it again with stocktake mirror URL, or remove it"
        ) from error


def write_origin(folder: Path, origin: Origin) -> None:
    replace_file(folder / ORIGIN, json.dumps(asdict(origin)))
