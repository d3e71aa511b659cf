"""Queries that differ only in constants are parsed once, and have the algebra of their own text."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from column_store import columns_of, solutions
from pyoxigraph import Literal, Quad
from random_queries import GRAPHS, NODES, PREDICATES, QueryGenerator
from rdflib.paths import Path as PropertyPath
from rdflib.plugins.sparql.algebra import translateQuery
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import BNode
from rdflib.term import Literal as ParsedLiteral
from small_world import IRIS

from publisher.sparql.examples import examples
from publisher.store.columns import engine
from publisher.store.columns.algebra import NotCompiled
from publisher.store.columns.engine import parse, shape_of

PREFIXES = "PREFIX e: <http://example.org/> PREFIX r: <relative#> "
QUERIES = [
    "SELECT * { ?s e:p1 <http://example.org/a>, <http://example.org/a> ; r:p e: . FILTER(?s != e:p1) }",
    'SELECT * { ?s ?p "a", "a"@en, \'b\', """c "d" e""", "01"^^<http://www.w3.org/2001/XMLSchema#integer> }',
    'SELECT (GROUP_CONCAT(?o; SEPARATOR=", ") AS ?n) { ?s e:a/^e:b|!(e:c|<http://example.org/d>)* ?o }',
    "CONSTRUCT { ?s e:p <relative> } { ?s e:p ?o VALUES ?o { e:a UNDEF 'x' } } # a comment with <x:y>",
    "ASK FROM <http://example.org/g> FROM NAMED e:g { GRAPH e:g { ?s ?p true, 1.5, 7 } }",
    "SELECT * { ?s e:a ?o FILTER EXISTS { ?o e:b 'x' FILTER NOT EXISTS { ?o e:c e:d FILTER(?o != e:e) } } }",
    "DESCRIBE ?s { ?s e:p1 ?o FILTER EXISTS { ?o e:p2 <urn:x:y> } MINUS { ?o a <http://example.org/z> } }",
    "SELECT (?o-5 AS ?x) { ?s e:a 010, 5, 2.50, +7, -1, .5, 1e3 ; r:p <a/b.c> FILTER(?o > -5) } ORDER BY ?s LIMIT 5 OFFSET 10",
    "ASK { <id/a-1> e:p <a//b>, <./c>, <a/../b>, </d>, <#e>, <?f>, <g:h> }",
    "SELECT ?select { ?select e:where e:SELECT ; e:a.b e:c-d, e:e:f }",
]


def plain(node: object) -> object:
    """Return the algebra *node* as lists and strings, without the labels of blank nodes."""
    if isinstance(node, BNode):
        return "blank"
    if isinstance(node, ParsedLiteral):
        return ["literal", str(node), node.language, node.datatype]
    if isinstance(node, str):
        return [type(node).__name__, str(node)]
    if isinstance(node, CompValue):
        parts = {name: plain(value) for name, value in node.items() if name != "_vars"}
        # rdflib sorts triples by their terms, and placeholders sort otherwise than constants.
        for name in ("triples", "PV"):
            if isinstance(parts.get(name), list):
                parts[name] = sorted(map(str, parts[name]))  # type: ignore[call-overload]
        return [
            node.name,
            parts,
            {name: plain(value) for name, value in vars(node).items() if name[0] != "_"},
        ]
    if isinstance(node, PropertyPath):
        return [type(node).__name__, plain(vars(node))]
    if isinstance(node, dict):
        return {str(name): plain(value) for name, value in node.items()}
    return [plain(part) for part in node] if isinstance(node, list | tuple) else node


@pytest.mark.parametrize(
    "text",
    [*(PREFIXES + query for query in QUERIES), *(query.text for query in examples(IRIS)),
     *(QueryGenerator(Random(seed)).query() for seed in range(60))],
)  # fmt: skip
def test_the_algebra_is_that_of_the_text(text: str) -> None:
    whole = "\n".join(line.partition(" # ")[0] for line in text.splitlines() if line[:1] != "#")
    expected = translateQuery(engine._GRAMMAR.parse_string(whole, parse_all=True), base=IRIS.base)

    assert plain(parse(text, IRIS.base)) == plain(expected.algebra)


def test_queries_that_differ_in_constants_are_parsed_once(tmp_path: Path) -> None:
    stored = [
        Quad(NODES[number], PREDICATES[number % 2], Literal(f"value {number}"), GRAPHS[0])
        for number in range(6)
    ]
    columns = columns_of(stored, tmp_path)
    engine._parsed.cache_clear()

    answers = [
        solutions(
            columns.solutions(
                columns.compile(
                    f'SELECT (COUNT(*) AS ?n) {{ ?s {predicate} "value {number}" }} # {number}'
                )
            )
        )
        for predicate in PREDICATES[:2]
        for number in range(3)
    ]

    integer = "^^<http://www.w3.org/2001/XMLSchema#integer>"
    assert answers == [[(f'"{number}"{integer}',)] for number in (1, 0, 1, 0, 1, 0)]
    assert engine._parsed.cache_info().misses == 1


def test_equal_constants_have_one_placeholder() -> None:
    one, two, three = (
        shape_of(f"ASK {{ e:a e:p {value} }}").text for value in ("e:a", "e:b", "e:c")
    )

    assert one != two == three


@pytest.mark.parametrize(
    "name", ["<urn:x:\U000e00000>", "'\U000e00000'", "e:\U000e00000", "0077007700770"]
)
def test_a_query_with_a_placeholder_is_not_compiled(name: str) -> None:
    with pytest.raises(NotCompiled, match="stand for constants"):
        parse(f"{PREFIXES} SELECT * {{ ?s ?p {name} }}")


def test_a_query_that_is_not_valid_is_not_compiled() -> None:
    with pytest.raises(NotCompiled, match="not a query"):
        parse("SELECT * { ?s <urn:a> }")


def test_a_number_and_a_relative_iri_are_constants() -> None:
    texts = (f"SELECT ?s {{ ?s <a/{n}> {n}, {n}.5 }} LIMIT {n}" for n in (1, 20))

    assert len({shape_of(text).text for text in texts}) == 1
