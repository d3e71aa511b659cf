"""The columns answer as the RDF store does, or not at all, and follow the journal as it does."""

from __future__ import annotations

import json
import re
import shutil
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import followers
import httpx
import pytest
from column_store import columns_of, comparable, evaluate_merged, merged_store, rows, solutions
from columns_ready import columns_answer
from event_loops import session_loop
from publish_fixture import copy_data
from pyoxigraph import BlankNode, Literal, NamedNode, Quad, Store
from random_queries import (
    CALLS,
    GRAPHS,
    INTEGERS,
    NODES,
    PREDICATES,
    SEPARATOR,
    TESTS,
    TEXTS,
    QueryGenerator,
    random_quads,
    typed,
)
from rows import each
from small_world import CHANGED, IRIS, plain, record_rows

from journal.journal import Journal
from publisher.rdf import is_unchanged, stored_rows, term_id
from publisher.store.changes import JournalReader
from publisher.store.columns.algebra import NotCompiled
from publisher.store.columns.database import (
    FILE,
    TABLES,
    ColumnDatabase,
    ColumnUpdater,
    Stage,
    open_statements,
)
from publisher.store.columns.engine import ColumnEngine, _Lines
from publisher.store.columns.expressions import FUNCTIONS
from publisher.store.query_service import QueryService
from publisher.store.snapshots import newest_snapshot
from publisher.store.workers.query_request import QueryRequest, in_written_order
from publisher.store.workers.reader import OpenSnapshot, evaluate, may_compile
from vocab.iris import Iris
from vocab.terms import XSD

Shared = Callable[..., ColumnEngine]

