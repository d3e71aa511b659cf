from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
import pytest
from pyoxigraph import Dataset, Literal, RdfFormat, parse, serialize
from replay import crosswalks
from rows import each
from simulated import ScriptedRegistry, define_source, harvest, items, keys

from harvesters.errors import NotFoundError, ParseError
from harvesters.page_model import InvalidRecord, Page, Record
from harvesters.payloads.paths import compile_property_path
from harvesters.pipeline.record_processor import check_compatible
from harvesters.protocols.document import MAX_RECORDS
from harvesters.protocols.rdf import Rdf

URL = "https://registry.example/api"
HEAD = """
@prefix dcat: <http://www.w3.org/ns/dcat#> . @prefix dct: <http://purl.org/dc/terms/> . @prefix hydra: <http://www.w3.org/ns/hydra/core#> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> . @prefix schema: <https://schema.org/> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix : <https://registry.example/> .
"""
ONE = (
    HEAD
    + """
:c a dcat:Catalog ; dcat:dataset :d1 , :d2 .
:d1 a dcat:Dataset ; dct:title "Wells"@en , "Puits"@fr ; dct:publisher [ a foaf:Organization ; foaf:name "Water" ] ;
    dct:modified "2026-01-31"^^xsd:date ; dcat:distribution :x .
:d2 a dcat:Dataset ; dct:title "Roads"@en .
:x dct:format "CSV" .
"""
)


def catalogue(name: str, *members: str, more: str = "") -> bytes:
    text = "".join(f":{member} a dcat:Dataset ; dct:title '{member}' .\n" for member in members)
    listed = f"; dcat:dataset {', '.join(f':{member}' for member in members)}" if members else ""
    return f"{HEAD}:{name} a dcat:Catalog {listed} {more} .\n{text}".encode()


def site(pages: Mapping[str, bytes | int]) -> ScriptedRegistry:
    def answer(request: httpx.Request) -> httpx.Response:
        content = pages.get(request.url.raw_path.decode(), 404)
        if isinstance(content, int):
            return httpx.Response(content)
        return httpx.Response(200, content=content)

    return ScriptedRegistry(answer)


def document(content: str | bytes, media_type: str = "") -> ScriptedRegistry:
    headers = {"Content-Type": media_type} if media_type else {}
    return ScriptedRegistry(lambda _: httpx.Response(200, content=content, headers=headers))


def ends(pages: Iterable[Page[Any]]) -> list[str]:
    return [key and key[-2:] for key in keys(pages)]


SYNTAXES = {
    "turtle": (RdfFormat.TURTLE, "text/turtle", "ttl"), "n-triples": (RdfFormat.N_TRIPLES, "application/n-triples", "nt"),
    "n-quads": (RdfFormat.N_QUADS, "application/n-quads", "nq"), "trig": (RdfFormat.TRIG, "application/trig", "trig"),
    "rdf-xml": (RdfFormat.RDF_XML, "application/rdf+xml", "rdf"), "json-ld": (RdfFormat.JSON_LD, "application/ld+json", "jsonld"),
}  # fmt: skip


def written(name: str) -> bytes:
    quads = Dataset(parse(ONE.encode(), RdfFormat.TURTLE))
    content = serialize(quads, format=SYNTAXES[name][0])
    assert content is not None
    return content


@each("message", ["by its media type", "by its name", "by its look", "wrongly"])
@each("name", SYNTAXES)
def test_a_document_says_the_same_in_any_syntax(name: str, message: str) -> None:
    types = {"by its media type": SYNTAXES[name][1], "wrongly": "text/html; charset=utf-8"}
    server = document(written(name), types.get(message, "application/octet-stream"))
    url = f"https://registry.example/all.{SYNTAXES[name][2]}" if message == "by its name" else URL

    wells, roads = items(harvest(server, define_source("rdf", url=url)))
    ours, _ = items(harvest(document(ONE), define_source("rdf")))

    assert (wells.key, roads.key) == ("https://registry.example/d1", "https://registry.example/d2")
    assert (wells.modified, wells.raw) == ("2026-01-31", ours.raw)
    paths = ("dct:publisher/foaf:name", "dcat:distribution/dct:format")
    values = [compile_property_path(path)(wells.payload) for path in paths]
    assert values == [[Literal("Water")], [Literal("CSV")]]
    # The raw record has nothing of another record of the document.
    assert (b"Roads" in wells.raw, b"Wells" in roads.raw) == (False, False)


XML_HEAD = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dct="http://purl.org/dc/terms/"'
    ' xmlns:dcat="http://www.w3.org/ns/dcat#"><dcat:Dataset rdf:about="d"><dct:title>Wells</dct:title>'
)
CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "license": {"@id": "dct:license", "@type": "@id"},
}  # fmt: skip


