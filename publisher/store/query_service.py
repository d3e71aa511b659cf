"""Answer queries from the newest snapshot of the store."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import duckdb
import structlog
from cachetools import LRUCache

from journal.errors import JournalError
from journal.files import SharedLock
from journal.journal import Journal
from journal.processes import preload
from journal.store import read_origin
from languages.translations import TranslatableText
from publisher.background import in_background
from publisher.data.tables import FacetIndex, open_facet_index
from publisher.errors import NotReady, StoreError
from publisher.limits import Limits
from publisher.rdf import Row, parse_rows
from publisher.store.external.client import StoreProbe, StoreURLs
from publisher.store.process import FOLLOWER, FollowerProcess
from publisher.store.releases import OpenReleases, discard_damaged_stores
from publisher.store.snapshots import Snapshot, newest_snapshot
from publisher.store.verification import first_fault
from publisher.store.workers.pool import READER, Answer, Pool, RateLimiter
from publisher.store.workers.query_request import QueryRequest
from vocab.iris import Iris

log = structlog.get_logger(component="store")

REMOTE = "publisher.store.external.query"
POLL_INTERVAL = 0.2  # seconds between checks for a new snapshot
_CachedQuery = tuple[str, tuple[tuple[str, str], ...], str]  # text, bindings and folder
LAG_INTERVAL = 1.0  # seconds between counts of the unpublished journal entries
CHECK_INTERVAL = 30.0  # seconds between checks of the snapshot's files after failures
CACHED = 2_000  # results of internal queries that are cached until the snapshot changes


@cache
def query(name: str) -> str:
    """Return one of the SPARQL queries of the pages, in which values are bound, never pasted."""
    return (Path(__file__).with_name("queries") / f"{name}.rq").read_text()


def utc_now() -> datetime:
    """Return the time in UTC, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


