"""Reading by the SPARQL 1.1 Graph Store Protocol: by its rules and by W3C's suite.

Since the endpoint refuses writing, the test itself writes into the store what the suite sends; what
the suite then reads is requested from the endpoint.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from column_store import create_unmerged_snapshot
from event_loops import session_loop
from protocol_requests import Exchange, Step, exchanges
from pyoxigraph import (
    CanonicalizationAlgorithm,
    Dataset,
    DefaultGraph,
    NamedNode,
    RdfFormat,
    Store,
    parse,
)
from rows import each
from w3c_suite import SUITE, graph

from publisher.app import create_app
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from vocab.iris import BASE, Iris

pytestmark = pytest.mark.every_store

PLACE = "/rdf-graph-store"
GRAPH = f"{BASE}record/demo/1"
MANIFEST = SUITE / "graph-store-protocol" / "manifest-indirect.ttl"
EXCHANGES = list(exchanges(MANIFEST)) if MANIFEST.exists() else []


async def get(
    client: httpx.AsyncClient, method: str = "GET", accept: str = "*/*", **parameters: str
) -> httpx.Response:
    return await client.request(method, PLACE, params=parameters, headers={"Accept": accept})


@each("form", [RdfFormat.TURTLE, RdfFormat.N_TRIPLES, RdfFormat.RDF_XML, RdfFormat.JSON_LD])
async def test_a_named_graph_comes_whole_in_every_format(
    client: httpx.AsyncClient, form: RdfFormat
) -> None:
    direct = await client.get("/record/demo/1", headers={"Accept": "application/n-triples"})

    answer = await get(client, graph=GRAPH, accept=form.media_type)

    assert answer.headers["content-type"].startswith(form.media_type)
    assert graph(answer.content, form, BASE) == graph(direct.content, RdfFormat.N_TRIPLES, BASE)


async def test_the_default_graph_is_the_merge_of_all(client: httpx.AsyncClient) -> None:
    counted = await client.get(
        "/sparql", params={"query": "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }", "format": "csv"}
    )

    answer = await client.get(f"{PLACE}?default", headers={"Accept": "application/n-triples"})

    assert len(answer.text.splitlines()) == int(counted.text.split()[1])


async def test_head_matches_get_and_a_graph_that_the_client_holds_is_not_sent_again(
    client: httpx.AsyncClient,
) -> None:
    whole, head = await get(client, graph=GRAPH), await get(client, "HEAD", graph=GRAPH)
    again = await client.get(
        PLACE, params={"graph": GRAPH}, headers={"If-None-Match": whole.headers["etag"]}
    )

    for name in ("content-type", "content-length", "etag"):
        assert head.headers[name] == whole.headers[name]
    assert (head.content, again.status_code) == (b"", 304)


@each(
    "query, accept, status",
    [("", "*/*", 400), (f"graph={GRAPH}&default", "*/*", 400), ("graph=record/demo/1", "*/*", 400), ("graph=", "*/*", 400),
     ("graph=urn:a:b&graph=urn:c:d", "*/*", 400), ("graph=urn:no:graph", "*/*", 404), (f"graph={GRAPH}", "image/png", 406),
     (f"graph={GRAPH}&format=xls", "*/*", 406)],
)  # fmt: skip
async def test_what_names_no_one_graph_and_no_format_of_it_is_refused(
    client: httpx.AsyncClient, query: str, accept: str, status: int
) -> None:
    for method in ("GET", "HEAD"):
        answer = await client.request(method, f"{PLACE}?{query}", headers={"Accept": accept})
        assert answer.status_code == status, method


@each("method", ["PUT", "POST", "DELETE", "PATCH"])
@each(
    "place", [f"{PLACE}?default", f"{PLACE}?graph={GRAPH}", PLACE, "/record/demo/1", "/source/demo"]
)
async def test_writing_is_not_allowed(client: httpx.AsyncClient, method: str, place: str) -> None:
    answer = await client.request(
        method, place, content=b"<urn:s> <urn:p> 1 .", headers={"Content-Type": "text/turtle"}
    )

    assert (answer.status_code, {part.strip() for part in answer.headers["allow"].split(",")}) == (
        405,
        {"GET", "HEAD"},
    )


@each(
    "place",
    ["/record/demo/1", "/record/demo/a%2F1", "/source/demo", "/run/run-2", "/ns", "/scheme/action-line", "/matrix"],
)  # fmt: skip
async def test_a_document_is_the_graph_of_its_address(
    client: httpx.AsyncClient, place: str
) -> None:
    direct = await client.get(place, headers={"Accept": "application/n-triples"})
    head = await client.head(place, headers={"Accept": "application/n-triples"})

    indirect = await get(client, graph=BASE + place[1:], accept="application/n-triples")

    assert (direct.status_code, head.status_code, indirect.status_code) == (200, 200, 200)
    assert graph(direct.content, RdfFormat.N_TRIPLES, BASE) == graph(
        indirect.content, RdfFormat.N_TRIPLES, BASE
    )


@dataclass
class Written:
    """A store into which the test writes what the suite sends."""

    service: QueryService
    store: Store
    client: httpx.AsyncClient
    number: int = 0
    is_shown: bool = False

    def write(self, step: Step, place: str) -> None:
        query = parse_qs(
            urlsplit(step.path.replace("$LOCATION$", place)).query, keep_blank_values=True
        )
        name = (
            NamedNode(query["graph"][0])
            if "graph" in query
            else DefaultGraph()
            if "default" in query
            else NamedNode(place)
        )
        if step.method in ("PUT", "DELETE"):
            self.store.remove_graph(name) if isinstance(
                name, NamedNode
            ) else self.store.clear_graph(name)
        for text in _parts(step):
            self.store.load(text.encode(), RdfFormat.TURTLE, base_iri=place, to_graph=name)
        self.is_shown = False

    async def show(self) -> None:
        if self.is_shown:
            return
        self.number, self.is_shown = self.number + 1, True
        folder = self.service.data / "store" / "snapshots"
        create_unmerged_snapshot(folder, self.store, self.number)
        await self.service.refresh()


def _parts(step: Step) -> list[str]:
    """Return the Turtle documents of a body: one, none, or all parts of a multipart form."""
    if "multipart" not in "".join(step.headers.values()):
        return [step.body.decode()] if step.body else []
    boundary = next(value for value in step.headers.values() if "boundary" in value).partition(
        "boundary="
    )[2]
    parts = step.body.decode().replace("\r\n", "\n").split(f"--{boundary}")
    return [body for part in parts if (body := part.lstrip("\n").partition("\n\n")[2].strip())]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def written(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Written]:
    data = tmp_path_factory.mktemp("gsp")
    service = QueryService(data, Iris(), Limits(), readers=1, follow=False)
    async with (
        service,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(service)), base_url="http://www.example"
        ) as client,
    ):
        created = Written(service, Store(str(data / "store")), client)
        await created.show()
        yield created


async def test_each_of_the_suites_exchanges_is_run() -> None:
    if not MANIFEST.exists():
        pytest.skip(f"no tests of W3C's Graph Store Protocol at {MANIFEST}")

    assert len(EXCHANGES) == 9


@pytest.mark.suite("w3c-sparql11")
@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda item: item.name)
@session_loop
@pytest.mark.smoke
async def test_what_the_suite_reads_is_answered_as_it_wants(
    exchange: Exchange, written: Written
) -> None:
    written.store.clear()
    written.is_shown = False
    reads = 0

    for step in exchange.steps:
        if step.method not in ("GET", "HEAD"):
            written.write(step, "http://www.example/gsp/made")
            continue
        reads += 1
        await written.show()
        position = step.path.replace("/gsp", PLACE, 1).replace(
            "$LOCATION$", "http://www.example/gsp/made"
        )
        answer = await written.client.request(
            step.method, position, headers={"Accept": "*/*", **step.headers}
        )
        assert str(answer.status_code) in step.status
        assert {
            name: answer.headers[name] for name in step.expected_headers if name != "content-length"
        } == {
            name: value for name, value in step.expected_headers.items() if name != "content-length"
        }
        if step.graph is not None:
            assert _graph(answer.content) == _graph(step.graph.encode())
    assert reads


def _graph(data: bytes) -> Dataset:
    dataset = Dataset(parse(data, RdfFormat.TURTLE, base_iri="http://www.example/gsp/made"))
    dataset.canonicalize(CanonicalizationAlgorithm.UNSTABLE)
    return dataset