@each(
    "content, media_type",
    [(json.dumps({"@context": CONTEXT, "@id": "d", "@type": "dcat:Dataset", "dct:title": "Wells", "license": "",
    "dct:relation": {"@id": ""},
                  "dcat:landingPage": {"@id": URL}}), "application/ld+json"),
     (f'{HEAD}<d> a dcat:Dataset ; dct:title "Wells" ; dct:license <> ; dcat:landingPage <{URL}> .', "text/turtle"),
     (f'{XML_HEAD}<dct:license rdf:resource=""/><dcat:landingPage rdf:resource="{URL}"/></dcat:Dataset></rdf:RDF>',
      "application/rdf+xml")],
)  # fmt: skip
def test_an_empty_address_is_no_value_and_the_address_of_the_document_is_one(
    content: str, media_type: str
) -> None:
    source = define_source("rdf", "dcat")

    (record,) = items(harvest(document(content, media_type), source))
    dataset = check_compatible(source)[1].prepare(source, crosswalks())(record.parsed())

    assert record.key == "https://registry.example/d"
    assert (dataset.licences, dataset.related, dataset.pages) == ((), (), (URL,))


@each(
    "following",
    ["; hydra:view <?page=1> . <?page=1> a hydra:PartialCollectionView ; hydra:next <?page=2>",
     "; hydra:nextPage <?page=2> . :c a hydra:PagedCollection",
     "; hydra:nextPage 'https://registry.example/api?page=2' . :c a hydra:PagedCollection"],
)  # fmt: skip
def test_pages_of_a_hydra_collection_are_followed(following: str) -> None:
    first = catalogue("c", "d1", "d2", more=f"; hydra:totalItems 3 {following}")

    pages = harvest(
        ScriptedRegistry({"": first, "page=2": catalogue("c", "d3")}), define_source("rdf")
    )

    assert ends(pages) == ["d1", "d2", "d3"]
    assert pages[0].reported_total == 3


def test_a_harvest_goes_on_from_each_of_its_cursors() -> None:
    server = site({
        "/api": catalogue("c", "d1", "d2", more="; dcat:dataset :m1, :m2 ; dcat:catalog :sub ; hydra:nextPage <?page=2>"),
        "/api?page=2": catalogue("c", "d3"), "/m1": b"<https://registry.example/m1> <urn:p> 1 .",
        "/m2": b"<https://registry.example/m2> <urn:p> 2 .", "/sub": catalogue("sub", "d4"),
    })  # fmt: skip
    whole = harvest(server, define_source("rdf"))

    for number, page in enumerate(whole[:-1], 1):
        rest = harvest(server, define_source("rdf"), cursor=page.cursor)
        assert keys(rest) == keys(whole[number:])
        assert all(page.again for page in rest) is False

    assert ends(whole) == ["d1", "d2", "m1", "m2", "d3", "d4"]
    assert whole[-1].cursor is None


def test_a_large_document_is_cut_into_pages() -> None:
    line = "<https://registry.example/{:05}> a <http://www.w3.org/ns/dcat#Dataset> .\n"
    server = document("".join(map(line.format, range(2 * MAX_RECORDS + 1))))

    pages = harvest(server, define_source("rdf"))
    rest = harvest(server, define_source("rdf"), cursor=pages[0].cursor)

    assert [len(page.items) for page in pages] == [MAX_RECORDS, MAX_RECORDS, 1]
    assert keys(rest) == keys(pages[1:])


AB = "; dcat:catalog :a, :b"
ELSEWHERE = "; dcat:catalog <https://elsewhere.example/a>"


@each(
    "answers, expected, incomplete",
    [({"/api": catalogue("api", "d1", more=AB), "/a": catalogue("a", "d2", more="; dcat:catalog :b, :api, :a"),
       "/b": catalogue("b", "d3", more="; dcat:catalog :a, :api")}, ["d1", "d2", "d3"], "None"),
     ({"/api": catalogue("api", "d1", more=AB), "/a": b"<html>", "/b": catalogue("b", "d3")}, ["d1", None, "d3"],
      "the catalogue https://registry.example/a cannot be read"),
     ({"/api": catalogue("c", "d1", more=ELSEWHERE)}, ["d1"], "None"),
     ({"/api": catalogue("c")}, [], "None")],
)  # fmt: skip
def test_catalogues_within_are_read_once_and_a_broken_one_is_reported(
    answers: dict[str, Any], expected: list[str | None], incomplete: str
) -> None:
    server = site(answers)

    pages = harvest(server, define_source("rdf"))

    assert ends(pages) == expected
    assert str(pages[-1].incomplete_reason).startswith(incomplete)
    assert server.request_log == [*answers]


def test_a_member_that_cannot_be_read_is_unreadable_under_its_own_key() -> None:
    server = site({"/api": catalogue("c", more="; dcat:dataset :m1, :m2, :m3"), "/m1": 404, "/m2": b"<urn:a> <urn:b> 1 .",
                  "/m3": b"<https://registry.example/m3> <urn:p> 2 ."})  # fmt: skip

    pages = harvest(server, define_source("rdf"))

    assert ends(pages) == ["m1", "m2", "m3"]
    assert [type(item) for item in items(pages)] == [InvalidRecord, InvalidRecord, Record]
    assert pages[-1].incomplete_reason is None


