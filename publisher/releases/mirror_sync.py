"""Copy the releases of a mirror's origin with their signatures. Each file is verified by its
manifest.

The folder gets its number when all files are there, so a release is always complete.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from http import HTTPStatus
from pathlib import Path

import httpx

from journal.errors import ChainError
from journal.journal import Journal
from publisher.releases.builder import SUMS, build_lock
from publisher.releases.signature import PUBLIC, SUFFIX
from publisher.store.releases.manifest import MANIFEST, Release, newest_release, read_manifest


async def fetch(data: Path, url: str, client: httpx.AsyncClient) -> list[int]:
    """Fetch the releases that the Stocktake at *url*, which ends with a slash, has built since our
    newest; return their numbers.

    A release whose entry is not copied yet is copied later. Raises ChainError if a file or the
    journal does not match the manifest, httpx.HTTPError if the origin does not answer, and
    ReleaseError while a release is being built here.
    """
    releases, fetched = data / "releases", list[int]()
    releases.mkdir(parents=True, exist_ok=True)
    with build_lock(releases):
        last = newest_release(releases)
        number = last.number + 1 if last else 1
        while await _fetch_release(data, f"{url}releases/", number, client):
            fetched.append(number)
            number += 1
    return fetched


async def _fetch_release(data: Path, url: str, number: int, client: httpx.AsyncClient) -> bool:
    part, release_url = data / "releases" / ".got", f"{url}{number}/"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    if not await _download(client, release_url + MANIFEST, part / MANIFEST):
        part.rmdir()
        return False
    release = await asyncio.to_thread(read_manifest, part)
    if not await asyncio.to_thread(_is_compatible, Journal(data / "journal"), release):
        return False
    names = [] if release.withdrawn else [*(file.name for file in release.files), SUMS, MANIFEST]
    for name in [*names, *(name + SUFFIX for name in names)]:
        if "/" in name or not await _download(client, release_url + name, part / name):
            raise ChainError(f"release {number} of {url} lacks {name}; it is not copied")
    await asyncio.to_thread(_verify, part, release)
    (data / "signing").mkdir(exist_ok=True)
    await _download(client, url + PUBLIC, data / "signing" / PUBLIC)
    part.rename(data / "releases" / str(number))
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
        with (part / file.name).open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
                raise ChainError(
                    f"release {release.number}: {file.name} differs from its manifest; the release is not copied"
                )


async def _download(client: httpx.AsyncClient, url: str, path: Path) -> bool:
    """Download a file; return False if it does not exist."""
    async with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
        if response.status_code == HTTPStatus.NOT_FOUND:
            return False
        response.raise_for_status()
        with path.open("wb") as file:
            async for chunk in response.aiter_bytes():
                await asyncio.to_thread(file.write, chunk)
    return True