SEEDS = 60
PER_DATA = 10  # random queries over the same data
NIGHTLY_SEEDS, NIGHTLY_PER_DATA = 10_000, 250
COUNT = "SELECT ?p (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?p"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Yield a function that opens columns, once for the same quads; tests only read them."""
    with ExitStack() as stack:

        @cache
        def open_once(*stored: Quad) -> ColumnEngine:
            columns: ColumnEngine = columns_of(stored, tmp_path_factory.mktemp("shared"))
            return stack.enter_context(closing(columns))

        yield open_once


# By section 18.4 of https://www.w3.org/TR/sparql11-query/, a path of no steps may begin or end at a
# term that no triple has. The store alone does not allow this; with the columns it does.
ZERO_STEPS = re.compile(r"[>)][*?] ")
# Answers to these may differ in the rows that are chosen. And sorting may end the process, since
# pyoxigraph's order of values is not total, which the sort of Rust refuses.
_UNDEFINED = re.compile(r"LIMIT|OFFSET|SAMPLE|ORDER BY")


BY_NIGHT = range(SEEDS, SEEDS + NIGHTLY_SEEDS, NIGHTLY_PER_DATA)


@pytest.mark.parametrize(
    ("first", "number"),
    [*((first, PER_DATA) for first in range(0, SEEDS, PER_DATA)),
     *(pytest.param(first, NIGHTLY_PER_DATA, marks=pytest.mark.nightly) for first in BY_NIGHT)],
)  # fmt: skip
def test_random_queries_have_equal_answers(
    first: int, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = (10_000, 2)[first // number % 2]
    monkeypatch.setattr("publisher.store.columns.engine.FETCHED", fetched)
    assert _equal_answers(range(first, first + number), tmp_path) >= number // 10


def _equal_answers(seeds: range, folder: Path) -> int:
    """Check that random queries have the store's answers; return how many were compiled.

    Each is also evaluated over the quads that it can match, with and without a binding.
    """
    stored = random_quads(Random(seeds[0]))
    store, compiled, reasons = merged_store(stored), 0, list[str]()
    nodes = {str(node) for quad in stored for node in (quad.subject, quad.object)}
    with closing(columns_of(stored, folder)) as columns:
        for seed in seeds:
            random = Random(seed)
            try:
                query = in_written_order(QueryGenerator(random).query())
                Store().query(query)
            except SyntaxError:  # Two BIND of a group have the same variable.
                continue
            for bindings in ({}, _random_binding(query, random)):
                if ZERO_STEPS.search(query) and not nodes.issuperset(bindings.values()):
                    continue
                if not _UNDEFINED.search(query):
                    request = QueryRequest(query, bindings=bindings)
                    matched = solutions(evaluate(request, *columns.matching(request)))
                    assert comparable(query, matched) == comparable(
                        query, _of_store(store, query, bindings)
                    ), (seed, query, bindings)
            try:
                answer = solutions(columns.solutions(columns.compile(query)))
            except NotCompiled as error:
                reasons.append(f"{error}: {query}")
                continue
            compiled += 1

            assert comparable(query, answer) == comparable(query, _of_store(store, query, {})), (
                seed,
                query,
            )
    assert [reason for reason in reasons if "Binder Error" in reason] == []
    return compiled


def _random_binding(query: str, random: Random) -> dict[str, str]:
    """Return a random term for the first variable, or no binding if *query* does not select it."""
    name = query.partition("?")[2][:1]
    is_selected = query.startswith((f"SELECT ?{name} ", f"SELECT DISTINCT ?{name} "))
    return (
        {name: str(random.choice([*NODES[:4], *TEXTS[:2], *INTEGERS[:3]]))} if is_selected else {}
    )


def _of_store(
    store: Store, query: str, bindings: Mapping[str, str]
) -> list[tuple[str | None, ...]]:
    result: list[tuple[str | None, ...]] = solutions(
        evaluate_merged(store, QueryRequest(query, bindings=bindings))
    )
    return result


@each(
    "query, number",
    [
        ("SELECT ?s { ?s <x:p> ?o OPTIONAL { ?o ^<x:q> 'a' } } ORDER BY ?s LIMIT 2", 2),
        ("SELECT ?s { ?s <x:p> ?o OPTIONAL { ?o ^<x:q> 'a' } FILTER EXISTS { ?s <x:p> ?o } }", 9),
    ],
)
def test_limit_and_existence_hold_over_a_part_that_cannot_match(
    query: str, number: int, shared: Shared
) -> None:
    assert len(_equal(shared, _quads(*((name, "p", "o") for name in range(9))), query)) == number


def test_what_must_not_exist_is_compiled_where_nothing_else_matches(shared: Shared) -> None:
    # DuckDB reads tables in parts of 2,048 rows, and stops after the first where nothing is joined.
    query = """SELECT (COUNT(*) AS ?n)
        { ?s <x:q>/<x:r> ?x FILTER NOT EXISTS { ?s <x:p> ?o FILTER(STR(?o) != "") } }"""

    _equal(shared, _quads(*((f"s{number}", "p", f"o{number}") for number in range(2_100))), query)


@each(
    "path, is_compiled",
    [("<x:p>|<x:q>", True), ("<x:p>|<x:double>", True), ("<x:p>|^<x:q>", False), ("<x:p>|<x:p>", True), ("<x:p>+", True),
     ("<x:p>*", False)],
)  # fmt: skip
def test_pair_of_two_alternatives_is_counted_once(
    path: str, is_compiled: bool, shared: Shared
) -> None:
    edges = [("s", "p", "o"), ("t", "q", "o"), ("s", "double", "o"), ("s", "p", "t")]
    stored = _quads(*edges, ("o", "p", "s"))
    for query in (
        f"SELECT ?s ?o {{ ?s {path} ?o }}",
        f"SELECT ?s {{ ?s {path} ?s }}",
        f"SELECT ?o {{ <x:t> ^<x:p>/({path}) ?o }}",
    ):
        if is_compiled:
            _equal(shared, stored, query)
        else:
            with pytest.raises(NotCompiled, match="the path"):
                shared(*stored).compile(query)


@each(
    "inside, expected",
    [("?s <x:p> ?o OPTIONAL { ?o <x:q> ?x }", [("0", "a", None), ("1", "a", "d")]),
     ("?s <x:p> ?o FILTER EXISTS { ?o <x:q> ?x }", [("1", "a", None)]), ("?s <x:p> ?o FILTER(?o = <x:b>)", [("0", "a", None)]),
     ("{ ?s <x:p> <x:b> } UNION { ?s <x:q> ?x }", [("0", "a", None), ("1", "c", "d")])],
)  # fmt: skip
def test_pattern_in_graph_is_of_one_graph_at_a_time(
    inside: str, expected: list[tuple[str, str, str | None]], shared: Shared
) -> None:
    # Source: https://www.w3.org/TR/sparql11-query/#sparqlAlgebraEvaluation (Evaluation of Graph)
    stored = _quads(("a", "p", "b"), ("a", "p", "c", 1), ("c", "q", "d", 1))

    assert _equal(shared, stored, f"SELECT ?g ?s ?x {{ GRAPH ?g {{ {inside} }} }}") == [
        (str(GRAPHS[int(graph)]), f"<x:{s}>", x and f"<x:{x}>") for graph, s, x in expected
    ]


@each("group", ["GRAPH ?g", f"GRAPH {GRAPHS[0]}", ""])
@each(
    "before, inside, expected",
    [("?s <x:p> ?x", "?s <x:q> ?o FILTER EXISTS { ?x <x:p> ?y }", [("<x:a>", "<x:b>")]),
     ("?s <x:p> ?x", "{ ?s <x:q> ?o } UNION { ?s <x:p> ?o } FILTER NOT EXISTS { ?z <x:q> ?x }", [])],
)  # fmt: skip
def test_existence_in_a_group_does_not_see_what_is_outside(
    group: str, before: str, inside: str, expected: list[tuple[str, str]], shared: Shared
) -> None:
    # The group is evaluated alone, then joined: its ?x is any term. pyoxigraph 0.5 replaces it by
    # the term of ?x outside. Source: https://www.w3.org/TR/sparql11-query/#BottomUpSemantics
    stored = _quads(("a", "p", "b"), ("a", "q", "c"), ("e", "q", "d"))
    query = f"SELECT ?s ?x {{ {before} {group} {{ {inside} }} }}"

    assert _answer(shared(*stored), query) == expected
    assert solutions(merged_store(stored).query(query)) != expected


def _quads(*edges: Any) -> list[Quad]:
    """Return quads of (subject, predicate, object) in the first graph, or in that of a number."""
    return [
        Quad(NamedNode(f"x:{s}"), NamedNode(f"x:{p}"), NamedNode(f"x:{o}"), GRAPHS[sum(graph)])
        for s, p, o, *graph in edges
    ]


def _values(
    *terms: NamedNode | BlankNode | Literal, predicate: NamedNode = PREDICATES[0]
) -> list[Quad]:
    return [Quad(NODES[0], predicate, term, GRAPHS[0]) for term in terms]


def _equal(shared: Shared, stored: list[Quad], query: str) -> list[tuple[str | None, ...]]:
    """Return the answer of the columns, after checking that it is that of the store."""
    answer = _answer(shared(*stored), query)
    assert answer == _in_order(query, _of_store(merged_store(stored), query, {}))
    return answer


@pytest.fixture
def stored() -> list[Quad]:
    result: list[Quad] = random_quads(Random(1))
    return result


def test_applying_an_entry_again_changes_nothing(stored: list[Quad], tmp_path: Path) -> None:
    with (
        closing(columns_of(stored, tmp_path / "once")) as once,
        closing(columns_of([*stored, *stored], tmp_path / "twice")) as twice,
    ):
        assert _answer(once, COUNT) == _answer(twice, COUNT)


ONE, OTHER, LAST = _quads(("s", "p", "o"), ("s", "p", "o", 1), ("s", "p", "last", 1))


@each(
    "changes",
    [[*rows([ONE, OTHER, LAST]), *rows([ONE, LAST], "D")],  # Another graph still has the triple.
     [*rows([ONE]), *rows([ONE], "D"), *rows([ONE])]],
)  # fmt: skip
def test_triple_stays_while_a_graph_has_it(changes: list[bytes], tmp_path: Path) -> None:
    folder = tmp_path / str(len(changes))
    folder.mkdir()

    assert _after(changes, folder) == [("<x:p>", str(Literal(1)))]


def test_numbers_of_one_value_are_one_term_as_in_the_store(shared: Shared) -> None:
    same = [typed(text, "integer") for text in ("1", "01", "+1")]

    _equal(shared, _values(*same, predicate=PREDICATES[3]), COUNT)


def test_uncommitted_changes_are_lost_with_their_position(
    stored: list[Quad], tmp_path: Path
) -> None:
    path = tmp_path / "work.duckdb"
    with closing(ColumnDatabase(path, Iris())) as database:
        database.begin()
        list(database.apply(rows(stored[:9])))
        database.commit(7, "seventh")
        database.begin()
        list(database.apply(rows(stored)))

    with closing(ColumnDatabase(path, Iris())) as database:
        assert database.checkpoint()[:2] == (7, "seventh")
        database.copy(tmp_path / "copy.duckdb")
    with closing(ColumnEngine(tmp_path / "copy.duckdb")) as columns:
        assert columns.triples == len({quad.triple for quad in stored[:9]})


def test_two_terms_with_one_number_are_a_fault() -> None:
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        number = term_id(str(NODES[0]))
        connection.execute(f'INSERT INTO terms (id, "check") SELECT {number}::UBIGINT, 1')
        stage = Stage(connection)
        stage.add(rows([Quad(NODES[0], PREDICATES[0], NODES[1], GRAPHS[0])]))

        stage.insert_terms()

        assert stage.fault == "two terms have the same 64-bit hash"


@pytest.mark.parametrize(
    ("row", "reason"),
    [(b"A <x:s> <x:p>", "not enough values"), (b"A <x:s> <x:p> 5 <x:g> .", "line 1"), (b'A <x:s> <x:p> "a"b <x:g> .', "line 1"),
     (b"A <x:s> <x:p> <<( <x:s> <x:p> <x:o> )>> <x:g> .", "quoted triple"), (b"A << <x:s> <x:p> <x:o> >> <x:p> <x:o> <x:g> .", "line 1")],
)  # fmt: skip
def test_row_that_columns_cannot_hold_is_refused(row: bytes, reason: str) -> None:
    with duckdb.connect() as connection, pytest.raises(ValueError, match=reason):
        Stage(connection).add([row])


def test_terms_that_are_taken_as_they_are_are_written_alike_by_the_store() -> None:
    days = ("2026-02-28", "1000-12-01", "2999-01-10")
    texts = [
        *(f'"{day}T{time}Z"^^<{XSD}dateTime>' for day in days for time in ("00:00:00", "23:59:59")),
        *(f'"{day}"^^<{XSD}date>' for day in days),
        *(f'"{number}"^^<{XSD}decimal>' for number in ("0.5", "-0.5", "-12.003", "123456789.12345678", "10.01")),
        *('"POINT(1 2)"^^<http://www.opengis.net/ont/geosparql#wktLiteral>', '"1"^^<https://example.org/n>', '"ü "@de', '"x"'),
        *("<http://example.org/\u00fc>", "<urn:a>"),
    ]  # fmt: skip
    odd = [
        *(f'"{text}"^^<{XSD}decimal>' for text in ("1.50", "01.5", "1.0", "-0.0", "1.")),
        *(f'"{text}"^^<{XSD}date>' for text in ("2026-02-30", "2026-2-01", "0000-01-01", "2026-01-01Z")),
        *(f'"2026-01-01T{text}"^^<{XSD}dateTime>' for text in ("24:00:00Z", "10:00:00", "10:00:00.0Z", "10:00:60Z")),
        *('"a\\nb"', '"x"@EN', f'"01"^^<{XSD}integer>', "<http://example.org/\\u00fc>"),
    ]  # fmt: skip

    assert [text for text in texts if not is_unchanged(text.encode())] == []
    assert [row.text for row in stored_rows([text.encode() for text in texts])] == texts
    assert [text for text in odd if is_unchanged(text.encode())] == []


@pytest.mark.parametrize(
    ("query", "reason"),
    [("ASK { ?s ?p ?o }", "another form"), ("CONSTRUCT WHERE { ?s ?p ?o }", "another form"), ("DESCRIBE ?s { ?s ?p ?o }", "another form"),
     (f"SELECT ?s FROM {GRAPHS[0]} {{ ?s ?p ?o }}", "FROM"), ("SELECT ?s { ?s !(<x:p>|^<x:q>) ?o }", "the term"),
     ("SELECT ?s { ?s (<x:p>/<x:q>)+ ?o }", "the path"), ("SELECT ?s { ?s <x:p>? ?o }", "the path"),
     ("SELECT ?s { ?s (<x:p>|^<x:q>) ?o }", "the path"),
     ("SELECT ?s { GRAPH ?g { ?s <x:p>+ ?o } }", "the path"),
     ("SELECT ?s { GRAPH ?g { ?s ?p ?o MINUS { ?x <x:q> ?y } } }", "Minus"),
     ("SELECT ?s (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?s OFFSET 5", "LIMIT or OFFSET"),
     ("SELECT ?s (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?s LIMIT 5", "LIMIT or OFFSET"),
     ("SELECT ?s (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?s HAVING (?o = 1)", "neither grouped nor aggregated"),
     ("SELECT ?o { VALUES ?s { } ?s <x:p> ?o }", "ToMultiSet"), ("SELECT ?s { ?s ?p ?o FILTER(?o = 1.5) }", "a decimal"),
     ("SELECT ?o { GRAPH ?g { ?s ?p ?o FILTER(?o = ?g) } }", "used within it"),
     ("SELECT ?s { ?s ?p ?o FILTER(?o = 1.5e0) }", "the literal"),
     ("SELECT ?s { ?s ?p ?o } LIMIT 5", "LIMIT or OFFSET without ORDER BY"),
     ("SELECT (COUNT(DISTINCT *) AS ?n) { ?s ?p ?o }", "COUNT"),
     ("SELECT (RAND() AS ?x) { ?s ?p ?o }", "RAND"),
     ("SELECT (?o + 1 AS ?x) { ?s ?p ?o }", "AdditiveExpression"), ("SELECT (LCASE(?o) AS ?x) { ?s ?p ?o }", "several kinds"),
     ("SELECT (IF(?o = 1, ?o, ?s) AS ?x) { ?s ?p ?o }", "several kinds"), ("SELECT (STRAFTER(?o, 'a') AS ?x) { ?s ?p ?o }", "a language"),
     ("SELECT (STRBEFORE(STR(?o), 'a'@en) AS ?x) { ?s ?p ?o }", "a constant"),
     ("SELECT (SUBSTR(STR(?o), 0) AS ?x) { ?s ?p ?o }", "a constant"),
     ("SELECT (SUM(?o) AS ?x) { ?s ?p ?o }", "Sum of"), ("SELECT (GROUP_CONCAT(YEAR(?o)) AS ?x) { ?s ?p ?o }", "GroupConcat of"),
     ("SELECT (MAX(?o = 1) AS ?x) { ?s ?p ?o }", "MIN or MAX of booleans"), ("SELECT ?s { ?s ?p ?o FILTER(REGEX(?o, 'a.b')) }", "REGEX"),
     ("SELECT ?s { ?s ?p ?o FILTER EXISTS { { ?s <x:p> ?o } UNION { ?s <x:q> ?o } } }", "EXISTS"),
     ("SELECT ?s { ?s ?p ?o FILTER EXISTS { ?s ?p ?o MINUS { ?o ?p ?s } } }", "EXISTS")],
)  # fmt: skip
def test_query_that_is_not_certain_is_not_compiled(
    query: str, reason: str, stored: list[Quad], shared: Shared
) -> None:
    with pytest.raises(NotCompiled, match=reason):
        shared(*stored).compile(query)


PATHS = _quads(
    ("a", "p", "b"), ("b", "p", "c"), ("c", "p", "a"), ("d", "q", "a"), ("d", "p", "e"),
)  # fmt: skip


@each(
    "query",
    ["SELECT ?o { <x:a> <x:p>+ ?o }", "SELECT ?s { ?s <x:p>+ <x:e> }", "SELECT ?s ?o { ?s <x:p>+ ?o }", "SELECT ?s { ?s <x:p>+ ?s }",
     "SELECT ?s ?o { ?s <x:q>/<x:p>+ ?o }", "SELECT ?s ?o { ?s <x:q>/<x:p>* ?o }", "SELECT ?s ?o { ?s <x:p>/<x:p>* ?o }",
     "SELECT ?s { ?s <x:p>/<x:q>* <x:e> }", "SELECT (COUNT(*) AS ?n) { ?s <x:q>/<x:p>/<x:p>* ?o }", "SELECT ?s ?o { ?s <x:p>+/^<x:p> ?o }",
     "SELECT ?o { VALUES ?s { <x:a> <x:d> } ?s <x:p>+ ?o }",
     "SELECT (COUNT(*) AS ?n) { ?s <x:p>+ ?o . ?o <x:p>+ ?s }", "SELECT ?o { <x:nothing> <x:p>+ ?o }"],
)  # fmt: skip
def test_recursive_path_connects_each_pair_once(query: str, shared: Shared) -> None:
    _equal(shared, PATHS, query)


@each(
    "query",
    [
        "SELECT ?s ?x { ?s <x:p> ?o BIND(EXISTS { ?t <x:q> ?o } AS ?x) }",
        "SELECT ?s ?x { ?s <x:p> ?o BIND(IF(NOT EXISTS { ?s <x:q> ?t }, 0, 1) AS ?x) }",
        "SELECT ?s ?o { ?s <x:p> ?o FILTER(EXISTS { ?s <x:q> ?t } || ?o = <x:b>) }",
        "SELECT ?s ?o { ?s <x:p> ?o FILTER EXISTS { ?t <x:q> ?u FILTER(?u != ?o) } }",
        "SELECT ?s ?t { ?s <x:p> ?o OPTIONAL { ?t <x:q> ?s } FILTER EXISTS { ?t <x:p> ?u } }",
        "SELECT ?s ?x { ?s <x:p> ?o OPTIONAL { ?t <x:q> ?s } BIND(COALESCE(?t, ?o) AS ?x) }",
        "SELECT ?s ?x { ?s <x:p> ?o OPTIONAL { ?t <x:q> ?s } BIND(STR(COALESCE(?t, ?none, ?o)) AS ?x) }",
        "SELECT ?s ?x { ?s <x:p> ?o OPTIONAL { ?t <x:q> ?s } BIND(IF(BOUND(?t), STR(?t), 'no') AS ?x) }",
        "SELECT DISTINCT ?s (EXISTS { ?s <x:q> ?t } AS ?x) { GRAPH ?g { ?s <x:p> ?o } }",
        "SELECT DISTINCT ?s (EXISTS { ?s <x:p>/<x:p> <x:a> } AS ?x) { ?s <x:p> ?o }",
        "SELECT ?s (NOT EXISTS { ?s <x:q> <x:a> } AS ?x) (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?s",
        "SELECT ?s (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?s HAVING (EXISTS { ?s <x:p> <x:b> })",
        "SELECT ?s ?o { ?s <x:p> ?o MINUS { ?s <x:q> ?t } }",
        "SELECT ?s ?o { ?s <x:p> ?o MINUS { ?x <x:q> ?t } }",
        "SELECT ?s ?t { ?s ?p ?o OPTIONAL { ?s <x:q> ?t } MINUS { ?u <x:q> ?t } }",
        "SELECT ?s ?t { ?s ?p ?o OPTIONAL { ?s <x:q> ?t } MINUS { ?s <x:q> ?u OPTIONAL { ?u <x:none> ?t } } }",
        f"SELECT ?s {{ GRAPH {GRAPHS[0]} {{ ?s <x:p> ?o MINUS {{ ?s <x:q> ?y }} }} }}",
    ],
)
def test_choice_and_existence_are_values(query: str, shared: Shared) -> None:
    assert _equal(shared, PATHS, query)


@each(
    "expression, texts",
    [("AVG(?n)", ["2", "3", "4"]), ("AVG(?n)", ["2", "3", "3"]), ("AVG(?n)", ["1", "2", "1"]), ("SUM(?n)", ["-5", "7"]),
     ("MIN(?n)", ["10", "9"]), ("MAX(DISTINCT ?n)", ["10", "9", "10"])],
)  # fmt: skip
def test_numbers_are_added_and_averaged_as_in_the_store(
    expression: str, texts: list[str], shared: Shared
) -> None:
    stored = [
        Quad(NODES[number], PREDICATES[0], typed(text, "integer"), GRAPHS[0])
        for number, text in enumerate(texts)
    ]
    query = f"SELECT ({expression} AS ?x) {{ ?s ?p ?o BIND(<{XSD}integer>(?o) AS ?n) }} ORDER BY ?x"

    _equal(shared, stored, query)


@each("of", ["?o", "DISTINCT ?o", "STR(?s)", "DISTINCT LCASE(STR(?o))"])
@each("end", ["", f"; SEPARATOR='{SEPARATOR}'"])
def test_strings_of_a_group_are_joined(of: str, end: str, shared: Shared) -> None:
    texts = [(0, "b"), (0, "a"), (1, "b"), (2, "it's"), (3, "")]
    stored = [
        Quad(NODES[number], predicate, Literal(text), GRAPHS[0])
        for number, text in texts
        for predicate in PREDICATES[:2]
    ]
    languages = [Quad(NODES[0], PREDICATES[0], Literal("b", language="en"), GRAPHS[0])]
    query = f"SELECT (GROUP_CONCAT({of}{end}) AS ?x) {{ ?s ?p ?o FILTER(?o != 'c') }}"

    for data in (stored, []):
        answer, expected = (
            _answer(shared(*data), query), solutions(merged_store(data).query(query))
        )  # fmt: skip
        assert comparable(query, answer) == comparable(query, expected)
    if of == "?o":
        with pytest.raises(NotCompiled, match="not compiled"):
            _answer(shared(*languages), query)


@each(
    "expression",
    ['CONCAT(STR(?o), "é", LANG(?o))', "COALESCE(?none, ?o)", 'STRBEFORE(STR(?o), "n")',
     'STRAFTER(STR(?o), "é")', 'STRAFTER(STR(?none), "é")', "SUBSTR(STR(?o), 2, 3)", "SUBSTR(STR(?o), 2)",
     "LCASE(STR(?o))", 'IF(isIRI(?o), "yes", LANG(?o))', "IF(BOUND(?o), true, isBLANK(?o))", "IF(isLITERAL(?o), 1, YEAR(?o))", "DAY(?o)"],
)  # fmt: skip
@each("variables", ["?o ?x", "DISTINCT ?x", "?x (COUNT(*) AS ?n)"])
def test_computed_term_is_that_of_the_store(
    expression: str, variables: str, shared: Shared
) -> None:
    texts = ["", "Kenya", "KENYA\n'ken'", 'kané "x"', "http://example.org/a", "nyn"]
    values = [*map(Literal, texts), *(Literal(text, language="en") for text in texts)]
    values += [typed("5", "integer"), typed("2020-01-01", "date"), typed("true", "boolean")]
    by = " GROUP BY ?x" if "COUNT" in variables else ""
    query = f"SELECT {variables} {{ ?s ?p ?o BIND({expression} AS ?x) }}{by}"

    _equal(shared, _values(*values, NODES[1]), query)


@each(
    "call",
    [*(f"REGEX(STR(?o), {rest})" for rest in ("'a', ?i", "'a', 'i'@en", "'a'@en", "5", "?ken")),
     *(f"LANGMATCHES(LANG(?o), {tag})" for tag in ("'en'@en", "'*'@en", "5", "<x:en>")),
     *(f"{name}(STR(?o), 'n'@fr) = 'Ke'" for name in ("STRBEFORE", "STRAFTER")), "SUBSTR(STR(?o), '1') = 'Kenya'", "CONTAINS(?o, ?none)"],
)  # fmt: skip
def test_argument_of_another_type_has_the_error_of_the_store(call: str, shared: Shared) -> None:
    stored = _values(*map(Literal, ("Kenya", "a5", "i")), Literal("Kenya", language="en"))
    query = f"SELECT ?o {{ ?s ?p ?o FILTER({call}) }}"

    assert solutions(merged_store(stored).query(query)) == []
    with pytest.raises(NotCompiled):
        _answer(shared(*stored), query)


@pytest.mark.parametrize(
    "sql",
    [f"SELECT * FROM read_text('{__file__}')", "ATTACH 'other.duckdb' AS other", "COPY (SELECT 1) TO 'copied.csv'",
     "SET enable_external_access = true", "SET memory_limit = '9GB'"],
)  # fmt: skip
def test_columns_are_read_without_access_to_other_files(sql: str, shared: Shared) -> None:
    with pytest.raises(duckdb.Error, match=r"disabled|locked"):
        shared().connection.execute(sql)


def test_random_queries_call_every_function_that_is_compiled() -> None:
    assert {re.split('[ "]', name)[0] for name in FUNCTIONS} <= {*CALLS, *TESTS}


@each(
    "query",
    ["SELECT ?s { ?s ?p 10.5 }", "SELECT ?o { VALUES ?o { 0.5 4.5 } ?s ?p ?o }", "SELECT ?o (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?o",
     "SELECT ?o { ?s ?p ?o FILTER(?o >= -2.25 && ?o < 11) }", "SELECT ?o { ?s ?p ?o FILTER(3 <= ?o) }",
     "SELECT ?o { ?s ?p ?o FILTER(-2.2 > ?o) }"],
)  # fmt: skip
def test_decimals_are_the_terms_of_the_store(query: str, shared: Shared) -> None:
    amounts = [typed(text, "decimal") for text in ("0.5", "-2.25", "10.50", "3", "99999999999.75")]

    _equal(shared, _values(*amounts), query)


@each(
    "datatype, query",
    [("double", "SELECT ?o { ?s ?p ?o FILTER(?o > 1) }"), ("decimal", "SELECT ?o { ?s ?p ?o FILTER(?o = 1) }"),
     ("decimal", "SELECT ?o { ?s ?p ?o } ORDER BY ?o"), ("decimal", "SELECT (MAX(?o) AS ?x) { ?s ?p ?o }")],
)  # fmt: skip
def test_doubles_are_compared_and_decimals_sorted_by_the_store_alone(
    datatype: str, query: str, shared: Shared
) -> None:
    with pytest.raises(NotCompiled, match="not compiled"):
        _answer(shared(*_values(typed("0.5", datatype), typed("10.5", datatype))), query)


def test_coalesce_of_variables_is_counted_without_the_terms(shared: Shared) -> None:
    stored = _quads(("a", "p", "b"), ("c", "p", "b"), ("d", "q", "c", 1))
    query = """SELECT (COUNT(DISTINCT ?x) AS ?n)
        { ?s <x:p> ?o OPTIONAL { ?t <x:q> ?s } BIND(COALESCE(?t, ?s) AS ?x) }"""

    _equal(shared, stored, query)
    assert "terms" not in shared(*stored).compile(query).sql


@each(
    "query",
    ['SELECT ?o { ?s <x:p> ?o FILTER(?o IN ("a\tb", "a    b")) }', 'SELECT ?o { ?s <x:p> "a\tb", ?o }',
     "# <x:p> it's\r\nSELECT ?o { # \"a\r?s <x:p> ?o } #", "SELECT ?o\t{ ?s <x:p> ?o # }\n FILTER(?o != 'a#b') }",
     'SELECT ?o { ?s <x:p> ?o FILTER(?o != """a\n"# \'b""" && ?o IN ("a\tb", "a#b")) }',
     "SELECT ?o { ?s <x:p> ?o, '''a\n\"# 'b''' # }\n }", "SELECT (<http://example.org/#x> AS ?o) { ?s <x:number> ?v FILTER(?v<6) }#>",
     "PREFIX x: <x:>#\nSELECT ?o { ?s x:number#\n?o FILTER(?o<7 #>\n) }"],
)  # fmt: skip
def test_tabs_and_signs_of_comments_in_texts_are_kept(query: str, shared: Shared) -> None:
    texts = ["a\tb", "a    b", "a#b", "a\n\"# 'b"]
    stored = _values(*map(Literal, texts), predicate=NamedNode("x:p"))
    stored += _values(Literal(5), Literal(7), predicate=NamedNode("x:number"))

    assert _equal(shared, stored, query)


