"""A search at the top level of a query becomes what it finds, and nothing else is taken for a search."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import QuerySolutions, RdfFormat, Store
from rows import each
from search_index import search_index

from publisher.errors import QuerySyntaxError
from publisher.sparql.rewriting import MAX_RESULTS, rewrite_searches
from publisher.store.search.index import SearchEntry
from publisher.store.search.searcher import Searcher
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import evaluate

SPACE = "PREFIX text: <http://jena.apache.org/text#> PREFIX dct: <http://purl.org/dc/terms/> PREFIX x: <https://x.org/id/event/a/> "
THINGS = {
    "clinic": "Remote clinics",
    "school": "Schools with a clinic",
    "farm": "Farmers' market {prices}",
}
DATA = "".join(
    f'<https://x.org/id/event/a/{key}> a <https://x.org/Event> ; <http://purl.org/dc/terms/title> "{title}"@en .\n'
    for key, title in THINGS.items()
)


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """Return an index of three things."""
    texts = {"school": ("Une école de village", "fr")}
    entries = (
        SearchEntry(
            f"https://x.org/id/event/a/{key}",
            "event",
            "a",
            ((title, "en"),),
            (texts.get(key, ("A village", "en")),),
        )
        for key, title in THINGS.items()
    )
    index: Searcher = search_index(tmp_path_factory.mktemp("rewriting"), entries)
    return index


@pytest.fixture(scope="module")
def store() -> Store:
    """Return a store that holds the three things."""
    created = Store()
    created.load(DATA.encode(), RdfFormat.TURTLE)
    return created


def answer(store: Store, query: str) -> list[str]:
    result = store.query(query)
    assert isinstance(result, QuerySolutions)
    return sorted(row["s"].value.rpartition("/")[2] for row in result)


@each(
    "pattern, expected",
    [
        ('?s text:query "clinic"', ["clinic", "school"]),
        ('?s text:query "clinic" .', ["clinic", "school"]),
        ("?s text:query 'clinic'", ["clinic", "school"]),
        ('?s text:query """clinic\nremote"""', ["clinic"]),
        (r'?s text:query "cl\u0069nic \"remote clinics\""', ["clinic"]),
        ('?s <http://jena.apache.org/text#query> "clinic"', ["clinic", "school"]),
        ('?s a <https://x.org/Event> ; text:query "clinic" ; dct:title ?t', ["clinic", "school"]),
        ('?s text:query "clinic" ; dct:title ?t .', ["clinic", "school"]),
        ('?s text:query "clinic" ;; dct:title ?t ; .', ["clinic", "school"]),
        ('?s text:query "clinic" ; text:query "remote" .', ["clinic"]),
        ('?s text:query "clinic" . ?s text:query "school"', ["school"]),
        ('(?s ?score) text:query "clinic" . FILTER(?score > 0)', ["clinic", "school"]),
        ('(?s ?score) text:query ("clinic" 1)', ["school"]),
        ('(?s) text:query ("clinic")', ["clinic", "school"]),
        ('?s text:query ("village" "lang:fr")', ["school"]),
        ('?s text:query "village"@fr', ["school"]),
        ('?s text:query (dct:title "village")', []),
        ('?s text:query (dct:description "village" 2)', ["clinic", "school"]),
        ('?s text:query (<http://purl.org/dc/terms/title> "clinic")', ["clinic", "school"]),
        ('OPTIONAL { ?s dct:title ?t } ?s text:query "remote"', ["clinic"]),
        ('{ ?s a ?c } UNION { ?s dct:title ?c } ?s text:query "remote"', ["clinic"]),
        ('?s text:query "clinic" MINUS { ?s dct:title "Remote clinics"@en }', ["school"]),
        ('?s text:query "clinic" FILTER NOT EXISTS { ?s dct:title ?t FILTER(contains(?t, "School")) }', ["clinic"]),
        ('{ SELECT ?s (COUNT(*) AS ?n) { ?s a ?c } GROUP BY ?s } ?s text:query "remote"', ["clinic"]),
        ('VALUES (?c ?n) { (<https://x.org/Event> 1) } ?s a ?c ; text:query "remote"', ["clinic"]),
        ('?s a ?c FILTER regex(str(?c), "Event") . ?s text:query "remote"', ["clinic"]),
        ('?s a ?c . ?s text:query "clinic" BIND(1 AS ?one) VALUES ?one { 1 }', ["clinic", "school"]),
        ('?s a _:c . ?s text:query "clinic" . ?t a _:c . FILTER(?t = x:farm)', ["clinic", "school"]),
        ('?s dct:title ?t . x:clinic text:query "remote" . FILTER(contains(?t, "market"))', ["farm"]),
        ('?s dct:title ?t . x:farm text:query "remote"', []),
        ('?s text:query "{prices} . } # \' text:query"', []),
        ('?s text:query "market \\"prices\\"" # ?s text:query "clinic" }', ["farm"]),
        ('?s dct:title "Remote clinics"@en # text:query', ["clinic"]),
        ('?s dct:title ?t FILTER(?t = "text:query"@en || str(?t) = \'Remote clinics\')', ["clinic"]),
        ('?s dct:title ?t FILTER(?s=<https://x.org/id/event/a/farm>)', ["farm"]),
        ('?s dct:title|<https://x.org/none>/x:y* ?t ; text:query "clinic"', ["clinic", "school"]),
        ('?s text:query "zzzzzz"', []),
    ],
)  # fmt: skip
def test_a_search_gives_what_it_finds(
    search: Searcher, store: Store, pattern: str, expected: list[str]
) -> None:
    query = f"{SPACE} SELECT DISTINCT ?s {{ {pattern}\n}}"

    rewriting = rewrite_searches(QueryRequest(query), search)

    assert answer(store, rewriting.text) == expected
    assert rewriting.text.count("\n") == query.count("\n")


@each(
    "query",
    ["SELECT ?s { ?s ?p 'text:query' }", "SELECT ?s { ?s ?p ?o # ?s text:query 'x'\n }",
     "SELECT ?s { ?s ?p <http://jena.apache.org/text#queries> }", "SELECT ?s { ?s dct:title ?t } ORDER BY DESC(?s) LIMIT 3"],
)  # fmt: skip
def test_a_query_without_a_search_stays_as_it_is(search: Searcher, query: str) -> None:
    rewriting = rewrite_searches(QueryRequest(SPACE + query), search)

    assert rewriting.text == SPACE + query
    assert rewriting.original == ""


NESTED = [
    ("SELECT * { ?s ?p [", "] }"), ("CONSTRUCT {", "} WHERE { ?s ?p ?o }"),
    ("SELECT * { {", "} UNION { ?s ?p ?o } }"), ("SELECT * { { ?s ?p ?o } UNION {", "} }"), ("SELECT * { ?s a ?c OPTIONAL {", "} }"),
    ("SELECT * { ?s a ?c MINUS {", "} }"), ("SELECT * { ?s a ?c FILTER NOT EXISTS {", "} }"), ("SELECT * { GRAPH ?g {", "} }"),
    ("SELECT * { ?s a ?c FILTER(EXISTS {", "} && 1 < 2) }"), ("SELECT * { { SELECT ?s {", "} } }"), ("SELECT * { SELECT ?s {", "} }"),
    ("SELECT * { ?s ?p ?o } HAVING(EXISTS {", "})"), ("SELECT * {" + "{" * 500, ""),
]  # fmt: skip


@each(
    "query, at, why",
    [
        ("SELECT * {\n ?s text:query ?words }", (2, 16), "unexpected ?words; write text:query"),
        ("SELECT * {\n ?s text:query () }", (2, 5), "write text:query \"words\""),
        ("SELECT * {\n ?s text:query/dct:title 'x' }", (2, 15), "unexpected /"),
        ("SELECT * {\n ?s ^text:query 'x' }", (2, 6), "or a path"),
        ("SELECT * {\n ?s text:query 'x', 'y' }", (2, 19), "unexpected ,"),
        ("SELECT * {\n [] text:query 'x' }", (2, 2), "?thing or (?thing ?score)"),
        ("SELECT * {\n (?s ?s) text:query 'x' }", (2, 2), "?thing or (?thing ?score)"),
        ("SELECT * {\n (?s ?t ?u) text:query 'x' }", (2, 2), "?thing or (?thing ?score)"),
        ("SELECT * {\n (?s ?n) text:query 'x' ; a ?t }", (2, 2), "write the others apart"),
        ("SELECT * {\n ?s text:query ('x' 0) }", (2, 21), "a whole number"),
        ("SELECT * {\n ?s text:query ('x' 99999999999999999999) }", (2, 21), "a whole number"),
        ("SELECT * {\n ?s text:query ('x' 'highlight:') }", (2, 21), "not an option"),
        ("SELECT * {\n ?s text:query (x:no 'x') }", (2, 17), "not indexed"),
        ("SELECT * {\n ?s text:query ('x' 5 'lang:fr' ?y) }", (2, 33), "unexpected"),
        *((f"{head}\n ?s text:query 'x' {tail}", (2, 5), "only as a property at the top level") for head, tail in NESTED),
        ("SELECT * {\n ?s text:query '" + "x" * 1001 + "' }", (2, 16), "at most 1000 characters"),
        ("SELECT * {" + "\n ?s text:query 'x' . " * 9 + "}", (10, 5), "at most 8 searches"),
    ],
)  # fmt: skip
def test_what_cannot_be_put_in_is_reported_with_its_place(
    search: Searcher, query: str, at: tuple[int, int], why: str
) -> None:
    with pytest.raises(QuerySyntaxError, match=r".") as raised:
        rewrite_searches(QueryRequest(SPACE.strip() + query), search)

    assert why in str(raised.value)
    assert (raised.value.line, raised.value.column) == at


def test_a_fault_beyond_a_search_is_reported_where_it_was_written(search: Searcher) -> None:
    query = f'{SPACE} SELECT * {{ ?s text:query "clinic" . FILTER(1 + ) }}'
    rewriting = rewrite_searches(QueryRequest(query), search)

    assert len(rewriting.text) > len(query)
    with pytest.raises(SyntaxError) as written:
        Store().query(query)
    with pytest.raises(QuerySyntaxError) as raised:
        evaluate(rewriting, Store())
    assert f"error at {raised.value.line}:{raised.value.column}: " in str(written.value)


def test_what_is_cut_is_reported(tmp_path: Path) -> None:
    one = SearchEntry("", "event", "a", (("One", "en"),), ())
    things = (f"https://x.org/id/event/a/{number}" for number in range(MAX_RESULTS + 2))
    many = search_index(tmp_path, (one._replace(thing=thing) for thing in things))

    all_, few = (
        rewrite_searches(QueryRequest(f"{SPACE} SELECT * {{ ?s text:query {words} }}"), many)
        for words in ('"one"', '("one" 5)')
    )

    assert (all_.note, all_.text.count("<https://x.org/id/event/a/")) == (
        f"cut={MAX_RESULTS}",
        MAX_RESULTS + 1,
    )
    assert (few.note, few.text.count("<https://x.org/id/event/a/")) == ("", 6)


PIECES = re.findall(
    r"\S+|\n",
    """?s text:query "clinic" ' " { } ( ) [ ] . ; , # < > <x> a _:b \\ @en ^^ 5 \n
    OPTIONAL FILTER EXISTS SELECT VALUES UNION GRAPH CONSTRUCT WHERE BIND MINUS""",
)


@given(st.lists(st.sampled_from(PIECES), max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_rewriting(search: Searcher, words: list[Any]) -> None:
    with suppress(QuerySyntaxError):
        rewrite_searches(QueryRequest(SPACE + " ".join(words)), search)
