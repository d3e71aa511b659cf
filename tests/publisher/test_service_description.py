"""The service description keeps the W3C suite's three rules, and the endpoint confirms every claim
and number in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from pyoxigraph import Literal, NamedNode, RdfFormat, Store
from rows import each
from w3c_suite import MF, SUITE, Facts, local

from publisher.app import create_app
from publisher.catalog.void import FUNCTIONS, LATERAL, PROPERTIES
from publisher.limits import MAX_QUERY_BYTES, Limits
from publisher.store.query_service import QueryService
from vocab.iris import BASE, Iris
from web.respond import GRAPHS, TABLES

SD = "http://www.w3.org/ns/sparql-service-description#"
VOID = "http://rdfs.org/ns/void#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SERVICE, DATASET = f"{BASE}sparql", f"{BASE}.well-known/void#dataset"
LIMITS = Limits(seconds=7.5, memory=1 << 30, rows=2_000, budget=40)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(level: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with QueryService(level, Iris(), LIMITS, readers=1, follow=False) as service:
        await service.wait_until_current()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=create_app(service)), base_url="http://test"
        ) as opened:
            yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def description(client: httpx.AsyncClient) -> Store:
    store = Store()
    store.load((await client.get("/sparql")).content, RdfFormat.TURTLE)
    return store


def values(description: Store, subject: str, predicate: str) -> set[str]:
    results = (
        quad.object
        for quad in description.quads_for_pattern(NamedNode(subject), NamedNode(predicate), None)
    )
    return {term.value for term in results if isinstance(term, NamedNode | Literal)}


async def ask(client: httpx.AsyncClient, query: str) -> str:
    answer = await client.get("/sparql", params={"query": query, "format": "csv"})
    return answer.text.split()[-1]


async def test_the_rules_of_the_suite_are_those_that_are_tested_here() -> None:
    if not SUITE.exists():
        pytest.skip(f"no W3C SPARQL suite at {SUITE}")
    manifest = SUITE / "service-description" / "manifest.ttl"
    facts = Facts(manifest)

    rules = {
        local(entry)
        for entry in facts.items(facts.one(NamedNode(manifest.as_uri()), MF + "entries"))
    }

    assert rules == {"returns-rdf", "has-endpoint-triple", "conforms-to-schema"}


@pytest.mark.suite("w3c-sparql11")
@each("form", [RdfFormat.TURTLE, RdfFormat.N_TRIPLES, RdfFormat.RDF_XML, RdfFormat.JSON_LD])
async def test_returns_rdf(client: httpx.AsyncClient, form: RdfFormat) -> None:
    answer = await client.get("/sparql", headers={"Accept": form.media_type})

    store = Store()
    store.load(answer.content, form)

    assert answer.headers["content-type"].startswith(form.media_type)
    assert len(store) > 20


@pytest.mark.suite("w3c-sparql11")
async def test_conforms_to_schema(description: Store) -> None:
    """Each property of the namespace is used on its domain, and its value is of its range
    (section 3).
    """
    types = {
        "endpoint": None, "supportedLanguage": "Language", "languageExtension": None, "feature": "Feature", "defaultEntailmentRegime": None,
        "resultFormat": None, "extensionFunction": None, "propertyFeature": None, "defaultDataset": "Dataset", "defaultGraph": "Graph",
    }  # fmt: skip

    for quad in description.quads_for_pattern(None, None, None, None):
        if quad.predicate.value.startswith(SD):
            name = quad.predicate.value.removeprefix(SD)
            wanted = types[name]
            domain = DATASET if name == "defaultGraph" else SERVICE
            assert quad.subject == NamedNode(domain)
            assert isinstance(quad.object, NamedNode)
            if wanted in ("Dataset", "Graph"):
                assert f"{SD}{wanted}" in values(description, quad.object.value, f"{RDF}type")


@pytest.mark.suite("w3c-sparql11")
async def test_its_claims_are_those_that_are_kept(
    client: httpx.AsyncClient, description: Store
) -> None:
    claims = {
        f"{SD}endpoint": SERVICE, f"{RDF}type": f"{SD}Service", f"{SD}feature": f"{SD}UnionDefaultGraph",
        f"{SD}defaultEntailmentRegime": "http://www.w3.org/ns/entailment/Simple", f"{SD}languageExtension": LATERAL,
    }  # fmt: skip
    answers = {
        "SELECT (COUNT(*) AS ?n) { ?s ?p ?o FILTER NOT EXISTS { GRAPH ?g { ?s ?p ?o } } }": "0",
        "SELECT (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } FILTER NOT EXISTS { ?s ?p ?o } }": "0",
        f"ASK {{ <{BASE}ns#Initiative> a <http://www.w3.org/2000/01/rdf-schema#Resource> }}": "false",
        "SELECT (COUNT(*) AS ?n) { VALUES ?a { 1 2 } LATERAL { SELECT ?a ?s { ?s ?p ?o } LIMIT 1 } }": "2",
    }
    unknown = await client.get("/sparql", params={"query": "SELECT (<urn:none>(1) AS ?x) {}"})
    graph = (await client.get("/sparql", headers={"Accept": "application/n-triples"})).text

    assert {name: values(description, SERVICE, name) for name in claims} == {
        name: {claim} for name, claim in claims.items()
    }
    assert {query: await ask(client, query) for query in answers} == answers
    assert (unknown.status_code, "urn:none" in unknown.json()["detail"]) == (400, True)
    assert "_:" not in graph


@pytest.mark.parametrize(
    ("name", "query"),
    [(f"{VOID}triples", "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"), (f"{VOID}properties", "SELECT (COUNT(DISTINCT ?p) AS ?n) { ?s ?p ?o }"),
     (f"{VOID}classes", "SELECT (COUNT(DISTINCT ?c) AS ?n) { ?s a ?c }"),
     (f"{BASE}operations#namedGraphs", "SELECT (COUNT(DISTINCT ?g) AS ?n) { GRAPH ?g { ?s ?p ?o } }")],
)  # fmt: skip
async def test_every_number_is_what_the_endpoint_counts(
    client: httpx.AsyncClient, description: Store, name: str, query: str
) -> None:
    assert values(description, DATASET, name) == {await ask(client, query)}


async def test_the_dataset_is_that_of_void(client: httpx.AsyncClient, description: Store) -> None:
    void = Store()
    void.load((await client.get("/.well-known/void")).content, RdfFormat.TURTLE)

    for name in ("triples", "properties", "classes"):
        assert values(void, DATASET, VOID + name) == values(description, DATASET, VOID + name)


async def test_the_limits_are_those_that_hold(description: Store) -> None:
    names = (
        "queryTimeLimit", "queryMemoryLimit", "queryRowLimit", "queryLengthLimit", "queryBudget", "queryBudgetWindow",
    )  # fmt: skip

    limits = [float(*values(description, SERVICE, f"{BASE}operations#{name}")) for name in names]

    assert limits == [7.5, 1 << 30, 2_000, MAX_QUERY_BYTES, 40, LIMITS.window]


async def test_a_budget_that_is_not_set_is_not_reported(level: Path) -> None:
    async with QueryService(level, Iris(), Limits(budget=0), readers=1, follow=False) as service:
        await service.wait_until_current()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=create_app(service)), base_url="http://test"
        ) as client:
            answer = await client.get("/sparql", headers={"Accept": "application/n-triples"})

    assert "queryBudget" not in answer.text


async def test_every_result_format_is_one_that_is_given(
    client: httpx.AsyncClient, description: Store
) -> None:
    formats = values(description, SERVICE, f"{SD}resultFormat")

    tables = [
        await client.get("/sparql", params={"query": "ASK {}", "format": suffix})
        for suffix in TABLES
    ]
    graphs = [
        await client.get("/sparql", params={"query": "CONSTRUCT {} {}", "format": suffix})
        for suffix in GRAPHS
    ]

    assert [answer.status_code for answer in (*tables, *graphs)] == [200] * len(formats)
    assert all(iri.startswith("http://www.w3.org/ns/formats/") for iri in formats)


async def test_functions_and_properties_are_reported_and_known(
    client: httpx.AsyncClient, description: Store
) -> None:
    assert values(description, SERVICE, f"{SD}extensionFunction") == set(FUNCTIONS)
    assert values(description, SERVICE, f"{SD}propertyFeature") == set(PROPERTIES)
    for function in FUNCTIONS:
        called = await client.get(
            "/sparql", params={"query": f"SELECT (<{function}>(1, 2, 3) AS ?x) {{}}"}
        )
        assert called.status_code == 200
    result = f'SELECT (COUNT(*) AS ?n) {{ ?thing <{PROPERTIES[0]}> "telemedicine" }}'
    assert await ask(client, result) != "0"


async def test_head_and_conditions_hold_for_it(client: httpx.AsyncClient) -> None:
    whole = await client.get("/sparql", headers={"Accept": "text/turtle"})

    head = await client.head("/sparql", headers={"Accept": "text/turtle"})
    again = await client.get(
        "/sparql", headers={"Accept": "text/turtle", "If-None-Match": whole.headers["etag"]}
    )

    assert (head.status_code, again.status_code) == (200, 304)
    assert head.headers["etag"] == whole.headers["etag"]