@each("end", ["} {", "# }", "} {#>", "'# }", "<# }"])
def test_query_without_an_end_is_not_compiled(end: str, shared: Shared) -> None:
    with pytest.raises(NotCompiled, match="not a query for the parser"):
        _answer(shared(), f"SELECT ?s {{ ?s ?p ?o {end}")


def test_lower_case_is_the_stores_for_every_letter_that_is_compiled(tmp_path: Path) -> None:
    ranges = (
        *((0x23, 0x5B), (0x5D, 0x7E), (0x80, 0x12F), (0x131, 0x17F), (0x400, 0x45F)),
        *((0x600, 0x6FF), (0x2010, 0x2027), (0x3000, 0x9FFF), (0xFF01, 0xFFEF)),
    )
    letters = [chr(code) for part in ranges for code in _codes(*part)]
    stored = [Quad(NODES[0], PREDICATES[2], Literal(f"{letter}x"), GRAPHS[0]) for letter in letters]
    lowered = solutions(merged_store(stored).query("SELECT ?o (LCASE(?o) AS ?low) { ?s ?p ?o }"))
    with closing(columns_of(stored, tmp_path)) as columns:
        passed = _answer(columns, 'SELECT ?o { ?s ?p ?o FILTER(LCASE(?o) != "y") }')
        result = columns.connection.execute(
            "SELECT '\"' || lexical || '\"', '\"' || lower(lexical) || '\"' FROM terms WHERE kind = 2"
        ).fetchall()

    assert len(passed) == len(letters)
    assert dict(result) == dict(lowered)


