"""The endpoint keeps the rules of the SPARQL 1.1 Protocol, section 2.1."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import pytest
from pyoxigraph import RdfFormat, parse
from rows import each

pytestmark = pytest.mark.every_store

BASE = "https://w3id.org/wsis-stocktaking/"
TITLE = "SELECT ?title { <id/initiative/demo/1> <http://purl.org/dc/terms/title> ?title }"
TURTLE = "CONSTRUCT { ?s ?p ?o } { ?s ?p ?o FILTER(?s = <id/initiative/demo/1>) }"


@each(
    "accept, media",
    [("application/sparql-results+json", "application/sparql-results+json"),
     ("application/sparql-results+xml", "application/sparql-results+xml"), ("text/csv", "text/csv; charset=utf-8"),
     ("text/tab-separated-values", "text/tab-separated-values; charset=utf-8")],
)  # fmt: skip
async def test_a_table_comes_in_the_format_that_is_wanted(
    client: httpx.AsyncClient, accept: str, media: str
) -> None:
    answer = await client.get("/sparql", params={"query": TITLE}, headers={"Accept": accept})

    assert (answer.headers["content-type"], "Accept" in answer.headers["vary"]) == (media, True)
    assert "Community network 1" in answer.text


@each(
    "query, columns",
    [("SELECT * { ?s ?p ?o } LIMIT 1", "s,p,o"), ("select distinct*where { ?thing a ?class . ?thing ?b ?a } LIMIT 1", "thing,class,b,a"),
     ("# SELECT *\nSELECT * { GRAPH ?g { $z ?y ?x MINUS { ?z ?w ?v } } } LIMIT 1", "g,z,y,x"),
     ("SELECT * { { SELECT * { ?z a ?y } } ?z ?b ?x } LIMIT 1", "z,y,b,x"),
     ("SELECT ?z (COUNT(*) AS ?a) { ?z ?y ?x } GROUP BY ?z LIMIT 1", "z,a")],
)  # fmt: skip
async def test_columns_stand_in_the_order_of_the_query(
    client: httpx.AsyncClient, query: str, columns: str
) -> None:
    answer = await client.get("/sparql", params={"query": query}, headers={"Accept": "text/csv"})

    assert answer.status_code == 200, answer.text
    assert answer.text.partition("\r\n")[0] == columns


@each(
    "accept, form",
    [("text/turtle", RdfFormat.TURTLE), ("application/n-triples", RdfFormat.N_TRIPLES), ("application/rdf+xml", RdfFormat.RDF_XML),
     ("application/ld+json", RdfFormat.JSON_LD)],
)  # fmt: skip
async def test_a_graph_comes_in_the_format_that_is_wanted(
    client: httpx.AsyncClient, accept: str, form: RdfFormat
) -> None:
    answer = await client.get("/sparql", params={"query": TURTLE}, headers={"Accept": accept})

    triples = {str(quad.triple.subject) for quad in parse(answer.content, form)}

    assert answer.headers["content-type"].startswith(accept)
    assert triples == {f"<{BASE}id/initiative/demo/1>"}


@each(
    "names, table, graph",
    [(["json"], "application/sparql-results+json", "application/ld+json"),
     (["xml"], "application/sparql-results+xml", "application/rdf+xml"),
     (["turtle"], "application/sparql-results+json", "text/turtle; charset=utf-8"),
     (["N3"], "application/sparql-results+json", "text/turtle; charset=utf-8"),
     (["tsv", "text/tab-separated-values"], "text/tab-separated-values; charset=utf-8", "text/turtle; charset=utf-8"),
     (["application/rdf+xml"], "application/sparql-results+json", "application/rdf+xml"),
     (["", "csv"], "text/csv; charset=utf-8", "text/turtle; charset=utf-8")],
)  # fmt: skip
async def test_a_format_may_be_named_in_the_words_of_clients(
    client: httpx.AsyncClient, names: list[str], table: str, graph: str
) -> None:
    answers = [
        await client.get("/sparql", params={"query": query, "format": names})
        for query in (TITLE, TURTLE)
    ]

    assert [answer.headers["content-type"] for answer in answers] == [table, graph]


SERVICE = "SELECT * { SERVICE %s<http://127.0.0.1:9/> { ?s ?p ?o } }"


@each(
    "parameters, accept, status, says",
    [({"query": TITLE, "format": "xls"}, "*/*", 400, ""), ({"query": TITLE}, "image/png", 406, ""),
     ({"query": TURTLE}, "image/png", 406, ""),
     ({"query": TURTLE}, "text/csv", 406, ""), ({"query": "SELECT * {\n  ?s ?p ?o\n"}, "*/*", 400, '"line": 3, "column": 1'),
     ({"query": "SELECT * { ?s unknown:p ?o }"}, "*/*", 400, "Prefix not found"),
     *(({"query": query}, "*/*", 400, "")
       for query in ("LOAD <http://127.0.0.1:9/>", "INSERT DATA { <a:s> <a:p> <a:o> }", "CLEAR ALL", "")),
     *(({"query": SERVICE % word}, "*/*", 400, "SERVICE is not supported") for word in ("", "SILENT ")),
     ({"query": TITLE, "default-graph-uri": "not an iri"}, "*/*", 400, ""),
     *(({"query": TITLE, "timeout": text}, "*/*", 400, "") for text in ("soon", "0", "-1", "nan", "inf"))],
)  # fmt: skip
async def test_what_cannot_be_answered_is_refused_with_the_reason(
    client: httpx.AsyncClient, parameters: dict[str, str], accept: str, status: int, says: str
) -> None:
    answer = await client.get("/sparql", params=parameters, headers={"Accept": accept})

    assert (answer.status_code, says in answer.text) == (status, True)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_other_methods_and_what_is_no_query_of_a_size_are_refused(
    client: httpx.AsyncClient,
) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        answer = await client.request(method, "/sparql")
        assert (answer.status_code, "POST" in answer.headers["allow"]) == (405, True)
    media = {"Content-Type": "application/sparql-query"}
    long = await client.post("/sparql", content=b"#" * 2_000_000, headers=media)
    without = await client.post("/sparql", data={"format": "json"})
    assert (long.status_code, without.status_code) == (413, 400)


async def test_several_default_graphs_are_merged(client: httpx.AsyncClient) -> None:
    graphs = [
        ("default-graph-uri", f"{BASE}record/demo/1"),
        ("default-graph-uri", f"{BASE}record/demo/2"),
    ]
    count = "SELECT (COUNT(DISTINCT ?s) AS ?n) { ?s <http://purl.org/dc/terms/title> ?o }"

    answer = await client.post(
        "/sparql?" + urlencode(graphs),
        content=count,
        headers={"Content-Type": "application/sparql-query"},
    )

    assert answer.json()["results"]["bindings"][0]["n"]["value"] == "2"


async def test_named_graph_uri_is_the_named_graph_and_the_default_graph_is_empty(
    client: httpx.AsyncClient,
) -> None:
    query = "SELECT (COUNT(DISTINCT ?g) AS ?graphs) { { GRAPH ?g { ?s ?p ?o } } UNION { ?a ?b ?c BIND(1 AS ?g) } }"

    answer = await client.get(
        "/sparql",
        params={"query": query, "named-graph-uri": f"{BASE}record/demo/1", "format": "csv"},
    )

    assert answer.text.split() == ["graphs", "1"]


async def test_the_protocols_dataset_overrides_the_querys(client: httpx.AsyncClient) -> None:
    query = "SELECT ?t FROM <record/demo/2> { <id/initiative/demo/1> <http://purl.org/dc/terms/title> ?t }"

    parameters = {"query": query, "format": "csv"}
    graph = {"default-graph-uri": f"{BASE}record/demo/1"}
    own = await client.get("/sparql", params=parameters)
    overridden = await client.get("/sparql", params=parameters | graph)

    assert (len(own.text.split("\r\n")), len(overridden.text.split("\r\n"))) == (2, 3)


async def test_without_a_dataset_all_graphs_are_merged_and_nothing_counts_twice(
    client: httpx.AsyncClient,
) -> None:
    query = """PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
        SELECT (COUNT(*) AS ?n) { <id/organization/demo/ministry-of-health> skos:prefLabel ?name }"""

    answer = await client.get("/sparql", params={"query": query, "format": "csv"})

    assert answer.text.split() == ["n", "1"]


async def test_other_sites_may_ask(client: httpx.AsyncClient) -> None:
    answer = await client.get(
        "/sparql", params={"query": TITLE}, headers={"Origin": "https://example.org"}
    )
    asked_before = await client.options(
        "/sparql",
        headers={
            "Origin": "https://example.org",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )

    assert answer.headers["access-control-allow-origin"] == "*"
    assert asked_before.status_code == 200
