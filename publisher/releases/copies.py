"""Copy releases between machines: a mirror copies those of its origin; through an object store the
machine that builds a release uploads it, and the others download it.

The folder of a release gets its number when all files are there, and the manifest is uploaded last,
so a release is always complete.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from http import HTTPStatus
from pathlib import Path

import httpx
import structlog

from journal.errors import ChainError, JournalError
from journal.journal import Journal
from journal.store import Store, read_origin, read_store
from publisher.background import in_background
from publisher.errors import ReleaseError
from publisher.releases.builder import build_lock
from publisher.releases.signature import PUBLIC, SECRET, SUFFIX, SUMS, sha256_of
from publisher.store.releases import MANIFEST, newest_release, read_manifest
from web.outbound_client import Deadline, GuardedTransport, create_client

_PREFIX = "releases"  # folder of the releases in a store
_CLAIM = "claim"
_POLL_INTERVAL = 20.0  # seconds between two checks for releases

log = structlog.get_logger(component="releases")


def follow_releases(
    data: Path, allow: frozenset[str] = frozenset()
) -> AbstractAsyncContextManager[None]:
    """Fetch the releases of other processes within the context, if releases are in an object store
    or the journal is a mirror's.

    *allow* are hosts that may be on a private network.
    """
    elsewhere = read_store(data / "journal") or read_origin(data / "journal")
    return in_background(_poll(data, allow) if elsewhere else None)


async def _poll(data: Path, allow: frozenset[str]) -> None:
    deadline = Deadline()
    try:
        while True:
            try:
                for number in await asyncio.to_thread(_fetch_new, data, allow, deadline):
                    log.info("release fetched", release=number)
            except (ReleaseError, JournalError, httpx.HTTPError) as error:
                log.warning("releases not fetched", reason=str(error))
            await asyncio.sleep(_POLL_INTERVAL)
    finally:
        deadline.start(0)  # It ends a download that is under way in its thread.


def _fetch_new(data: Path, allow: frozenset[str], deadline: Deadline) -> list[int]:
    origin = read_origin(data / "journal")
    if origin is None:
        return download(data)
    with create_client(GuardedTransport(allow, deadline)) as client:
        return fetch(data, origin.url, client)


def fetch(data: Path, url: str, client: httpx.Client) -> list[int]:
    """Fetch the releases that the Stocktake at *url*, which ends with a slash, has built since our
    newest; return their numbers.

    A release whose entry is not copied yet is copied later. Raises ChainError if a file or the
    journal does not match the manifest, httpx.HTTPError if the origin does not answer, and
    ReleaseError while a release is being built here.
    """
    return _copy_all(data, url, lambda name, path: _get(client, f"{url}{name}", path))


def download(data: Path) -> list[int]:
    """Download the releases that other machines built since ours from the object store, if there is
    one; return their numbers. Raises ChainError and ReleaseError as ``fetch`` does.
    """
    store = read_store(data / "journal")
    return _copy_all(data, store.url, store.get) if store else []


def _copy_all(data: Path, place: str, get: Callable[[str, Path], bool]) -> list[int]:
    """Copy the releases after our newest from *place* as long as there are any; *get* downloads a
    file by its name, and returns False if it does not exist.
    """
    releases, keys, journal = data / "releases", data / "signing", Journal(data / "journal")
    releases.mkdir(parents=True, exist_ok=True)
    with build_lock(releases):
        newest = newest_release(releases)
        first = number = newest.number + 1 if newest else 1
        part = releases / ".got"
        while True:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            if not _copy(journal, place, get, number, part):
                break
            part.rename(releases / str(number))
            number += 1
        if number > first and not (keys / SECRET).exists():
            keys.mkdir(exist_ok=True)
            get(f"{_PREFIX}/{PUBLIC}", keys / PUBLIC)
    return list(range(first, number))


def _copy(
    journal: Journal, place: str, get: Callable[[str, Path], bool], number: int, part: Path
) -> bool:
    """Copy a release into the folder *part*; return False if there is none, or if our journal
    does not have its entry yet.
    """
    folder = f"{_PREFIX}/{number}"
    release = read_manifest(part) if get(f"{folder}/{MANIFEST}", part / MANIFEST) else None
    entry = journal.entry(release.position) if release else None
    if release is None or entry is None:
        return False
    if entry.id != release.entry:
        raise ChainError(
            f"release {number} was built from entry {release.position} of another journal; it is not copied"
        )
    files = () if release.withdrawn else release.files
    names = [*(file.name for file in files), SUMS, MANIFEST] if files else []
    for name in [*names, *(name + SUFFIX for name in names)]:
        if "/" in name or not get(f"{folder}/{name}", part / name):
            raise ChainError(f"release {number} of {place} lacks {name}; it is not copied")
    for file in files:
        if sha256_of(part / file.name) != file.sha256:
            raise ChainError(
                f"release {number}: {file.name} differs from its manifest; the release is not copied"
            )
    return True


def _get(client: httpx.Client, url: str, path: Path) -> bool:
    with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
        if response.status_code == HTTPStatus.NOT_FOUND:
            return False
        response.raise_for_status()
        with path.open("wb") as file:
            file.writelines(response.iter_bytes())
    return True


def upload(data: Path, number: int) -> None:
    """Upload release *number* to the object store, if there is one; complete an upload that a crash
    interrupted.

    Raises ReleaseError if another machine has built the same number.
    """
    store = read_store(data / "journal")
    if store is None:
        return
    folder = data / "releases" / str(number)
    _claim(store, number, folder, data / "releases" / ".claim")
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    paths = {f"{_PREFIX}/{number}/{name}": folder / name for name in [*names, MANIFEST]}
    if (public := data / "signing" / PUBLIC).exists():
        paths = {f"{_PREFIX}/{PUBLIC}": public, **paths}
    for name, path in paths.items():
        with suppress(FileExistsError):
            store.add(name, path)


def _claim(store: Store, number: int, folder: Path, claim: Path) -> None:
    """Claim a release number by the hash of its manifest, before any file is uploaded."""
    digest = sha256_of(folder / MANIFEST)
    name = f"{_PREFIX}/{number}/{_CLAIM}"
    claim.write_text(digest)
    try:
        store.add(name, claim)
    except FileExistsError as error:
        store.get(name, claim)
        if claim.read_text() != digest:
            remedy = f"remove {folder} and run again: the other release is downloaded, and the next is built if anything changed"
            raise ReleaseError(
                f"release {number} was built on another machine at the same time; {remedy}"
            ) from error
    finally:
        claim.unlink(missing_ok=True)