def test_lower_case_of_two_other_letters_alone_has_letters_of_ascii(tmp_path: Path) -> None:
    letters = [chr(code) for code in range(0x80, 0x30000) if chr(code).lower() != chr(code)]
    stored = [Quad(NODES[0], PREDICATES[2], Literal(letter), GRAPHS[0]) for letter in letters]
    query = "SELECT ?o (LCASE(?o) AS ?low) { ?s ?p ?o }"
    odd = {letter for letter, low in _pairs(merged_store(stored), query) if _has_ascii(low)}
    with closing(columns_of(stored, tmp_path)) as columns:
        rows_of = columns.connection.execute("SELECT lexical, lower(lexical) FROM terms").fetchall()
        odd |= {letter for letter, low in rows_of if letter in letters and _has_ascii(low)}
        answer = _answer(columns, 'SELECT (COUNT(*) AS ?n) { ?s ?p ?o FILTER(CONTAINS(?o, "x")) }')
        with pytest.raises(NotCompiled, match="not compiled"):
            _answer(columns, 'SELECT ?o { ?s ?p ?o FILTER(CONTAINS(LCASE(?o), "k")) }')

    assert odd == {"\u0130", "\u212a"}
    assert answer == [(str(Literal(0)),)]


def _codes(first: int, last: int) -> range:
    """Return the code points from *first* to *last*; in a large range, every sixteenth."""
    return range(first, last + 1, 16 if last - first > 10_000 else 1)