class QueryService:
    """Follow the journal under *data* and answer queries from its newest snapshot. Use it as an
    async context manager.

    The store is embedded, or external if *elsewhere* has its URLs.
    *readers* is the number of workers, None for one per core. With *follow* False no process
    updates the store. *now* is the clock that pages compare times with.
    """

    def __init__(
        self,
        data: Path,
        iris: Iris,
        limits: Limits | None = None,
        *,
        readers: int | None = None,
        follow: bool = True,
        elsewhere: StoreURLs | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.data, self.iris, self.now = data, iris, now
        self.journal = Journal(data / "journal")
        self.limits = limits or Limits()
        self.snapshot: Snapshot | None = None
        # The number of unpublished journal entries, at most a second old; in a mirror also of those
        # that are not copied yet.
        self.behind = 0
        # The number of these that will be published: 0 if a mirror refused the next one.
        self.awaited = 0
        self.releases = OpenReleases(data, iris.base)
        folder = data / "store" / (elsewhere.folder if elsewhere else "")
        self._snapshots = folder / "snapshots"
        self.rate_limiter = RateLimiter(self.limits, time.monotonic)
        external = elsewhere.environment() if elsewhere else None
        cores, module = readers or os.cpu_count() or 1, REMOTE if elsewhere else READER
        self.pool = Pool(cores, self.limits, self.rate_limiter, module, external)
        self.follower = FollowerProcess(data, folder, iris, external)
        self.probe = (
            StoreProbe(elsewhere.query, self.journal, lambda: self.snapshot) if elsewhere else None
        )
        self._follow = follow
        # By folder: during a switch of snapshots, responses come from both.
        self._recent_snapshots: dict[str, Snapshot] = {}
        self._refresh_lock, self._check_lock = asyncio.Lock(), asyncio.Lock()
        self._damage = ""
        self._checked_at = -CHECK_INTERVAL  # seconds of time.monotonic()
        self._open = AsyncExitStack()
        self._answers: LRUCache[_CachedQuery, list[Row]] = LRUCache(CACHED)

    async def __aenter__(self) -> QueryService:
        if self._follow:
            preload(FOLLOWER)
        for part in (self.pool, self.releases):
            self._open.push_async_callback(part.close)
        await self._try_refresh()
        for work in (
            self._watch(),
            self._update_lag(),
            self.probe.run() if self.probe else None,
            self.follower.run() if self._follow else None,
        ):
            await self._open.enter_async_context(in_background(work))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def wait_until_current(self, *, is_indexed: bool = False) -> Snapshot:
        """Wait until every journal entry is published, with *is_indexed* in the indexes too; return
        the snapshot.
        """
        while (
            self.snapshot is None
            or (is_indexed and not self.snapshot.is_indexed)
            or await asyncio.to_thread(lambda: self.lag > 0)
        ):
            await asyncio.sleep(POLL_INTERVAL)
        return self.current

    @property
    def current(self) -> Snapshot:
        """Return the current snapshot; raise NotReady before the first."""
        if self.snapshot is None:
            raise NotReady(self.starting)
        return self.snapshot

    @property
    def tables(self) -> FacetIndex:
        """Return the tables of the current snapshot. Only that of an external store may not have
        them yet: raises NotReady while they are built.
        """
        if (tables := open_facet_index(self.current.path)) is None:
            raise NotReady(
                TranslatableText("the charts and lists are being prepared; try again in a minute")
            )
        return tables

    @property
    def published(self) -> Snapshot | None:
        """Return the current snapshot, whose last entry is the newest published one; None before
        the first entry.
        """
        return self.snapshot if self.snapshot and self.snapshot.position else None

    async def find_damage(self) -> str:
        """Verify the files of the current snapshot, of the one before, which a query that failed may
        have read, and of the stores of releases after a failure; return the first damaged file, ""
        if there is none. The files are read at most once in ``CHECK_INTERVAL`` seconds and snapshot.
        """
        async with self._check_lock:
            if time.monotonic() - self._checked_at <= CHECK_INTERVAL:
                return self._damage
            paths = list(map(Path, self._recent_snapshots))
            faults = [await asyncio.to_thread(first_fault, path) for path in paths]
            fault = next(filter(None, faults), "")
            released = await asyncio.to_thread(discard_damaged_stores, self.data)
            if fault:
                log.error("files are damaged; rebuilding them from the journal", fault=fault)
                self.follower.request_check()
            if released:
                log.error(
                    "files of a release are damaged; its store is rebuilt when it is next queried",
                    fault=released,
                )
            self._damage, self._checked_at = fault or released, time.monotonic()
            return self._damage

    def snapshot_of(self, answer: Answer) -> Snapshot | None:
        """Return the snapshot that *answer* was computed from, None if it was replaced twice since."""
        return self._recent_snapshots.get(answer.snapshot)

    @property
    def is_consistent(self) -> bool:
        """Return whether queries read one state; an external store may contain part of an entry
        that is being applied.
        """
        return self.snapshot is not None and not self.snapshot.applying

    @property
    def starting(self) -> str:
        """Return why there is no snapshot yet, "" once there is one."""
        return (
            ""
            if self.snapshot
            else self.follower.reason
            or TranslatableText("the journal is being loaded into the store")
        )

    @property
    def store_failure(self) -> str:
        """Return why the external store cannot answer, or not with all that is published, by its
        last probe; "" if it can or if the store is embedded.
        """
        return self.probe.failure if self.probe else ""

    @property
    def lag(self) -> int:
        """Count the unpublished journal entries. Call it in a thread: it may access a shared
        journal over the network.
        """
        head = self.journal.head
        return (head.number if head else 0) - (self.snapshot.position if self.snapshot else 0)

    async def query(
        self, request: QueryRequest, seconds: float | None = None, client: str = ""
    ) -> Answer:
        """Run a query for *client*, whose quota it uses; *seconds* may shorten the time limit.
        Raises PublisherError.
        """
        self._refuse_foreign_store()
        return await self.pool.ask(request, seconds, client)

    async def check(self, request: QueryRequest) -> None:
        """Raise QueryError if *request* is not a valid query; nothing is evaluated."""
        await self._complete_result(replace(request, check=True))

    async def release(self, release: int, *, texts: bool) -> Snapshot:
        """Return the snapshot of a release, with its search index if *texts*. Raises ReleaseError
        and NotReady.
        """
        return await self.releases.open(release, texts=texts)

    async def rows(
        self, query: str, bindings: Mapping[str, str] | None = None, folder: str = ""
    ) -> list[Row]:
        """Run an internal query and return its rows, cached until the snapshot changes.

        *bindings* are N-Triples terms by variable, which must be in the projection. *folder* is
        that of a release's store, "" the current snapshot's.
        """
        key = (query, tuple(sorted((bindings or {}).items())), folder)
        if (cached := self._answers.get(key)) is not None:
            return cached
        snapshot = self.snapshot
        # All queries of a page go to one snapshot.
        path = folder or (snapshot.path if snapshot else "")
        request = QueryRequest(
            query, base=self.iris.base, bindings=dict(bindings or {}), snapshot=path
        )
        rows = parse_rows(await self._complete_result(request))
        if snapshot is self.snapshot:
            self._answers[key] = rows
        return rows

    async def graph(self, query: str, suffix: str) -> bytes:
        """Run an internal CONSTRUCT query and return the graph in the format of *suffix*."""
        return await self._complete_result(QueryRequest(query, graph=suffix, base=self.iris.base))

    async def query_internal(self, request: QueryRequest) -> tuple[bytes, Snapshot | None]:
        """Run a large internal query; return the complete result and its snapshot (as
        ``snapshot_of``). It is not cached.
        """
        self._refuse_foreign_store()
        with closing(await self.pool.ask(request)) as answer:
            return b"".join([chunk async for chunk in answer.chunks()]), self.snapshot_of(answer)

    def _refuse_foreign_store(self) -> None:
        """Raise NotReady if the external store follows another journal."""
        if self.probe and self.probe.is_foreign:
            raise NotReady(self.probe.failure)

    async def _complete_result(self, request: QueryRequest) -> bytes:
        return (await self.query_internal(request))[0]

    async def refresh(self) -> None:
        """Switch to the newest snapshot now; the service also does so by itself every POLL_INTERVAL
        seconds.
        """
        # Without the lock, a call that began earlier could switch back to an older snapshot.
        async with self._refresh_lock:
            snapshot = newest_snapshot(self._snapshots)
            if snapshot is None or snapshot == self.snapshot:
                return
            self._recent_snapshots = {item.path: item for item in (self.snapshot, snapshot) if item}
            # Two newer snapshots may appear, and this one be removed, before a worker has opened it.
            with closing(SharedLock(snapshot.path)):
                # Reading the bitmaps of a million things takes a second, for which no request should
                # wait.
                with suppress(duckdb.Error):  # a page that needs a damaged file says so
                    await asyncio.to_thread(open_facet_index, snapshot.path)
                await self.pool.switch_snapshot(snapshot.path)
            self._answers.clear()
            self.snapshot, self._checked_at = snapshot, -CHECK_INTERVAL
        await self._count_lag()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            await self._try_refresh()

    async def _try_refresh(self) -> None:
        """Switch to the newest snapshot; log it if that fails: the follower process rebuilds what
        is damaged.
        """
        try:
            await self.refresh()
        except (StoreError, OSError, ValueError) as error:
            log.error("snapshot could not be loaded", error=str(error))

    async def _update_lag(self) -> None:
        while True:
            await self._count_lag()
            await asyncio.sleep(LAG_INTERVAL)

    async def _count_lag(self) -> None:
        snapshot = self.snapshot
        with suppress(JournalError, OSError):
            origin = await asyncio.to_thread(read_origin, self.journal.folder)
            lag = max(0, await asyncio.to_thread(lambda: self.lag))
            if snapshot is self.snapshot:  # else the counts belong to the previous snapshot
                uncopied = origin.head - snapshot.position if origin and snapshot else 0
                self.behind = max(lag, uncopied)
                self.awaited = 0 if origin and origin.refused and not lag else self.behind
