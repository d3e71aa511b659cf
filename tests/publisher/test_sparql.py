"""The endpoint, rule by rule of the SPARQL 1.1 Protocol, section 2.1."""

from __future__ import annotations

import csv
import io
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import pytest
from pyoxigraph import RdfFormat, parse
from rows import each

pytestmark = pytest.mark.every_store

BASE = "https://w3id.org/wsis-stocktaking/"
TITLE = "SELECT ?title { <id/initiative/demo/1> <http://purl.org/dc/terms/title> ?title }"
TURTLE = "CONSTRUCT { ?s ?p ?o } { ?s ?p ?o FILTER(?s = <id/initiative/demo/1>) }"


async def test_a_query_is_put_by_get(client: httpx.AsyncClient) -> None:
    answer = await client.get("/sparql", params={"query": TITLE})

    assert answer.json()["results"]["bindings"][0]["title"]["value"] == "Community network 1"


async def test_head_is_answered(client: httpx.AsyncClient) -> None:
    answer = await client.head("/sparql", params={"query": TITLE})

    assert answer.status_code == 200


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


async def test_csv_and_xml_are_well_formed(client: httpx.AsyncClient) -> None:
    rows = await client.get("/sparql", params={"query": TITLE}, headers={"Accept": "text/csv"})
    tree = await client.get(
        "/sparql", params={"query": TITLE}, headers={"Accept": "application/sparql-results+xml"}
    )

    assert list(csv.reader(io.StringIO(rows.text))) == [["title"], ["Community network 1"]]
    assert ElementTree.fromstring(tree.text).tag == "{http://www.w3.org/2005/sparql-results#}sparql"


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


async def test_ask_is_answered(client: httpx.AsyncClient) -> None:
    answer = await client.get("/sparql", params={"query": "ASK {}"})

    assert answer.json()["boolean"] is True


async def test_a_format_may_be_named_by_its_suffix(client: httpx.AsyncClient) -> None:
    answer = await client.get(
        "/sparql", params={"query": TITLE, "format": "csv"}, headers={"Accept": "text/html"}
    )

    assert answer.headers["content-type"].startswith("text/csv")


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


async def test_a_format_that_nobody_knows_is_a_bad_request(client: httpx.AsyncClient) -> None:
    answer = await client.get("/sparql", params={"query": TITLE, "format": "xls"})

    assert answer.status_code == 400


@each("query", [TITLE, TURTLE])
async def test_a_format_that_is_not_offered_is_not_acceptable(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.get("/sparql", params={"query": query}, headers={"Accept": "image/png"})

    assert (answer.status_code, answer.headers["content-type"]) == (406, "application/problem+json")


async def test_a_graph_asked_for_as_a_table_is_not_acceptable(client: httpx.AsyncClient) -> None:
    answer = await client.get("/sparql", params={"query": TURTLE}, headers={"Accept": "text/csv"})

    assert answer.status_code == 406


async def test_a_syntax_fault_is_reported_with_its_place(client: httpx.AsyncClient) -> None:
    answer = await client.get("/sparql", params={"query": "SELECT * {\n  ?s ?p ?o\n"})

    problem = answer.json()

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert (problem["line"], problem["column"]) == (3, 1)


async def test_an_unknown_prefix_is_reported(client: httpx.AsyncClient) -> None:
    answer = await client.get("/sparql", params={"query": "SELECT * { ?s unknown:p ?o }"})

    assert "Prefix not found" in answer.json()["detail"]


@each("query", ["LOAD <http://127.0.0.1:9/>", "INSERT DATA { <a:s> <a:p> <a:o> }", "CLEAR ALL", ""])
async def test_an_update_is_no_query(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get("/sparql", params={"query": query})

    assert answer.status_code == 400


@each("silent", ["", "SILENT "])
async def test_service_is_refused(client: httpx.AsyncClient, silent: str) -> None:
    answer = await client.get(
        "/sparql",
        params={"query": f"SELECT * {{ SERVICE {silent}<http://127.0.0.1:9/> {{ ?s ?p ?o }} }}"},
    )

    assert (answer.status_code, answer.json()["title"]) == (400, "SERVICE is not supported")


async def test_no_query_is_a_bad_request(client: httpx.AsyncClient) -> None:
    answer = await client.post("/sparql", data={"format": "json"})

    assert answer.status_code == 400


@each("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_allowed(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/sparql")

    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]


async def test_a_query_too_long_is_too_large(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/sparql", content=b"#" * 2_000_000, headers={"Content-Type": "application/sparql-query"}
    )

    assert answer.status_code == 413


async def test_default_graph_uri_is_the_default_graph(client: httpx.AsyncClient) -> None:
    count = "SELECT (COUNT(DISTINCT ?s) AS ?n) { ?s <http://purl.org/dc/terms/title> ?o }"

    answer = await client.get(
        "/sparql",
        params={"query": count, "default-graph-uri": f"{BASE}record/demo/1", "format": "csv"},
    )

    assert answer.text.split() == ["n", "1"]


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

    own = await client.get("/sparql", params={"query": query, "format": "csv"})
    overridden = await client.get(
        "/sparql",
        params={"query": query, "format": "csv", "default-graph-uri": f"{BASE}record/demo/1"},
    )

    assert (len(own.text.split("\r\n")), len(overridden.text.split("\r\n"))) == (2, 3)


async def test_a_graph_that_is_no_web_address_is_a_bad_request(client: httpx.AsyncClient) -> None:
    answer = await client.get("/sparql", params={"query": TITLE, "default-graph-uri": "not an iri"})

    assert answer.status_code == 400


async def test_without_a_dataset_all_graphs_are_merged_and_nothing_counts_twice(
    client: httpx.AsyncClient,
) -> None:
    query = """PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
        SELECT (COUNT(*) AS ?n) { <id/organization/demo/ministry-of-health> skos:prefLabel ?name }"""

    answer = await client.get("/sparql", params={"query": query, "format": "csv"})

    assert answer.text.split() == ["n", "1"]


@each("text", ["soon", "0", "-1", "nan", "inf"])
async def test_a_time_limit_is_a_number_above_zero(client: httpx.AsyncClient, text: str) -> None:
    answer = await client.get("/sparql", params={"query": TITLE, "timeout": text})

    assert answer.status_code == 400


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