def _pairs(store: Store, query: str) -> list[tuple[str, str]]:
    return [((one or "")[1:-1], (two or "")[1:-1]) for one, two in solutions(store.query(query))]


def _has_ascii(text: str) -> bool:
    return any(letter.isascii() for letter in text)


_AROUND = ("", " ", "-", "_", "9", "ü", "ك", "中", "\n", "'s")


@each("pattern", [r"\\b(women|niñas)\\b", r"\\bwomen", r"niñas\\b", r"\\bwomen in\\b"])
def test_boundary_of_a_word_is_where_the_store_has_one(pattern: str, shared: Shared) -> None:
    words = ("women", "Niñas", "niñas", "women in", "men")
    texts = [f"{one}{word}{two}" for one in _AROUND for word in words for two in _AROUND]
    stored = _values(*map(Literal, texts), *(Literal(text, language="es") for text in texts))
    for flags in ("", ", 'i'"):
        query = f"SELECT ?o (LANG(CONCAT(?o, '-')) AS ?l) {{ ?s ?p ?o FILTER(REGEX(CONCAT(?o, ?o), '{pattern}'{flags})) }}"

        assert 0 < len(_equal(shared, stored, query)) < len(stored)


@each("flags", ["", ", 'i'"])
def test_any_letters_between_two_words_are_on_one_line(flags: str, shared: Shared) -> None:
    texts = [
        "open data",
        "opendata",
        "Open \u00fc\u4e2d Data",
        "open\ndata",
        "open\rdata",
        "data open",
    ]
    query = f"SELECT ?o {{ ?s ?p ?o FILTER(REGEX(?o, 'open.*data'{flags})) }}"

    assert 0 < len(_equal(shared, _values(*map(Literal, texts)), query)) < len(texts)


