from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import replay
from pyoxigraph import RdfFormat, Store
from rdf_terms import value
from rows import each
from simulated import ScriptedRegistry, define_source, harvest, items, keys

from harvesters.errors import ParseError
from harvesters.page_model import InvalidRecord, Page, Record
from harvesters.payloads.paths import compile_property_path
from harvesters.source import Source

HEAD = """
PREFIX : <https://registry.example/> PREFIX dct: <http://purl.org/dc/terms/> PREFIX foaf: <http://xmlns.com/foaf/0.1/>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
"""


def projects(count: int, more: str = "") -> str:
    dated = (
        ":p{0:03} a foaf:Project ; dct:title 'P{0}' ; dct:modified '2026-01-{1:02}'^^xsd:date ; "
    )
    statements = dated + "dct:publisher [ foaf:name 'N{0}' ] {2} .\n"
    return "".join(statements.format(n, n % 28 + 1, more) for n in range(count))


@dataclass
class SourceEndpoint:
    """An endpoint over *data* that silently cuts tables after *rows* and graphs after *triples*.

    It answers 503 to a query for a *poison* subject or with a text of *mute*. With *part* it marks
    its answers as Virtuoso does when its time is over.
    """

    data: str
    rows: int = 10_000
    triples: int = 10_000
    poison: Collection[str] = ()
    mute: Sequence[str] = ()
    part: bool = False
    request_log: list[str] = field(default_factory=list)
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store()
        self.store.load(input=(HEAD + self.data).encode(), format=RdfFormat.TURTLE)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params["query"]
        self.request_log.append(query)
        construct = "CONSTRUCT {" in query
        if any(word in query for word in self.mute) or (
            construct and any(f"/{name}>" in query for name in self.poison)
        ):
            return httpx.Response(503)
        whole = replay.endpoint(self.store, request)
        headers = {
            "Content-Type": whole.headers["content-type"],
            **({"X-SQL-State": "S1TAT"} if self.part else {}),
        }
        if construct:
            return httpx.Response(
                200,
                content=b"".join(whole.content.splitlines(keepends=True)[: self.triples]),
                headers=headers,
            )
        body = whole.json()
        body["results"]["bindings"] = body["results"]["bindings"][: self.rows]
        return httpx.Response(200, json=body, headers=headers)


def names(pages: Iterable[Page[Any]]) -> list[Any]:
    return [key.rpartition("/")[2] for key in keys(pages)]


def unreadable(result: Iterable[Any]) -> list[str]:
    return [str(item.key)[-4:] for item in result if isinstance(item, InvalidRecord)]


def source(**options: Any) -> Source:
    return define_source(
        "sparql", fields={"title": "dct:title"}, options={"types": "foaf:Project", **options}
    )


def test_every_subject_comes_with_what_it_points_to() -> None:
    pages = harvest(SourceEndpoint(projects(45)), source())

    publishers = [
        compile_property_path("dct:publisher/foaf:name")(item.payload) for item in items(pages)
    ]
    assert [value(terms[0]) for terms in publishers] == [f"N{n}" for n in range(45)]
    assert (pages[0].reported_total, items(pages)[0].modified) == (45, "2026-01-01")
    assert (pages[-1].cursor, pages[-1].incomplete_reason) == (None, None)


def test_a_graph_pattern_selects_the_records_too() -> None:
    server = SourceEndpoint(projects(3) + ":x dct:title 'none' .")
    pattern = "?subject dct:modified ?when FILTER(?when > '2026-01-01'^^xsd:date)"
    source = define_source("sparql", fields={"title": "dct:title"}, options={"pattern": pattern})

    assert names(harvest(server, source)) == ["p001", "p002"]


@each("rows", [1, 7, 44])
def test_a_listing_that_is_cut_in_silence_is_read_to_its_end(rows: int) -> None:
    pages = harvest(SourceEndpoint(projects(45), rows=rows), source())

    assert names(pages) == [f"p{n:03}" for n in range(45)]
    assert pages[-1].incomplete_reason is None


WIDE = "; dct:relation " + ", ".join(map(str, range(100)))


@each("triples", [1000, 1050, 2000])
def test_a_description_that_is_cut_in_silence_is_asked_for_in_parts(triples: int) -> None:
    result = items(harvest(SourceEndpoint(projects(20, WIDE), triples=triples), source()))

    assert [type(item) for item in result] == [Record] * 20
    assert {len(item.raw.splitlines()) for item in result} == {104}


