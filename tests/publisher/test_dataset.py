"""The dataset of a query: FROM and FROM NAMED (SPARQL 1.1 Query, section 13), and the protocol's
before them (Protocol, 2.1.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from column_store import write_columns
from pyoxigraph import QuerySolutions
from rows import each

from publisher.store.columns.engine import ColumnEngine
from publisher.store.workers import reader
from publisher.store.workers.query_request import QueryRequest, dataset_graphs
from vocab.terms import XSD

QUADS = [("a", 1), ("a", 2), ("b", 2), ("b", 3), ("c", 3), ("gone", 3)]
VALUES = "SELECT ?o {} {{ ?s ?p ?o }} ORDER BY ?o"
NAMES = "SELECT DISTINCT ?g {} {{ GRAPH ?g {{ ?s ?p ?o }} }} ORDER BY ?g"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ColumnEngine]:
    x = "http://x/"
    rows = [
        f'A <{x}s> <{x}p> "{value}"^^<{XSD}integer> <{x}{graph}> .\n'.encode()
        for graph, value in QUADS
    ]
    deleted = rows[-1].replace(b"A ", b"D ", 1)
    path = write_columns([*rows, deleted], tmp_path_factory.mktemp("dataset"))
    with closing(ColumnEngine(path, small=0)) as columns:
        yield columns


def ask(
    columns: ColumnEngine,
    text: str,
    default: tuple[str, ...] | None = None,
    named: tuple[str, ...] | None = None,
) -> list[str]:
    """Return the first value of each solution, of the quads that match and, if it is compiled, by
    the columns.
    """
    request = QueryRequest(text, base="http://x/", default_graphs=default, named_graphs=named)
    results = [reader.evaluate(request, *columns.matching(request))]
    if default is None and (compiled := columns.answer(request)):
        results.append(compiled)
    answers = [
        [row[0].value.removeprefix("http://x/") for row in result]
        for result in results
        if isinstance(result, QuerySolutions)
    ]
    assert answers[0] == answers[-1]
    return answers[0]


@each(
    "clauses, values",
    [("", "1 2 3"), ("FROM <a>", "1 2"), ("FROM <a> FROM <b>", "1 2 3"), ("from<a>#x\nFROM <http://x/b>", "1 2 3"),
     ("FROM <a> FROM <a>", "1 2"), ("FROM <b> FROM NAMED <a> FROM <c>", "2 3"), ("FROM <none> FROM <b>", "2 3"),
     ("FROM NAMED <a> FROM NAMED <b>", "")],
)  # fmt: skip
def test_default_graphs_are_merged_and_nothing_counts_twice(
    filled: ColumnEngine, clauses: str, values: str
) -> None:
    assert ask(filled, VALUES.format(clauses)) == values.split()


def test_prefixes_and_the_base_of_the_query_name_its_graphs(filled: ColumnEngine) -> None:
    assert ask(
        filled,
        "BASE <http://y/> PREFIX x: <http://x/> " + VALUES.format("FROM x:a FROM </b> FROM x:b"),
    ) == ["1", "2", "3"]


@each(
    "clauses, names",
    [("", "a b c"), ("FROM <a>", ""), ("FROM NAMED <a>", "a"), ("FROM <a> FROM <c> FROM NAMED <b>", "b"), ("FROM <a> FROM <c>", "")],
)  # fmt: skip
def test_named_graphs_are_those_that_are_named(
    filled: ColumnEngine, clauses: str, names: str
) -> None:
    assert ask(filled, NAMES.format(clauses)) == names.split()


@pytest.mark.parametrize("clauses", ["", "FROM <c>", "FROM <c> FROM <b> FROM NAMED <c>"])
def test_the_protocols_dataset_takes_the_place_of_the_querys(
    filled: ColumnEngine, clauses: str
) -> None:
    graphs = ("http://x/a", "http://x/b"), ("http://x/a",)

    assert ask(filled, VALUES.format(clauses), *graphs) == ["1", "2", "3"]
    assert ask(filled, NAMES.format(clauses), *graphs) == ["a"]


@each(
    "pattern, names",
    [
        ("GRAPH ?g {}", "a b c"),
        ("GRAPH ?g { OPTIONAL { ?s ?p 1 } }", "a b c"),
        ("GRAPH ?g { ?s ?p ?o FILTER(?o > 2) }", "b c"),
        ("VALUES ?g { <c> <none> } GRAPH ?g { ?s ?p ?o }", "c"),
        ("?s ?p 1 GRAPH ?g { ?s ?p ?o MINUS { ?s ?p 3 } }", "a"),
        ("GRAPH ?g { <s> <p>+ 3 }", "b c"),
        ("{ SELECT ?g { GRAPH ?g { ?s ?p ?o } } GROUP BY ?g HAVING(COUNT(*) > 1) }", "a b"),
    ],
)  # fmt: skip
def test_what_is_in_a_graph_that_is_a_variable(
    filled: ColumnEngine, pattern: str, names: str
) -> None:
    assert ask(filled, f"SELECT DISTINCT ?g {{ {pattern} }} ORDER BY ?g") == names.split()


def test_a_graph_that_lost_its_last_triple_is_no_graph(filled: ColumnEngine) -> None:
    assert ask(filled, "SELECT ?n { GRAPH <gone> {} BIND(1 AS ?n) }") == []
    assert ask(filled, "SELECT ?n { GRAPH <c> {} BIND(1 AS ?n) }") == ["1"]


def test_a_pattern_with_a_backslash_does_not_read_everything(
    filled: ColumnEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.store.columns.engine.MAX_QUADS", 2)

    names = ask(
        filled, r'SELECT ?g { GRAPH ?g { ?s <p> 3 FILTER(REGEX(STR(?s), "\\bs$")) } } ORDER BY ?g'
    )

    assert names == ["b", "c"]


def test_a_filter_that_names_a_graph_reads_no_other(
    filled: ColumnEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.store.columns.engine.MAX_QUADS", 2)

    assert ask(filled, "SELECT ?g { GRAPH ?g { ?s ?p ?o } FILTER(?g = <c> && ?o > 2) }") == ["c"]


def test_a_query_that_would_read_too_much_needs_too_much_memory(
    filled: ColumnEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.store.columns.engine.MAX_QUADS", 4)

    with pytest.raises(MemoryError):
        filled.matching(QueryRequest("ASK { GRAPH ?g { ?s ?p ?o } }"))


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
    filled: ColumnEngine, clauses: str, names: str
) -> None:
    assert ask(filled, NAMED_AND_DEFAULT.format(clauses)) == names.split()


@each(
    "default, named, names",
    [(("http://x/a",), (), ""), ((), ("http://x/b",), ""), (("http://x/a",), ("http://x/b",), "b b"),
     (("http://x/a", "http://x/c"), ("http://x/c",), "c")],
)  # fmt: skip
def test_the_same_holds_for_the_protocols_dataset_over_any_clause(
    filled: ColumnEngine, default: tuple[str, ...], named: tuple[str, ...], names: str
) -> None:
    for clauses in ("", "FROM <a>", "FROM <a> FROM NAMED <b>", "FROM NAMED <c>"):
        assert ask(filled, NAMED_AND_DEFAULT.format(clauses), default, named) == names.split()


def test_a_graph_pattern_or_a_text_is_no_clause() -> None:
    text = 'SELECT ("FROM <a> FROM <b>" AS ?from) { ?s <from> "FROM" . <FROM> <x> ?o } # FROM <a> FROM <b>'

    assert dataset_graphs(QueryRequest(text)) == (None, None)


async def test_a_variable_named_from_names_no_graph(client: httpx.AsyncClient) -> None:
    query = "SELECT (COUNT(*) AS ?n) { VALUES ?from { <http://www.w3.org/2004/02/skos/core#broader> } ?x ?from ?y # from, from\n}"

    answer = await client.get("/sparql", params={"query": query, "format": "csv"})

    assert int(answer.text.split()[1]) > 0
