"""A real server stops queries that exceed its limits, and answers the others meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import uvicorn
from waiting import wait_until_async

from journal.journal import Journal
from publisher.app import create_app
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from vocab.iris import Iris

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
RUNAWAY = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
ENDLESS = "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
GREEDY = "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i } ORDER BY ?a ?d ?g"
SMALL = "SELECT * { ?s ?p ?o } LIMIT 1"
LIMITS = Limits(seconds=2, memory=1 << 30, rows=5_000)


class SignalFreeServer(uvicorn.Server):
    """A server that leaves the signals to the tests."""

    def install_signal_handlers(self) -> None:
        """Do nothing."""


@asynccontextmanager
async def serving(data: Path, limits: Limits) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a server of 3,000 statements with two readers."""
    rows = (
        f'A <https://x.org/s{n}> <https://x.org/p> "{n}" <https://x.org/g> .' for n in range(3_000)
    )
    Journal(data / "journal").append(rows, run="r", time=WHEN)
    service = QueryService(data, Iris(), limits, readers=2)
    running = SignalFreeServer(
        uvicorn.Config(create_app(service), port=0, log_level="critical", lifespan="on")
    )
    task = asyncio.create_task(running.serve())
    await wait_until_async(
        lambda: running.started or task.done(), "the server to start", pause=0.01
    )
    await service.wait_until_current()
    port = running.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=240) as client:
        yield client
    running.should_exit = True
    await task


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("limits")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(data: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(data, LIMITS) as client:
        yield client


async def ask(client: httpx.AsyncClient, query: str, **more: str) -> httpx.Response:
    return await client.get("/sparql", params={"query": query, **more})


async def test_a_runaway_is_stopped_at_its_limit_while_the_others_answer(
    server: httpx.AsyncClient,
) -> None:
    runaway = asyncio.create_task(ask(server, RUNAWAY))
    await asyncio.sleep(0)
    during = []
    while not runaway.done():
        during.append(await ask(server, SMALL))

    assert runaway.result().status_code == 504
    assert runaway.result().headers["content-type"] == "application/problem+json"
    assert "time limit" in runaway.result().json()["detail"]
    assert float(runaway.result().headers["stocktake-cost"]) >= LIMITS.seconds
    assert {answer.status_code for answer in during} == {200}


async def test_a_client_may_shorten_the_limit(server: httpx.AsyncClient) -> None:
    with_own = await ask(server, RUNAWAY, timeout="0.3")
    without = await ask(server, RUNAWAY)

    assert (with_own.status_code, without.status_code) == (504, 504)
    assert (
        0.3 <= float(with_own.headers["stocktake-cost"]) < float(without.headers["stocktake-cost"])
    )


async def test_after_runaways_the_server_still_answers(server: httpx.AsyncClient) -> None:
    stopped = await asyncio.gather(*(ask(server, RUNAWAY, timeout="0.3") for _ in range(5)))

    after = await ask(server, SMALL)

    assert {answer.status_code for answer in stopped} == {504}
    assert after.status_code == 200


async def test_a_greedy_query_is_stopped_at_the_memory_limit(server: httpx.AsyncClient) -> None:
    answer = await ask(server, GREEDY)

    after = await ask(server, SMALL)

    assert answer.status_code in (422, 504)  # A slow machine reaches the time limit first.
    assert after.status_code == 200


async def test_a_client_that_leaves_frees_its_reader(tmp_path: Path) -> None:
    # With these limits, only the client's leaving ends a query.
    unending = Limits(seconds=3600, wait=200, slow=0, budget=0)
    async with serving(tmp_path, unending) as server:
        for _ in range(4):
            with pytest.raises(httpx.ReadTimeout):
                await server.get("/sparql", params={"query": RUNAWAY}, timeout=0.5)

        after = await ask(server, SMALL)

    assert after.status_code == 200


async def test_a_new_entry_is_shown_while_the_server_runs(
    server: httpx.AsyncClient, data: Path
) -> None:
    before = await ask(server, "ASK { ?s <https://x.org/new> ?o }")

    Journal(data / "journal").append(
        ['A <https://x.org/s> <https://x.org/new> "1" <https://x.org/g> .'], run="r2", time=WHEN
    )

    async def is_shown() -> bool:
        result: bool = (await server.get("/health")).json()["position"] == 2
        return result

    await wait_until_async(is_shown, "entry 2 to be shown")
    after = await ask(server, "ASK { ?s <https://x.org/new> ?o }")

    assert (before.json()["boolean"], after.json()["boolean"]) == (False, True)