def test_filter_of_labels_is_evaluated_before_they_are_joined(shared: Shared) -> None:
    labels = [Literal("l", language=language) for language in ("ar", "de", "en", "es", "fr")]
    parts = [NamedNode(f"x:part{number}") for number in range(20)]
    things = [NamedNode(f"x:thing{number}") for number in range(100)]
    stored = [Quad(part, PREDICATES[0], label, GRAPHS[0]) for part in parts for label in labels]
    stored += [Quad(thing, PREDICATES[1], part, GRAPHS[0]) for thing in things for part in parts]
    pattern = f"?s {PREDICATES[1]} ?o . ?o {PREDICATES[0]} ?l FILTER(LANG(?l) = 'de'"
    query = f"SELECT ?l (COUNT(?s) AS ?n) {{ {pattern} && ?s != <x:thing7>) }} GROUP BY ?l"

    assert _equal(shared, stored, query) == [('"l"@de', f'"1980"^^<{XSD}integer>')]
    assert "(SELECT s, p, v" in shared(*stored).compile(query).sql


def test_word_is_found_in_texts_that_are_not_lowered_exactly(shared: Shared) -> None:
    texts = [Literal(f"{letter} KENYA") for letter in ("\u0391", "\u1e9e", "\u01c5")]
    query = 'SELECT ?o { ?s ?p ?o FILTER(CONTAINS(LCASE(?o), "kenya")) } ORDER BY ?o'

    assert len(_equal(shared, _values(*texts, predicate=PREDICATES[2]), query)) == len(texts)


@pytest.fixture(scope="module")
def path(level: Path) -> str:
    """Return the folder of the newest snapshot of the world, which tests only read."""
    newest = newest_snapshot(level / "store" / "snapshots")
    assert newest
    return newest.path


