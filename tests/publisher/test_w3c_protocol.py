"""The W3C SPARQL 1.1 Protocol tests of queries are run from their manifest; updates are refused.

The manifest's requests are sent unchanged except for their path: ``/sparql/`` becomes ``/sparql``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from column_store import create_unmerged_snapshot
from protocol_requests import Exchange, Step, exchanges
from pyoxigraph import NamedNode, QueryResultsFormat, RdfFormat, Store, parse_query_results
from w3c_suite import SUITE

from publisher.app import create_app
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from web.respond import GRAPHS, TABLES, media_types

MANIFEST = SUITE / "protocol" / "manifest.ttl"
# Older versions of the suite describe the requests in comments only, so their tests have no steps.
ALL = [item for item in exchanges(MANIFEST) if item.steps] if SUITE.exists() else []
UPDATES = [item for item in ALL if "update" in item.name]
QUERIES = [item for item in ALL if "update" not in item.name]
KINDS = {
    "boolean": [name for row in TABLES.values() if row.suffix in ("json", "xml") for name in media_types(row)],
    "tabular": [name for row in TABLES.values() for name in media_types(row)],
    "RDF": [name for row in GRAPHS.values() for name in media_types(row)],
}  # fmt: skip

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a store with all graphs that the tests name."""
    data = tmp_path_factory.mktemp("protocol")
    store = Store(str(data / "store"))
    for name, file in {
        name: file for item in QUERIES for name, file in item.graphs.items()
    }.items():
        store.load(path=str(file), format=RdfFormat.N_TRIPLES, to_graph=NamedNode(name))
    create_unmerged_snapshot(data / "store" / "snapshots", store, 1)
    service = QueryService(data, Iris(), Limits(), readers=1, follow=False)
    app = create_app(service)
    async with (
        service,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://www.example"
        ) as opened,
    ):
        yield opened


async def test_each_of_the_manifests_tests_is_run() -> None:
    if not ALL:
        pytest.skip(f"no W3C SPARQL suite with requests at {SUITE}")

    assert (len(QUERIES), len(UPDATES)) == (20, 14)


@pytest.mark.suite("w3c-sparql11")
@pytest.mark.parametrize("exchange", QUERIES, ids=lambda item: item.name)
async def test_the_endpoint_keeps_the_protocol(
    exchange: Exchange, client: httpx.AsyncClient
) -> None:
    for step in exchange.steps:
        await _take(client, step)
    assert exchange.steps


@pytest.mark.parametrize(
    "exchange",
    [item for item in UPDATES if item.name.startswith("update")],
    ids=lambda item: item.name,
)
async def test_the_public_endpoint_takes_no_update(
    exchange: Exchange, client: httpx.AsyncClient
) -> None:
    answer = await _send(client, exchange.steps[0])

    assert answer.status_code == 403
    assert "published data changes by harvests only" in answer.json()["detail"]


async def _take(client: httpx.AsyncClient, step: Step) -> None:
    answer = await _send(client, step)
    kind = answer.headers.get("content-type", "").partition(";")[0]

    assert str(answer.status_code).startswith(step.status), answer.text
    if step.kind:
        assert kind in KINDS[step.kind]
    if step.boolean is not None:
        form = QueryResultsFormat.from_media_type(kind)
        assert form
        assert bool(parse_query_results(answer.content, form)) is step.boolean


async def _send(client: httpx.AsyncClient, step: Step) -> httpx.Response:
    return await client.request(
        step.method,
        step.path.replace("/sparql/", "/sparql", 1),
        content=step.body,
        headers={"Accept": "*/*", **step.headers},
    )
