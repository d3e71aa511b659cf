"""The dataset of a query: FROM and FROM NAMED (SPARQL 1.1 Query, section 13), and the protocol's
before them (Protocol, 2.1.4).
"""

from __future__ import annotations

import httpx
import pytest
from pyoxigraph import QuerySolutions, Store
from rows import each

from publisher.store.workers.dataset import _clauses
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import evaluate

DATA = """
    PREFIX : <http://x/>
    INSERT DATA { :s :p 1, 2, 3 . GRAPH :a { :s :p 1, 2 } GRAPH :b { :s :p 2, 3 } GRAPH :c { :s :p 3 } }
"""
VALUES = "SELECT ?o {} {{ ?s ?p ?o }} ORDER BY ?o"
NAMES = "SELECT DISTINCT ?g {} {{ GRAPH ?g {{ ?s ?p ?o }} }} ORDER BY ?g"


@pytest.fixture(scope="module")
def filled() -> Store:
    store = Store()
    store.update(DATA)
    return store


def ask(
    store: Store,
    text: str,
    default: tuple[str, ...] | None = None,
    named: tuple[str, ...] | None = None,
) -> list[str]:
    result = evaluate(
        store, QueryRequest(text, base="http://x/", default_graphs=default, named_graphs=named)
    )
    assert isinstance(result, QuerySolutions)
    return [row[0].value.removeprefix("http://x/") for row in result]


@each(
    "clauses, values",
    [("", "1 2 3"), ("FROM <a>", "1 2"), ("FROM <a> FROM <b>", "1 2 3"), ("from<a>#x\nFROM <http://x/b>", "1 2 3"),
     ("FROM <a> FROM <a>", "1 2"), ("FROM <b> FROM NAMED <a> FROM <c>", "2 3"), ("FROM <none> FROM <b>", "2 3"),
     ("FROM NAMED <a> FROM NAMED <b>", "")],
)  # fmt: skip
def test_default_graphs_are_merged_and_nothing_counts_twice(
    filled: Store, clauses: str, values: str
) -> None:
    assert ask(filled, VALUES.format(clauses)) == values.split()


def test_prefixes_and_the_base_of_the_query_name_its_graphs(filled: Store) -> None:
    assert ask(
        filled,
        "BASE <http://y/> PREFIX x: <http://x/> " + VALUES.format("FROM x:a FROM </b> FROM x:b"),
    ) == ["1", "2", "3"]


@each(
    "clauses, names",
    [("", "a b c"), ("FROM <a>", ""), ("FROM NAMED <a>", "a"), ("FROM <a> FROM <c> FROM NAMED <b>", "b"), ("FROM <a> FROM <c>", "")],
)  # fmt: skip
def test_named_graphs_are_those_that_are_named(filled: Store, clauses: str, names: str) -> None:
    assert ask(filled, NAMES.format(clauses)) == names.split()


@pytest.mark.parametrize("clauses", ["", "FROM <c>", "FROM <c> FROM <b> FROM NAMED <c>"])
def test_the_protocols_dataset_takes_the_place_of_the_querys(filled: Store, clauses: str) -> None:
    graphs = ("http://x/a", "http://x/b"), ("http://x/a",)

    assert ask(filled, VALUES.format(clauses), *graphs) == ["1", "2", "3"]
    assert ask(filled, NAMES.format(clauses), *graphs) == ["a"]


NAMED_AND_DEFAULT = "SELECT ?g ?o {} {{ ?s ?p 1 . GRAPH ?g {{ ?s ?p ?o }} }} ORDER BY ?g ?o"


@each(
    "clauses, names",
    [
        ("FROM <a>", ""),  # one FROM and no FROM NAMED: there are no named graphs (13.2)
        ("FROM <a> FROM <b>", ""),
        ("FROM NAMED <b>", ""),  # and with FROM NAMED alone the default graph is empty
        ("FROM <a> FROM NAMED <b>", "b b"),
        ("FROM <c> FROM NAMED <b>", ""),
        ("FROM <a> FROM NAMED <b> FROM NAMED <c>", "b b c"),
    ],
)
def test_a_pattern_of_the_default_graph_and_one_of_a_variable_graph_see_each_its_own(
    filled: Store, clauses: str, names: str
) -> None:
    assert ask(filled, NAMED_AND_DEFAULT.format(clauses)) == names.split()


@each(
    "default, named, names",
    [(("http://x/a",), (), ""), ((), ("http://x/b",), ""), (("http://x/a",), ("http://x/b",), "b b"),
     (("http://x/a", "http://x/c"), ("http://x/c",), "c")],
)  # fmt: skip
def test_the_same_holds_for_the_protocols_dataset_over_any_clause(
    filled: Store, default: tuple[str, ...], named: tuple[str, ...], names: str
) -> None:
    for clauses in ("", "FROM <a>", "FROM <a> FROM NAMED <b>", "FROM NAMED <c>"):
        assert ask(filled, NAMED_AND_DEFAULT.format(clauses), default, named) == names.split()


def test_a_graph_pattern_or_a_text_is_no_clause() -> None:
    text = 'SELECT ("FROM <a> FROM <b>" AS ?from) { ?s <from> "FROM" . <FROM> <x> ?o } # FROM <a> FROM <b>'

    assert _clauses(text) == ("", [], [])


async def test_a_variable_named_from_names_no_graph(client: httpx.AsyncClient) -> None:
    query = "SELECT (COUNT(*) AS ?n) { VALUES ?from { <http://www.w3.org/2004/02/skos/core#broader> } ?x ?from ?y # from, from\n}"

    answer = await client.get("/sparql", params={"query": query, "format": "csv"})

    assert int(answer.text.split()[1]) > 0