def test_what_is_cut_behind_the_subjects_own_statements_is_noticed_by_count() -> None:
    hub = ":hub " + " ; ".join(f"dct:relation {n}" for n in range(1500)) + " ."
    server = SourceEndpoint(hub + projects(3, "; dct:isPartOf :hub"), triples=1200)

    pages = harvest(server, source())

    assert {type(item) for item in items(pages)} == {InvalidRecord}
    assert "truncates its responses (here to 1,200 statements)" in items(pages)[0].reason
    assert pages[-1].incomplete_reason is None


LARGE = projects(9) + ":p004 " + " ; ".join(f"dct:relation {n}" for n in range(1500)) + " ."


def test_a_record_that_the_endpoint_never_sends_whole_is_unreadable_alone() -> None:
    result = items(harvest(SourceEndpoint(LARGE, triples=1200), source()))

    assert (unreadable(result), len(result)) == (["p004"], 9)


def test_an_endpoint_that_describes_nothing_is_left_after_three_records() -> None:
    server = SourceEndpoint(projects(50), mute=["CONSTRUCT"])

    with pytest.raises(ParseError, match=r"3 responses in a row cannot be read.*answered 503"):
        harvest(server, source())


def test_a_listing_that_is_too_much_is_asked_for_in_smaller_pages() -> None:
    server = SourceEndpoint(projects(45), mute=["LIMIT 1000", "LIMIT 250", "LIMIT 62"])

    assert len(items(harvest(server, source()))) == 45
    assert sum("LIMIT 15" in query for query in server.request_log) == 4


def test_a_count_that_is_not_reached_leaves_the_harvest_incomplete() -> None:
    endpoint = SourceEndpoint(projects(45), rows=30)

    def short(request: httpx.Request) -> httpx.Response:
        answer = endpoint(request)
        if "LIMIT" not in request.url.params["query"] or len(endpoint.request_log) <= 3:
            return answer
        return httpx.Response(200, json={**answer.json(), "results": {"bindings": []}})

    pages = harvest(short, source())

    assert str(pages[-1].incomplete_reason) == "the list ended after 30 of 45 records"


def test_an_endpoint_that_does_not_count_leaves_the_harvest_incomplete() -> None:
    pages = harvest(SourceEndpoint(projects(5), mute=["COUNT(DISTINCT ?subject)"]), source())

    assert len(items(pages)) == 5
    assert str(pages[-1].incomplete_reason).startswith("the endpoint does not count its records")


def test_an_answer_that_says_to_be_a_part_is_none() -> None:
    with pytest.raises(ParseError, match="returned a partial result"):
        harvest(SourceEndpoint(projects(5), part=True), source())


@each("more, count", [("", 3), (":q a foaf:Project .", 29)])
def test_only_what_changed_is_asked_for_unless_one_has_no_date(more: str, count: int) -> None:
    server = SourceEndpoint(projects(28) + more)

    pages = harvest(server, source(), datetime(2026, 1, 27, 8, tzinfo=UTC))

    assert len(items(pages)) == pages[0].reported_total == count
    assert more or names(pages) == ["p025", "p026", "p027"]


def test_an_iri_that_is_none_is_unreadable_and_goes_into_no_query() -> None:
    server = SourceEndpoint(projects(3))

    def loose(request: httpx.Request) -> httpx.Response:
        answer = server(request)
        content = answer.content.replace(b"/p001", b"/p001> } DROP")
        return httpx.Response(200, content=content, headers=answer.headers)

    result = items(harvest(loose, source(size=1)))

    assert [item.key[-4:] for item in result] == ["p000", "DROP", "p002"]
    assert unreadable(result) == ["DROP"]
    assert [query for query in server.request_log if "registry.example/p001> }" in query] == []


def test_addresses_stay_short() -> None:
    server = SourceEndpoint(
        "".join(f"<https://registry.example/{'x' * 900}{n}> a foaf:Project .\n" for n in range(12))
    )

    assert len(items(harvest(server, source()))) == 12
    assert max(len(query) for query in server.request_log) < 9000


def test_a_graph_is_asked_for_by_the_protocol() -> None:
    server = ScriptedRegistry(
        lambda request: replay.endpoint(Store(), httpx.Request("GET", request.url))
    )

    harvest(server, source(graph="https://registry.example/g"))

    graph = "default-graph-uri=https%3A%2F%2Fregistry.example%2Fg"
    assert [query for query in server.request_log if graph not in query] == []


def test_no_query_has_a_word_of_the_registrys_own() -> None:
    server = SourceEndpoint(projects(2, "; dct:description '''} DROP ALL ; {'''"))

    harvest(server, source())

    assert [query for query in server.request_log if re.search("DROP", query)] == []