@pytest.fixture
def data(small: Path, tmp_path: Path) -> Path:
    """Return a copy of the journal and the status file of a small world."""
    copied: Path = copy_data(small, tmp_path)
    return copied


@pytest.fixture
def snapshot(path: str) -> Iterator[OpenSnapshot]:
    with closing(OpenSnapshot(path)) as opened:
        yield opened


def test_snapshot_has_the_columns_and_the_status_graph(snapshot: OpenSnapshot, path: str) -> None:
    assert snapshot.columns
    query = "SELECT ?g ?p (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } } GROUP BY ?g ?p"
    merged = "SELECT ?p (COUNT(DISTINCT ?o) AS ?n) { ?s ?p ?o } GROUP BY ?p"

    with open_statements(Path(path) / "columns" / FILE) as statements:
        stored = merged_store(statements.quads())
    for text in (COUNT, merged):
        assert solutions(snapshot.store.query(text)) != []
        assert comparable(text, solutions(snapshot.store.query(text))) == comparable(
            text, solutions(stored.query(text))
        )

    for text in (COUNT, merged, query):
        result = solutions(snapshot.columns.answer(QueryRequest(text, base=IRIS.base), 0))
        assert comparable(text, result) == comparable(text, solutions(stored.query(text)))


def test_engine_is_named_with_the_result(snapshot: OpenSnapshot) -> None:
    engines = [
        snapshot.evaluate(QueryRequest(text, base=IRIS.base))[1]
        for text in (COUNT, "ASK { ?s ?p ?o }")
    ]

    assert engines == ["columns", "store"]


def test_columns_follow_a_change(small: Path, tmp_path: Path) -> None:
    data = copy_data(small, tmp_path, "store")
    gone = [f"D {row[2:]}" for row in record_rows("demo", plain(3))]
    Journal(data / "journal").append(
        [*gone, *record_rows("demo", plain(77))], run="run-4", time=CHANGED
    )

    with closing(OpenSnapshot(followers.level(followers.follower(data)))) as opened:
        assert opened.columns
        answer = _answer(opened.columns, COUNT)

        assert comparable(COUNT, answer) == comparable(COUNT, solutions(opened.store.query(COUNT)))


def test_columns_at_another_position_are_not_used(path: str, tmp_path: Path) -> None:
    copied = shutil.copytree(path, tmp_path / "snapshot")
    about = json.loads((copied / "about.json").read_text())
    (copied / "about.json").write_text(json.dumps(about | {"columns": 0}))

    with closing(OpenSnapshot(str(copied))) as opened:
        assert opened.evaluate(QueryRequest(COUNT, base=IRIS.base))[1] == "store"


def test_columns_of_another_journal_are_rebuilt(data: Path) -> None:
    reader = JournalReader(Journal(data / "journal"), IRIS.base)
    with closing(ColumnDatabase(data / "columns" / "work.duckdb", Iris())) as database:
        database.begin()
        database.commit(1, "of another journal")

    with closing(ColumnUpdater(data / "columns", reader)) as updater:
        assert updater.checkpoint == 0


def test_damaged_columns_are_rebuilt(data: Path) -> None:
    folder = data / "columns"
    folder.mkdir()
    (folder / "work.duckdb").write_bytes(b"no database")
    reader = JournalReader(Journal(data / "journal"), IRIS.base)
    entry = next(reader.journal.entries(0))

    with closing(ColumnUpdater(folder, reader)) as updater:
        list(updater.advance(1, entry.id))
        updater.write(data / "copy")

        assert updater.is_at(1)
        assert (data / "copy" / FILE).exists()


def test_unbound_is_ordered_first(shared: Shared) -> None:
    query = "SELECT ?c { ?a <x:p> ?b OPTIONAL { ?b <x:p> ?c } } ORDER BY ?c"

    answer = _answer(shared(*_quads(("a", "p", "b"), ("c", "p", "a"))), query)

    assert answer == [(None,), ("<x:b>",)]


@session_loop
async def test_header_names_the_engine_and_rows_above_the_limit_are_cut_as_the_stores_are(
    service: QueryService, inside: httpx.AsyncClient
) -> None:
    await columns_answer(service)
    queries = (COUNT, "SELECT ?s { ?s ?p ?o } LIMIT 1")

    engines = [
        (await inside.get("/sparql", params={"query": text})).headers["Stocktake-Engine"]
        for text in queries * 2
    ]

    assert engines == ["columns", "store"] * 2  # The second answers are from the cache.

    query = QueryRequest("SELECT DISTINCT ?s ?p ?o { ?s ?p ?o }", "csv", base=IRIS.base, rows=1_000)
    with closing(await service.query(query)) as answer:
        body = b"".join([chunk async for chunk in answer.chunks(mark=True)])

        assert body.count(b"\r\n") == 1_001
        assert answer.engine == "columns"


