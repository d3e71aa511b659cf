"""Open snapshots of releases for queries; build missing stores in a subprocess, one release at a
time.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import structlog

from languages.translations import TranslatableText
from publisher.errors import NotReady, ReleaseNotFound, StoreFailure, Withdrawn
from publisher.store.cache import Cache
from publisher.store.process import command, environment
from publisher.store.releases.manifest import Release, get_release
from publisher.store.releases.release_stores import find_store
from publisher.store.snapshots import Snapshot

CACHE_BYTES = 32 << 20  # of cached responses of all releases
_WAIT = 8.0  # seconds that a query waits for the store of its release

log = structlog.get_logger(component="releases")


class OpenReleases:
    """The releases under *data*. Workers open one for a single query and then return to the current
    snapshot.
    """

    def __init__(self, data: Path, base: str) -> None:
        self.cache = Cache(CACHE_BYTES)
        self._data, self._base = data, base
        self._builds: dict[int, asyncio.Task[None]] = {}
        self._build_lock = asyncio.Semaphore(1)

    def release(self, number: int) -> Release:
        """Return release *number*; raise ReleaseNotFound if there is none, Withdrawn if its files
        were removed.
        """
        release = get_release(self._data / "releases", number)
        if release is None:
            raise ReleaseNotFound(
                TranslatableText(
                    "there is no release {number}; /releases/ lists them", number=number
                )
            )
        if release.withdrawn:
            day = release.withdrawn
            raise Withdrawn(
                TranslatableText(
                    "release {number} was kept until {day}; /release/{number} has its numbers, /releases/ newer ones",
                    number=number,
                    day=day,
                )
            )
        return release

    async def open(self, number: int) -> Snapshot:
        """Return the snapshot of release *number*.

        Raises ReleaseNotFound, Withdrawn, and NotReady while its store is being built.
        """
        release = await asyncio.to_thread(self.release, number)
        if snapshot := find_store(self._data, release):
            return snapshot
        build = self._builds.get(number)
        if build is None:
            build = self._builds[number] = asyncio.create_task(self._build(number))
            build.add_done_callback(lambda _: self._builds.pop(number, None))
        await asyncio.wait([build], timeout=_WAIT)
        if snapshot := find_store(self._data, release):
            return snapshot
        if build.done():
            raise StoreFailure(f"release {number} could not be loaded for queries; see the log")
        raise NotReady(
            TranslatableText(
                "release {number} is being loaded for queries; try again in a moment", number=number
            )
        )

    async def _build(self, number: int) -> None:
        module = "publisher.store.releases.release_stores"
        line = command(module, str(self._data), str(number), self._base, str(os.getpid()))
        async with self._build_lock:
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
            log.error("release store could not be built", release=number, code=code)

    async def close(self) -> None:
        """Cancel the builds that are running."""
        for task in list(self._builds.values()):
            task.cancel()
        await asyncio.gather(*self._builds.values(), return_exceptions=True)
