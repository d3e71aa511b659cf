"""Snapshots of releases for queries; a missing store is built in a subprocess, one release at a time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import structlog

from publisher.errors import NotReady, ReleaseNotFound, StoreFailure, Withdrawn
from publisher.search.index import is_current
from publisher.store.cache import Cache
from publisher.store.process import command, environment
from publisher.store.releases.manifest import Release, get_release
from publisher.store.releases.release_stores import find_store, store_folder
from publisher.store.snapshots import Snapshot

ROOM = 32 << 20  # bytes of answers of all releases that are kept
_WAIT = 8.0  # seconds that a question waits for its release to be loaded for queries

log = structlog.get_logger(component="releases")


class OpenReleases:
    """The releases under *data*; none is held open: a reader opens one for a question and then goes back to the newest state."""

    def __init__(self, data: Path, base: str) -> None:
        self.cache = Cache(ROOM)
        self._data, self._base = data, base
        self._making: dict[tuple[int, bool], asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(1)

    def release(self, number: int) -> Release:
        """Return release *number*; raise ReleaseNotFound where there is none, Withdrawn where its files are no longer kept."""
        wanted = get_release(self._data / "releases", number)
        if wanted is None:
            raise ReleaseNotFound(f"there is no release {number}; /releases/ lists them")
        if wanted.withdrawn:
            raise Withdrawn(f"release {number} was kept until {wanted.withdrawn}; /release/{number} has its numbers, /releases/ newer ones")
        return wanted

    async def at(self, number: int, texts: bool = False) -> Snapshot:
        """Return the snapshot of release *number*, with its search index if *texts*.

        Raises ReleaseNotFound, Withdrawn, and NotReady while it is loaded for queries.
        """
        release = await asyncio.to_thread(self.release, number)
        if snapshot := self._there(release, texts):
            return snapshot
        making = self._making.get((number, texts))
        if making is None:
            making = self._making[number, texts] = asyncio.create_task(self._shelve(release, texts))
            making.add_done_callback(lambda _: self._making.pop((number, texts), None))
        await asyncio.wait([making], timeout=_WAIT)
        if snapshot := self._there(release, texts):
            return snapshot
        if making.done():
            raise StoreFailure(f"release {number} could not be loaded for queries; the log tells why")
        raise NotReady(f"release {number} is being loaded for queries; ask again in a moment")

    def _there(self, release: Release, texts: bool) -> Snapshot | None:
        snapshot = find_store(self._data, release)
        return snapshot if snapshot and (not texts or is_current(store_folder(self._data, release.number) / "text")) else None

    async def _shelve(self, release: Release, texts: bool) -> None:
        more = [str(os.getpid()), *(["texts"] if texts else [])]
        line = command("publisher.store.releases.release_stores", str(self._data), str(release.number), self._base, *more)
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                *line, stdin=asyncio.subprocess.DEVNULL, env=environment(), start_new_session=True
            )
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                process.kill()
                await process.wait()
                raise
        if code:
            log.error("release store could not be built", release=release.number, code=code)

    async def close(self) -> None:
        """Cancel the builds that are running."""
        for task in list(self._making.values()):
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)
