"""SPARQLWrapper, rdflib, pandas and Comunica query a real server in every format that they read."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pandas
import pytest
from pyoxigraph import RdfFormat, parse
from rdflib import Graph, URIRef
from rdflib.plugins.stores.sparqlstore import SPARQLStore
from SPARQLWrapper import (
    CSV,
    GET,
    JSON,
    JSONLD,
    N3,
    POST,
    POSTDIRECTLY,
    RDFXML,
    TSV,
    TURTLE,
    URLENCODED,
    XML,
    SPARQLWrapper,
)

from vocab.iris import BASE

TITLES = """
    PREFIX dct: <http://purl.org/dc/terms/>
    SELECT ?thing ?title { ?thing dct:title ?title FILTER(STRSTARTS(STR(?title), "Community network 1")) } ORDER BY ?title
"""
GRAPH = f"CONSTRUCT {{ ?s ?p ?o }} {{ GRAPH <{BASE}record/demo/1> {{ ?s ?p ?o }} }}"
WANTED = 31  # The networks 1, 10 to 19 and 100 to 119 have such a title.


@pytest.fixture(scope="module")
def comunica(packages: Path) -> Path:
    return packages / ".bin" / "comunica-sparql"


def wrapper(
    endpoint: str, query: str, form: str, method: str = GET, way: str = URLENCODED
) -> SPARQLWrapper:
    asking = SPARQLWrapper(endpoint, returnFormat=form)
    asking.setMethod(method)
    asking.setRequestMethod(way)
    asking.setQuery(query)
    return asking


@pytest.mark.parametrize(
    ("method", "way"), [(GET, URLENCODED), (POST, URLENCODED), (POST, POSTDIRECTLY)]
)
def test_sparqlwrapper_gets_tables_by_every_method(endpoint: str, method: str, way: str) -> None:
    def ask(query: str, form: str) -> Any:
        return wrapper(endpoint, query, form, method, way).queryAndConvert()

    assert len(ask(TITLES, JSON)["results"]["bindings"]) == WANTED
    assert ask("ASK {}", JSON)["boolean"] is True
    assert len(ask(TITLES, XML).getElementsByTagName("result")) == WANTED
    for form, comma in ((CSV, b","), (TSV, b"\t")):
        head, *rows = ask(TITLES, form).splitlines()
        assert (head.count(comma), len(rows)) == (1, WANTED)


@pytest.mark.parametrize("form", [TURTLE, N3])
def test_sparqlwrapper_gets_turtle_for_what_it_calls_n3_too(endpoint: str, form: str) -> None:
    result = wrapper(endpoint, GRAPH, form).queryAndConvert()
    assert isinstance(result, bytes)

    assert len(list(parse(result, RdfFormat.TURTLE))) > 5


# SPARQLWrapper 2 still creates a ConjunctiveGraph.
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")
@pytest.mark.parametrize("form", [XML, RDFXML, JSONLD])
def test_sparqlwrapper_gets_graphs_that_it_reads_itself(endpoint: str, form: str) -> None:
    result = wrapper(endpoint, GRAPH, form).queryAndConvert()

    assert isinstance(result, Graph)
    assert len(result) > 5


def test_rdflib_works_on_the_endpoint_as_on_a_store(endpoint: str) -> None:
    graph = Graph(SPARQLStore(endpoint))

    titles = list(
        graph.objects(
            URIRef(f"{BASE}id/initiative/demo/1"), URIRef("http://purl.org/dc/terms/title")
        )
    )

    assert [str(title) for title in titles] == ["Community network 1"]


def test_pandas_reads_csv_from_the_endpoints_address(endpoint: str) -> None:
    table = pandas.read_csv(str(httpx.URL(endpoint, params={"query": TITLES, "format": "csv"})))

    assert list(table.columns) == ["thing", "title"]
    assert (len(table), table["title"].iloc[0]) == (WANTED, "Community network 1")


def _asked(comunica: Path, source: str, query: str, form: str) -> str:
    return _ran(comunica, source, query, "-t", form)


SPARQL_JSON = "application/sparql-results+json"


@pytest.mark.smoke
def test_comunica_asks_the_endpoint(endpoint: str, comunica: Path) -> None:
    result = json.loads(_asked(comunica, f"sparql@{endpoint}", TITLES, SPARQL_JSON))

    assert len(result["results"]["bindings"]) == WANTED


def test_comunica_constructs_from_the_endpoint_and_reads_a_graph_of_the_graph_store(
    endpoint: str, comunica: Path
) -> None:
    result = _asked(comunica, endpoint, GRAPH, "application/n-triples")

    assert len(result.splitlines()) > 5

    position = endpoint.replace("/sparql", f"/rdf-graph-store?graph={BASE}record/demo/1")

    [row] = json.loads(_asked(comunica, position, TITLES, SPARQL_JSON))["results"]["bindings"]

    assert row["title"]["value"] == "Community network 1"


SCRIPTS = Path(__file__).parents[2] / "docs" / "clients"


def _ran(*line: str | Path, **more: str) -> str:
    """Run a command with *more* in its environment; return what it prints."""
    return subprocess.run(
        [*map(str, line)],
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def _counted(endpoint: str, query: str) -> list[list[str]]:
    """Return the rows of the answer to *query* as texts, without the header."""
    text = httpx.post(endpoint, data={"query": query}, headers={"Accept": "text/csv"}).text
    return list(csv.reader(io.StringIO(text)))[1:]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_docs_script_with_sparqlwrapper_prints_what_the_endpoint_counts(endpoint: str) -> None:
    result = _ran(sys.executable, SCRIPTS / "goals_wrapper.py", endpoint)

    script = (SCRIPTS / "goals_wrapper.py").read_text(encoding="utf-8")
    rows = _counted(endpoint, script.partition('GOALS = """')[2].partition('"""')[0])
    assert rows
    assert result.splitlines()[: len(rows)] == [f"{number:>6}  {goal}" for goal, number in rows]
    assert "a <https://w3id.org/wsis-stocktaking/ns#Initiative>" in result


def test_the_docs_script_with_pandas_counts_what_the_endpoint_counts(endpoint: str) -> None:
    result = _ran(sys.executable, SCRIPTS / "countries_pandas.py", endpoint)

    script = (SCRIPTS / "countries_pandas.py").read_text(encoding="utf-8")
    rows = _counted(endpoint, script.partition('LINES = """')[2].partition('"""')[0])
    initiatives, countries = {row[0] for row in rows}, {row[1] for row in rows}
    counts = f"{len(rows)} rows, {len(initiatives)} initiatives in {len(countries)} countries"
    assert rows
    assert result.splitlines()[0] == counts


def test_the_docs_script_with_comunica_joins_the_endpoint_with_a_document(
    endpoint: str, comunica: Path
) -> None:
    file = SCRIPTS / "lines_comunica.sh"
    result = _ran("sh", file, endpoint.removesuffix("/sparql"), COMUNICA=str(comunica))

    query = file.read_text(encoding="utf-8").partition("PREFIX wsis:")[2].removesuffix("'\n")
    rows = _counted(endpoint, f"PREFIX wsis:{query}")
    bindings = json.loads(result)["results"]["bindings"]
    assert rows
    assert sorted([row[name]["value"] for name in ("line", "initiatives")] for row in bindings) == (
        sorted(rows)
    )
