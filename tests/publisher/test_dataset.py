"""The dataset of a query: FROM and FROM NAMED (SPARQL 1.1 Query, section 13), which parameters of
the protocol override (Protocol, 2.1.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing

import httpx
import pytest
from column_store import write_columns
from pyoxigraph import NamedNode, QuerySolutions
from rows import each

from publisher.store.columns.engine import ColumnEngine
from publisher.store.workers import reader
from publisher.store.workers.query_request import QueryRequest, dataset_graphs
from vocab.terms import XSD

QUADS = [("a", 1), ("a", 2), ("b", 2), ("b", 3), ("c", 3), ("gone", 3)]
VALUES = "SELECT ?o {} {{ ?s ?p ?o }} ORDER BY ?o"
NAMES = "SELECT DISTINCT ?g {} {{ GRAPH ?g {{ ?s ?p ?o }} }} ORDER BY ?g"
NAMED_AND_DEFAULT = "SELECT ?g ?o {} {{ ?s ?p 1 . GRAPH ?g {{ ?s ?p ?o }} }} ORDER BY ?g ?o"
A, B, C = "http://x/a", "http://x/b", "http://x/c"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ColumnEngine]:
    x = "http://x/"
    rows = [
        f'A <{x}s> <{x}p> "{value}"^^<{XSD}integer> <{x}{graph}> .\n'.encode()
        for graph, value in QUADS
    ]
    deleted = rows[-1].replace(b"A ", b"D ", 1)
    path = write_columns([*rows, deleted], tmp_path_factory.mktemp("dataset"))
    with closing(ColumnEngine(path)) as columns:
        yield columns


def ask(
    columns: ColumnEngine,
    text: str,
    default: tuple[str, ...] | None = None,
    named: tuple[str, ...] | None = None,
) -> list[str]:
    """Return the first value of each solution over the quads that match.

    If the columns compile the query, check that they answer the same.
    """
    request = QueryRequest(text, base="http://x/", default_graphs=default, named_graphs=named)
    results = [reader.evaluate(request, *columns.matching(request))]
    if default is None and (compiled := columns.answer(request, 0)):
        results.append(compiled)
    answers = [
        [row[0].value.removeprefix("http://x/") for row in result]
        for result in results
        if isinstance(result, QuerySolutions)
    ]
    assert answers[0] == answers[-1]
    return answers[0]


@each(
    "query, clauses, values",
    [
        *((VALUES, *row) for row in (
            ("", "1 2 3"), ("FROM <a>", "1 2"), ("FROM <a> FROM <b>", "1 2 3"), ("from<a>#x\nFROM <http://x/b>", "1 2 3"),
            ("FROM <a> FROM <a>", "1 2"), ("FROM <b> FROM NAMED <a> FROM <c>", "2 3"), ("FROM <none> FROM <b>", "2 3"),
            ("FROM NAMED <a> FROM NAMED <b>", ""))),
        ("BASE <http://y/> PREFIX x: <http://x/> " + VALUES, "FROM x:a FROM </b> FROM x:b", "1 2 3"),
        *((NAMES, *row) for row in (
            ("", "a b c"), ("FROM <a>", ""), ("FROM NAMED <a>", "a"), ("FROM <a> FROM <c> FROM NAMED <b>", "b"),
            ("FROM <a> FROM <c>", ""))),
        *((NAMED_AND_DEFAULT, *row) for row in (
            ("FROM <a>", ""),  # With FROM alone there are no named graphs (13.2).
            ("FROM <a> FROM <b>", ""),
            ("FROM NAMED <b>", ""),  # With FROM NAMED alone the default graph is empty.
            ("FROM <a> FROM NAMED <b>", "b b"), ("FROM <c> FROM NAMED <b>", ""), ("FROM <a> FROM NAMED <b> FROM NAMED <c>", "b b c"))),
        *(("SELECT DISTINCT ?g {{ {} }} ORDER BY ?g", *row) for row in (
            ("GRAPH ?g {}", "a b c"), ("GRAPH ?g { OPTIONAL { ?s ?p 1 } }", "a b c"), ("GRAPH ?g { ?s ?p ?o FILTER(?o > 2) }", "b c"),
            ("VALUES ?g { <c> <none> } GRAPH ?g { ?s ?p ?o }", "c"), ("?s ?p 1 GRAPH ?g { ?s ?p ?o MINUS { ?s ?p 3 } }", "a"),
            ("GRAPH ?g { <s> <p>+ 3 }", "b c"), ("{ SELECT ?g { GRAPH ?g { ?s ?p ?o } } GROUP BY ?g HAVING(COUNT(*) > 1) }", "a b"))),
        *(("SELECT ?n {{ GRAPH {} {{}} BIND(1 AS ?n) }}", *row) for row in (("<gone>", ""), ("<c>", "1"))),
    ],
)  # fmt: skip
def test_clauses_of_a_query_choose_its_graphs_and_nothing_counts_twice(
    filled: ColumnEngine, query: str, clauses: str, values: str
) -> None:
    assert ask(filled, query.format(clauses)) == values.split()


@each(
    "clauses",
    [
        "",
        "FROM <a>",
        "FROM <c> FROM <b> FROM NAMED <c>",
        "FROM <a> FROM NAMED <b>",
        "FROM NAMED <c>",
    ],
)
@each(
    "query, default, named, values",
    [(VALUES, (A, B), (A,), "1 2 3"), (NAMES, (A, B), (A,), "a"), (NAMED_AND_DEFAULT, (A,), (), ""), (NAMED_AND_DEFAULT, (), (B,), ""),
     (NAMED_AND_DEFAULT, (A,), (B,), "b b"), (NAMED_AND_DEFAULT, (A, C), (C,), "c")],
)  # fmt: skip
def test_the_protocols_dataset_takes_the_place_of_the_querys(
    filled: ColumnEngine,
    clauses: str,
    query: str,
    default: tuple[str, ...],
    named: tuple[str, ...],
    values: str,
) -> None:
    assert ask(filled, query.format(clauses), default, named) == values.split()


def test_a_query_that_is_not_compiled_reads_only_what_has_its_constants(
    filled: ColumnEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.store.columns.engine.MAX_QUADS", 2)
    pattern = r'SELECT ?g { GRAPH ?g { ?s <p> 3 FILTER(REGEX(STR(?s), "\\bs$")) } } ORDER BY ?g'

    assert ask(filled, pattern) == ["b", "c"]
    with pytest.raises(MemoryError):  # All quads are more than MAX_QUADS.
        filled.matching(QueryRequest("ASK { GRAPH ?g { ?s ?p ?o } }"))


@each(
    "template, triples",
    [("?s <q> ?g", {"<http://x/s> <http://x/q> <http://x/b>", "<http://x/s> <http://x/q> <http://x/c>"}),
     ("?o <q> ?g . ?s <q> ?none . ?s <q> 3.5", {f'<http://x/s> <http://x/q> "3.5"^^<{XSD}decimal>'})],
)  # fmt: skip
def test_a_graph_is_made_of_named_graphs(
    filled: ColumnEngine, template: str, triples: set[str]
) -> None:
    query = f"CONSTRUCT {{ {template} }} {{ GRAPH ?g {{ ?s <p> 3 }} }}"
    request = QueryRequest(query, base="http://x/")

    # The engine's results belong to this thread, so none is left to the garbage collector.
    results = [
        {*map(str, result)}
        for result in (
            filled.answer(request, 0),
            reader.evaluate(request, *filled.matching(request)),
        )
        if isinstance(result, Iterable)
    ]

    assert results == [triples, triples]


def test_a_blank_node_of_a_template_is_another_in_each_solution(filled: ColumnEngine) -> None:
    query = "CONSTRUCT { _:a <q> ?g ; <q> _:b } { GRAPH ?g { ?s <p> 3 } }"

    triples = list(filled.answer(QueryRequest(query, base="http://x/"), 0) or ())

    assert len({node for s, _, o in triples for node in (s, o)} - {NamedNode(B), NamedNode(C)}) == 4


def test_a_graph_pattern_or_a_text_is_no_clause() -> None:
    text = 'SELECT ("FROM <a> FROM <b>" AS ?from) { ?s <from> "FROM" . <FROM> <x> ?o } # FROM <a> FROM <b>'

    assert dataset_graphs(QueryRequest(text)) == (None, None)


async def test_a_variable_named_from_names_no_graph(client: httpx.AsyncClient) -> None:
    query = "SELECT (COUNT(*) AS ?n) { VALUES ?from { <http://www.w3.org/2004/02/skos/core#broader> } ?x ?from ?y # from, from\n}"

    answer = await client.get("/sparql", params={"query": query, "format": "csv"})

    assert int(answer.text.split()[1]) > 0
