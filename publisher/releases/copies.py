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
from functools import partial
from http import HTTPStatus
from pathlib import Path

import httpx
import structlog

from journal import mirror_origin
from journal.errors import ChainError, JournalError
from journal.journal import Journal
from journal.store import Store, read
from publisher.background import in_background
from publisher.errors import ReleaseError
from publisher.releases.builder import build_lock
from publisher.releases.signature import PUBLIC, SUFFIX, SUMS, sha256_of
from publisher.store.releases.manifest import MANIFEST, Release, newest_release, read_manifest
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
    elsewhere = read(data / "journal") or mirror_origin.read(data / "journal")
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
    origin = mirror_origin.read(data / "journal")
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
    return _copy_all(data, partial(_copy_from_origin, data, f"{url}releases/", client))


def download(data: Path) -> list[int]:
    """Download the releases that other machines built since ours from the object store, if there is
    one; return their numbers.

    Raises ReleaseError while a release is being built here.
    """
    store = read(data / "journal")
    if store is None:
        return []
    downloaded = _copy_all(data, partial(_copy_from_store, store))
    if downloaded and not (public := data / "signing" / PUBLIC).exists():
        public.parent.mkdir(exist_ok=True)
        store.get(f"{_PREFIX}/{PUBLIC}", public)
    return downloaded


def _copy_all(data: Path, copy: Callable[[int, Path], bool]) -> list[int]:
    """Copy the releases after our newest as long as *copy* has the one of a number; it writes the
    files into a folder.
    """
    releases = data / "releases"
    releases.mkdir(parents=True, exist_ok=True)
    with build_lock(releases):
        newest = newest_release(releases)
        first = number = newest.number + 1 if newest else 1
        part = releases / ".got"
        while True:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            if not copy(number, part):
                return list(range(first, number))
            part.rename(releases / str(number))
            number += 1


def _copy_from_origin(data: Path, url: str, client: httpx.Client, number: int, part: Path) -> bool:
    release_url = f"{url}{number}/"
    if not _download(client, release_url + MANIFEST, part / MANIFEST):
        return False
    release = read_manifest(part)
    if not _is_compatible(Journal(data / "journal"), release):
        return False
    names = [] if release.withdrawn else [*(file.name for file in release.files), SUMS, MANIFEST]
    for name in [*names, *(name + SUFFIX for name in names)]:
        if "/" in name or not _download(client, release_url + name, part / name):
            raise ChainError(f"release {number} of {url} lacks {name}; it is not copied")
    _verify(part, release)
    (data / "signing").mkdir(exist_ok=True)
    _download(client, url + PUBLIC, data / "signing" / PUBLIC)
    return True


def _is_compatible(journal: Journal, release: Release) -> bool:
    """Return whether the journal has the entry of a release; raises ChainError if it has another
    entry of that number.
    """
    entry = journal.entry(release.position)
    if entry and entry.id != release.entry:
        raise ChainError(
            f"release {release.number} was built from entry {release.position} of another journal; it is not copied"
        )
    return entry is not None


def _verify(part: Path, release: Release) -> None:
    for file in () if release.withdrawn else release.files:
        if sha256_of(part / file.name) != file.sha256:
            raise ChainError(
                f"release {release.number}: {file.name} differs from its manifest; the release is not copied"
            )


def _download(client: httpx.Client, url: str, path: Path) -> bool:
    """Download a file; return False if it does not exist."""
    with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
        if response.status_code == HTTPStatus.NOT_FOUND:
            return False
        response.raise_for_status()
        with path.open("wb") as file:
            file.writelines(response.iter_bytes())
    return True


def _copy_from_store(store: Store, number: int, part: Path) -> bool:
    folder = f"{_PREFIX}/{number}"
    if not store.get(f"{folder}/{MANIFEST}", part / MANIFEST):
        return False
    for name in store.names(folder):
        if name not in (MANIFEST, _CLAIM):
            store.get(f"{folder}/{name}", part / name)
    missing = [file.name for file in read_manifest(part).files if not (part / file.name).exists()]
    if missing:
        raise ChainError(
            f"release {number} in {store.url} lacks {', '.join(missing)}; build it again"
        )
    return True


def upload(data: Path, number: int) -> None:
    """Upload release *number* to the object store, if there is one; complete an upload that a crash
    interrupted.

    Raises ReleaseError if another machine has built the same number.
    """
    store = read(data / "journal")
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