@each(
    "second, error, message",
    [(catalogue("c", "d2", more="; hydra:nextPage :api"), ParseError, "repeats 'https://registry.example/api'"),
     (404, NotFoundError, "404")],
)  # fmt: skip
def test_next_pages_that_lead_back_or_are_missing_end_the_harvest(
    second: Any, error: type[Exception], message: str
) -> None:
    first = catalogue("c", "d1", more="; hydra:nextPage <?page=2>")

    with pytest.raises(error, match=message):
        harvest(ScriptedRegistry({"": first, "page=2": second}), define_source("rdf"))


@each(
    "nodes, expected",
    [("[] a dcat:Dataset ; dct:identifier 'p-1' .", [(Record, "p-1")]),
     ("[] a dcat:Dataset ; dcat:landingPage <https://registry.example/p> .", [(Record, "https://registry.example/p")]),
     ("[] a dcat:Dataset ; dct:title 'only' .", [(Record, URL)]),
     ("[] a dcat:Dataset ; dct:title 'a' . [] a dcat:Dataset ; dct:title 'b' .", [(InvalidRecord, None)] * 2)],
)  # fmt: skip
def test_a_node_without_an_iri_is_known_by_what_it_says(nodes: str, expected: list[Any]) -> None:
    result = items(harvest(document(HEAD + nodes), define_source("rdf")))

    assert [(type(item), item.key) for item in result] == expected


def test_the_digest_does_not_depend_on_how_blank_nodes_are_called() -> None:
    statements = (
        ":d a dcat:Dataset ; dct:spatial _:{0} , _:{1} . "
        "_:{0} dct:title 'x' ; dct:relation _:{1} . _:{1} dct:title 'y' ; dct:relation _:{0} ."
    )
    texts = [HEAD + statements.format(*names) for names in ("ab", "ba", "zq")]

    records = [items(harvest(document(text), define_source("rdf")))[0] for text in texts]

    assert len({record.raw for record in records}) == 1


def test_an_iri_that_is_none_spoils_only_its_record() -> None:
    line = "<https://registry.example/{}> a <http://www.w3.org/ns/dcat#Dataset> ; <urn:p> <http://a{}b> .\n"
    server = document(line.format(0, "") + line.format(1, " "))

    good, broken = items(harvest(server, define_source("rdf")))

    assert (type(good), type(broken)) == (Record, InvalidRecord)
    assert "not an IRI" in broken.reason


@each(
    "licence, licences",
    [(' rdf:resource="&lt;p&gt;CC BY&lt;/p&gt;"/>', ()), (">&lt;p&gt;CC BY, jane@a.example&lt;/p&gt;</dct:license>", ("CC BY, […]",))],
)  # fmt: skip
def test_html_in_a_licence_does_not_cost_the_record(
    licence: str, licences: tuple[str, ...]
) -> None:
    content = f"{XML_HEAD}<dct:license{licence}</dcat:Dataset></rdf:RDF>"
    source = define_source("rdf", "dcat")

    (record,) = items(harvest(document(content), source))

    assert isinstance(record, Record)
    dataset = check_compatible(source)[1].prepare(source, crosswalks())(record.parsed())
    assert (dataset.titles[0].value, dataset.licences) == ("Wells", licences)


def test_contexts_come_from_us_or_from_where_the_definition_says() -> None:
    context = "https://terms.example/c"
    record = {"@context": context, "@id": "https://registry.example/d", "@type": "Dataset", "name": "Wells"}  # fmt: skip
    terms = {"Dataset": "http://www.w3.org/ns/dcat#Dataset", "name": "http://purl.org/dc/terms/title"}  # fmt: skip
    server = ScriptedRegistry({"/api": record, "/c": {"@context": terms}})

    (wells,) = items(harvest(server, define_source("rdf", options={"contexts": context})))
    with pytest.raises(
        ParseError,
        match=rf"needs the context {context}, which is not built in; .* option `contexts`",
    ):
        harvest(server, define_source("rdf"))

    assert b"Wells" in wells.raw
    assert server.request_log == ["/api", "/c", "/api"]


@each(
    "more, expected",
    [("", True), ("; dcat:dataset :m", False), ("; hydra:nextPage <?page=2>", False)],
)
def test_only_a_document_that_holds_all_is_asked_for_changes(more: str, expected: bool) -> None:
    server = site({
        "/api": catalogue("c", "d1", more=more), "/api?page=2": catalogue("c", "d2"), "/m": b"<https://registry.example/m> <urn:p> 1 .",
    })  # fmt: skip

    with server.open_client() as fetch:
        list(Rdf.collect(define_source("rdf"), fetch, None))
        assert (URL in fetch.seen) is expected


def test_a_document_without_known_records_names_its_classes() -> None:
    server = document(HEAD + ":a a <https://terms.example/Well> .")
    known = define_source("rdf", options={"types": "https://terms.example/Well"})

    with pytest.raises(
        ParseError,
        match=r"no record of a known class but https://terms.example/Well; set the option 'types'",
    ):
        harvest(server, define_source("rdf"))

    assert keys(harvest(server, known)) == ["https://registry.example/a"]