def test_store_answers_what_fails_in_the_columns(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(OpenSnapshot(path)) as opened:
        columns = opened.columns
        assert columns
        columns.connection.close()
        engine = opened.evaluate(QueryRequest(COUNT, base=IRIS.base))[1]

    assert engine == "store"
    assert [record.message for record in caplog.records] == [
        "columns failed; the RDF store answers"
    ]


def test_query_is_answered_whatever_constants_the_one_before_had(shared: Shared) -> None:
    types = enumerate(["rare", *["common"] * 40])
    shape = """SELECT (COUNT(*) AS ?n) { ?s <x:type> <x:%s>
        FILTER(REGEX(STR(?s), "%s")) FILTER(<http://www.w3.org/2001/XMLSchema#integer>("%s") = 5) }"""
    left_to_store = [
        ("rare", "x", "5"),  # It visits few quads.
        ("common", "x.x", "5"),  # Its pattern is not compiled.
        ("common", "x", "five"),  # It fails at a value that is no integer.
    ]
    columns = shared(*_quads(*((number, "type", name) for number, name in types)))

    answers = [columns.answer(QueryRequest(shape % constants), 20) for constants in left_to_store]
    answer = columns.answer(QueryRequest(shape % ("common", "x", "5")), 20)

    assert answers == [None] * len(left_to_store)
    assert solutions(answer) == [(str(Literal(40)),)]


@pytest.mark.parametrize(
    "text",
    ["SELECT ?o { ?s ?p ?o }", "SELECT DISTINCT ?o { <http://example.org/a> ?p ?o }",
     "PREFIX x: <http://example.org/> SELECT (COUNT(*) AS ?n) { x:a x:p ?o OPTIONAL { x:a x:q ?r } }"],
)  # fmt: skip
def test_query_that_visits_little_is_not_parsed_for_the_columns(text: str) -> None:
    assert not may_compile(QueryRequest(text))


@pytest.mark.parametrize(
    ("datatype", "texts"),
    [("date", ["2026-01-28", "2026-01-31", "2026-02-01", "2026-03-30", "2026-04-02"]),
     ("dateTime", ["2026-01-28T00:00:00Z", "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-30T00:00:00Z"]),
     ("integer", ["-3", "0", "007", "10"])],
)  # fmt: skip
def test_values_of_one_kind_are_in_order_however_they_were_read(
    datatype: str, texts: list[str], shared: Shared
) -> None:
    stored = _values(*(typed(text, datatype) for text in texts))

    _equal(shared, stored, "SELECT ?o { ?s ?p ?o } ORDER BY DESC(?o)")


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_dates_and_times_are_in_the_order_of_the_store(direction: str, shared: Shared) -> None:
    texts = {
        "date": ("2026-01-28", "2026-01-31", "1999-12-31"),
        "dateTime": ("2026-01-28T00:00:00Z", "2026-01-30T23:59:59Z", "2000-01-01T00:00:00Z"),
    }
    stored = [
        Quad(NODES[number], PREDICATES[0], typed(text, datatype), GRAPHS[0])
        for datatype in texts
        for number, text in enumerate(texts[datatype])
    ]

    _equal(shared, stored, f"SELECT ?o ?s {{ ?s ?p ?o }} ORDER BY {direction}(?o) ?s LIMIT 5")


def _after(changes: list[bytes], folder: Path) -> list[tuple[str | None, ...]]:
    with closing(ColumnDatabase(folder / "work.duckdb", Iris())) as database:
        for number, row in enumerate(changes):
            database.begin()
            list(database.apply([row]))
            database.commit(number, "entry")
        database.copy(folder / "copy.duckdb")
    with closing(ColumnEngine(folder / "copy.duckdb")) as columns:
        return _answer(columns, COUNT)


@each("end", ["LIMIT 0", "LIMIT 1", "LIMIT 4", "LIMIT 3 OFFSET 5", "LIMIT 20"])
@each("direction", ["ASC", "DESC"])
def test_part_of_an_order_by_two_keys_is_that_of_the_store(
    direction: str, end: str, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.store.columns.compiler.MANY", 0)
    value, other = PREDICATES[3], PREDICATES[0]
    stored = [
        *(Quad(node, other, NODES[0], GRAPHS[0]) for node in NODES),
        *(
            Quad(node, value, typed(str(number % 3), "integer"), GRAPHS[0])
            for number, node in enumerate(NODES[2:])
        ),
    ]
    query = (
        f"SELECT ?s ?o {{ ?s {other} ?x OPTIONAL {{ ?s {value} ?o }} }} "
        f"ORDER BY {direction}(?o) ?s {end}"
    )

    _equal(shared, stored, query)


def test_second_key_is_read_only_where_the_first_is_in_the_part(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.store.columns.compiler.MANY", 0)
    values = [NODES[0], NODES[1], BlankNode("unordered"), BlankNode("other")]
    stored = [
        Quad(NODES[0], predicate, value, GRAPHS[0])
        for predicate, value in zip(PREDICATES, values, strict=False)
    ]
    query = "SELECT ?p ?o { ?s ?p ?o } ORDER BY ?p ?o LIMIT "

    _equal(shared, stored, f"{query} 2")
    with pytest.raises(NotCompiled, match="not compiled"):
        _answer(shared(*stored), f"{query} 3")


@pytest.mark.parametrize("variables", ["?o", "?o ?s", "?x"])
def test_a_term_is_answered_as_often_as_it_is_there(variables: str, shared: Shared) -> None:
    subjects = [NamedNode(f"x:{number}") for number in range(20)]
    stored = [
        *(Quad(subject, PREDICATES[0], NODES[0], GRAPHS[0]) for subject in subjects),
        *(Quad(NODES[1], PREDICATES[1], subject, GRAPHS[0]) for subject in subjects),
        Quad(NODES[2], PREDICATES[2], subjects[0], GRAPHS[0]),
        Quad(NODES[2], PREDICATES[2], NODES[0], GRAPHS[0]),
    ]

    _equal(
        shared, stored, f"SELECT {variables} {{ ?s ?p ?o OPTIONAL {{ ?o {PREDICATES[0]} ?x }} }}"
    )


@pytest.mark.parametrize("fetched", [1, 2, 1000])
def test_answer_is_alike_in_however_many_parts_it_is_fetched(
    fetched: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.store.columns.engine.FETCHED", fetched)
    texts = [*TEXTS, *INTEGERS, typed("1.5", "decimal"), BlankNode("b"), NODES[0]]
    stored = [Quad(NODES[1], PREDICATES[0], text, GRAPHS[0]) for text in texts]
    values = "VALUES ?x { UNDEF <x:unknown> } BIND(STR(?o) AS ?t)"
    query = f"SELECT ?o ?x ?t (BOUND(?x) AS ?b) {{ ?s ?p ?o {values} }}"

    with closing(columns_of(stored, tmp_path)) as columns:
        for _ in range(2):  # The second answer reads cached texts.
            assert _answer(columns, query) == _in_order(
                query, solutions(merged_store(stored).query(query))
            )


def test_a_part_of_an_answer_is_read_without_a_copy_of_the_rest() -> None:
    answer = _Lines(("s",), 1, lambda start: "x" * 5_000_000 + "\n")
    beginning = answer.read(10)
    tracemalloc.start()

    parts = [answer.read(1_000) for _ in range(9)]

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (beginning, {*parts}) == (b"?s\n" + b"x" * 7, {b"x" * 1_000})
    assert peak < 100_000


def test_short_texts_are_cached(tmp_path: Path) -> None:
    texts = [Literal("short"), Literal("long " * 100)]

    with closing(columns_of(_values(*texts), tmp_path)) as columns:
        answers = [_answer(columns, "SELECT ?o { ?s ?p ?o }") for _ in range(2)]

        assert answers == [sorted((str(text),) for text in texts)] * 2
        assert list(columns._texts.values()) == ['"short"']


def _answer(columns: ColumnEngine, query: str) -> list[tuple[str | None, ...]]:
    return _in_order(query, solutions(columns.solutions(columns.compile(query))))


def _in_order(
    query: str, answer_rows: list[tuple[str | None, ...]]
) -> list[tuple[str | None, ...]]:
    """Return rows in the order of *query*, or sorted where it has none."""
    return answer_rows if "ORDER BY" in query else sorted(answer_rows, key=repr)
