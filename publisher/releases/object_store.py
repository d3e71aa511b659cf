"""Share releases through the object store: the machine that builds one uploads it, the others
download it.

The manifest is uploaded last, so a release in the store is always complete.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import httpx
import structlog

from journal import mirror_origin
from journal.errors import ChainError, JournalError
from journal.store import Store, read
from publisher.background import in_background
from publisher.errors import ReleaseError
from publisher.releases import mirror_sync
from publisher.releases.builder import build_lock
from publisher.releases.signature import PUBLIC
from publisher.store.releases.manifest import MANIFEST, newest_release
from publisher.store.releases.manifest import read_manifest as manifest
from web.outbound_client import create_client

_PREFIX = "releases"  # folder of the releases in a store
_CLAIM = "claim"
_POLL_INTERVAL = 20.0  # seconds between two checks for releases

log = structlog.get_logger(component="releases")


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
    if (public := data / "signing" / PUBLIC).exists():
        with suppress(FileExistsError):
            store.add(f"{_PREFIX}/{PUBLIC}", public)
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    for name in [*names, MANIFEST]:
        try:
            store.add(f"{_PREFIX}/{number}/{name}", folder / name)
        except FileExistsError:
            continue


def _claim(store: Store, number: int, folder: Path, claim: Path) -> None:
    """Claim a release number by the hash of its manifest, before any file is uploaded."""
    digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
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
    async with create_client(allow) as client:
        while True:
            try:
                origin = mirror_origin.read(data / "journal")
                for number in await (
                    mirror_sync.fetch(data, origin.url, client)
                    if origin
                    else asyncio.to_thread(download, data)
                ):
                    log.info("release fetched", release=number)
            except (ReleaseError, JournalError, httpx.HTTPError) as error:
                log.warning("releases not fetched", reason=str(error))
            await asyncio.sleep(_POLL_INTERVAL)


def download(data: Path) -> list[int]:
    """Download the releases that other machines built since ours; return their numbers.

    Raises ReleaseError while a release is being built here.
    """
    store, downloaded = read(data / "journal"), list[int]()
    if store is None:
        return downloaded
    releases = data / "releases"
    releases.mkdir(parents=True, exist_ok=True)
    with build_lock(releases):
        last = newest_release(releases)
        number = last.number + 1 if last else 1
        while _download_release(store, number, releases):
            downloaded.append(number)
            number += 1
    if downloaded and not (public := data / "signing" / PUBLIC).exists():
        public.parent.mkdir(exist_ok=True)
        store.get(f"{_PREFIX}/{PUBLIC}", public)
    return downloaded


def _download_release(store: Store, number: int, releases: Path) -> bool:
    part = releases / ".got"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    if not store.get(f"{_PREFIX}/{number}/{MANIFEST}", part / MANIFEST):
        part.rmdir()
        return False
    for name in store.names(f"{_PREFIX}/{number}"):
        if name not in (MANIFEST, _CLAIM):
            store.get(f"{_PREFIX}/{number}/{name}", part / name)
    missing = [file.name for file in manifest(part).files if not (part / file.name).exists()]
    if missing:
        raise ChainError(
            f"release {number} in {store.url} lacks {', '.join(missing)}; build it again"
        )
    part.rename(releases / str(number))
    return True
