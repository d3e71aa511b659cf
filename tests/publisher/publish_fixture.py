"""A publisher in a process of its own, over each kind of store, for tests that only read."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import httpx
import pytest
from live_server import PATIENCE, served
from processes import Process
from small_world import RELEASED
from waiting import wait_until, wait_until_async

from benchmarks.columns import missing, started
from journal.journal import Journal
from publisher.data.tables import FacetIndex
from publisher.history.change_reader import History
from publisher.store.changes import JournalReader
from publisher.store.columns.database import FILE, ColumnUpdater
from publisher.store.query_service import QueryService
from publisher.store.verification import build_local
from vocab.iris import Iris

STORES = ("own", "oxigraph", "virtuoso")
HOST = "stocktake.test"
IRIS = Iris()


def copy_data(data: Path, folder: Path, *more: str) -> Path:
    """Copy the journal and the status of the data folder *data*, and of its other folders those in
    *more*; return *folder*.
    """
    for name in ("journal", *more):
        shutil.copytree(data / name, folder / name)
    if (data / "status.nq").exists():
        shutil.copy(data / "status.nq", folder)
    return folder


def move_on(data: Path, number: int = 1) -> None:
    """Append an entry with one statement to the journal of *data*."""
    row = f'A <https://x.org/s> <https://x.org/p> "{number}" <https://x.org/g> .'
    Journal(data / "journal").append([row], run=f"more-{number}", time=RELEASED)


def derive(data: Path) -> None:
    """Create the store and the indexes that the publisher derives from the journal of *data*."""
    build_local(data, IRIS)
    asyncio.run(_completed(data))


def read_journal(data: Path, appeared: int = 0) -> History:
    """Bring the columns level with the journal of *data*, and return the history in them."""
    journal, folder = Journal(data / "journal"), data / "store" / "columns"
    assert journal.head is not None
    with closing(ColumnUpdater(folder, JournalReader(journal, IRIS.base))) as updater:
        for _ in updater.advance(journal.head.number, journal.head.id):
            pass
        copy = Path(mkdtemp(dir=data)) / "columns"
        updater.write(copy)
    return History(FacetIndex(copy / FILE), appeared, IRIS.base)


async def _completed(data: Path) -> None:
    async with QueryService(data, IRIS, readers=1) as building:
        positions = building.follower.projections
        await wait_until_async(
            lambda: _is_complete(building),
            "all projections of the world",
            output=lambda: f"{positions}",
        )


def _is_complete(service: QueryService) -> bool:
    """Return whether the snapshot that *service* shows has all indexes at the last entry."""
    snapshot, head = service.snapshot, service.journal.head
    if snapshot is None or head is None:
        return False
    return {snapshot.position, snapshot.text, snapshot.columns} == {head.number}


@contextmanager
def published(
    store: str, data: Path, folder: Path, settings: dict[str, str] | None = None
) -> Iterator[str]:
    """Serve a copy of *data* in *folder* over the kind of store *store*, which is empty at first if
    it is external; yield the URL once the store is current.
    """
    limits = "budget=0, each=0, seconds=240, wait=240"
    result = {"STOCKTAKE_QUERY_LIMITS": limits, "STOCKTAKE_PUBLIC_URL": f"http://{HOST}"} | (
        settings or {}
    )
    stored = ["store"] if store == "own" and (data / "store").exists() else []
    copied = copy_data(data, folder / "data", *stored)
    if store == "own":
        with served(copied, result) as url:
            settle(url)
            yield url
        return
    if why := missing(store):
        pytest.skip(why)
    with (
        started(store, folder / "store", start=Process) as engine,
        served(copied, result | engine.address.environment()) as url,
    ):
        settle(url)
        yield url


def settle(url: str) -> None:
    """Wait until all entries of the journal are published, in the texts and tables too."""
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        wait_until(lambda: client.get("/health").json()["lag"] == 0, "the store to be level")
        for path in ("/search?q=network", "/search?q=network&format=json", "/oai?verb=ListSets"):
            wait_until(partial(is_ready, client, path), f"{path} to be ready")


def is_ready(client: httpx.Client, path: str) -> bool:
    return client.get(path, headers={"Accept": "text/html"}).status_code != 503


class Toward(httpx.AsyncBaseTransport):
    """Send the requests to HOST to the server at *url*, with the header Host unchanged."""

    def __init__(self, url: str) -> None:
        self._at, self._inner = httpx.URL(url), httpx.AsyncHTTPTransport(verify=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host=self._at.host, port=self._at.port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def visiting(publisher: str | httpx.AsyncBaseTransport) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a publisher, at a URL or in this process, that follows no redirect."""
    transport = Toward(publisher) if isinstance(publisher, str) else publisher
    async with httpx.AsyncClient(
        transport=transport, base_url=f"http://{HOST}", timeout=PATIENCE
    ) as client:
        yield client
