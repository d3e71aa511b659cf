"""RDF documents: all syntaxes, next pages, nested catalogues."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
import pytest
import replay
from pyoxigraph import Dataset, Literal, RdfFormat, parse, serialize

from harvesters.compatibility import check_compatible
from harvesters.errors import NotFoundError, ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch
from harvesters.network.settings import NetworkSettings
from harvesters.page_model import InvalidRecord, Page, Record
from harvesters.payloads.property_path import compile_path
from harvesters.protocols.paged_document import MAX_RECORDS
from harvesters.protocols.rdf.harvest import collect
from harvesters.source import Source
from harvesters.stored_response import Validator
from vocab.crosswalks import Crosswalks

from .conftest import DefineSource, Handler, Registry, ScriptedRegistry

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


def harvest(server: ScriptedRegistry, source: Source, cursor: str | None = None) -> list[Page[Any]]:
    with server.open_client() as fetch:
        return list(collect(source, fetch, None, cursor))


def items(pages: Iterable[Page[Any]]) -> list[Any]:
    return [item for page in pages for item in page.items]


def catalogue(name: str, *members: str, more: str = "") -> bytes:
    text = "".join(f":{member} a dcat:Dataset ; dct:title '{member}' .\n" for member in members)
    listed = f"; dcat:dataset {', '.join(f':{member}' for member in members)}" if members else ""
    return f"{HEAD}:{name} a dcat:Catalog {listed} {more} .\n{text}".encode()


def site(pages: Mapping[str, bytes | int]) -> Handler:
    def answer(request: httpx.Request) -> httpx.Response:
        content = pages.get(request.url.raw_path.decode(), 404)
        return (
            httpx.Response(content)
            if isinstance(content, int)
            else httpx.Response(200, content=content)
        )

    return answer


SYNTAXES = {
    "turtle": (RdfFormat.TURTLE, "text/turtle"), "n-triples": (RdfFormat.N_TRIPLES, "application/n-triples"),
    "n-quads": (RdfFormat.N_QUADS, "application/n-quads"), "trig": (RdfFormat.TRIG, "application/trig"),
    "rdf-xml": (RdfFormat.RDF_XML, "application/rdf+xml"), "json-ld": (RdfFormat.JSON_LD, "application/ld+json"),
}  # fmt: skip


def written(name: str) -> bytes:
    quads = Dataset(parse(ONE.encode(), RdfFormat.TURTLE))
    content = serialize(quads, format=SYNTAXES[name][0])
    assert content is not None
    return content


@pytest.mark.parametrize("message", ["by its media type", "by its name", "by its look", "wrongly"])
@pytest.mark.parametrize("name", SYNTAXES)
def test_a_document_says_the_same_in_any_syntax(
    name: str, message: str, define_source: DefineSource, registry: Registry
) -> None:
    type_ = {"by its media type": SYNTAXES[name][1], "wrongly": "text/html; charset=utf-8"}.get(
        message, "application/octet-stream"
    )
    suffix = {
        "turtle": "ttl", "n-triples": "nt", "n-quads": "nq", "trig": "trig", "rdf-xml": "rdf", "json-ld": "jsonld",
    }[name]  # fmt: skip
    server = registry(
        lambda _: httpx.Response(200, content=written(name), headers={"Content-Type": type_})
    )
    url = f"https://registry.example/all.{suffix}" if message == "by its name" else URL

    wells, roads = items(harvest(server, define_source("rdf", url=url)))
    ours, _ = items(harvest(registry({"": ONE.encode()}), define_source("rdf")))

    assert (wells.key, wells.modified, roads.key) == (
        "https://registry.example/d1",
        "2026-01-31",
        "https://registry.example/d2",
    )
    assert wells.raw == ours.raw
    paths = ("dct:publisher/foaf:name", "dcat:distribution/dct:format")
    assert [compile_path(path)(wells.payload) for path in paths] == [
        [Literal("Water")],
        [Literal("CSV")],
    ]


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (
            json.dumps(
                {
                    "@context": {
                        "dcat": "http://www.w3.org/ns/dcat#",
                        "dct": "http://purl.org/dc/terms/",
                        "license": {"@id": "dct:license", "@type": "@id"},
                    },
                    "@id": "d",
                    "@type": "dcat:Dataset",
                    "dct:title": "Wells",
                    "license": "",
                    "dct:relation": {"@id": ""},
                    "dcat:landingPage": {"@id": URL},
                }
            ),
            "application/ld+json",
        ),
        (
            f'{HEAD}<d> a dcat:Dataset ; dct:title "Wells" ; dct:license <> ; dcat:landingPage <{URL}> .',
            "text/turtle",
        ),
        (
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dct="http://purl.org/dc/terms/"'
            ' xmlns:dcat="http://www.w3.org/ns/dcat#"><dcat:Dataset rdf:about="d"><dct:title>Wells</dct:title>'
            f'<dct:license rdf:resource=""/><dcat:landingPage rdf:resource="{URL}"/></dcat:Dataset></rdf:RDF>',
            "application/rdf+xml",
        ),
    ],
)
def test_an_empty_address_is_no_value_and_the_address_of_the_document_is_one(
    content: str,
    media_type: str,
    define_source: DefineSource,
    registry: Registry,
    words: Crosswalks,
) -> None:
    source = define_source("rdf", "dcat")
    server = registry(
        lambda _: httpx.Response(200, content=content, headers={"content-type": media_type})
    )

    (record,) = items(harvest(server, source))
    dataset = check_compatible(source)[1].prepare(source, words)(record.parsed())

    assert record.key == "https://registry.example/d"
    assert (dataset.licences, dataset.related, dataset.pages) == ((), (), (URL,))


def test_a_syntax_that_the_definition_names_is_taken(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": b"<https://registry.example/d> a <http://www.w3.org/ns/dcat#Dataset> ."})

    with pytest.raises(ParseError, match="not RDF/XML that can be read"):
        harvest(server, define_source("rdf", options={"syntax": "rdf-xml"}))


def test_what_is_in_another_record_of_the_document_is_no_part_of_it(
    define_source: DefineSource, registry: Registry
) -> None:
    wells, roads = items(harvest(registry({"": ONE.encode()}), define_source("rdf")))

    assert b"Roads" not in wells.raw
    assert b"Wells" not in roads.raw


@pytest.mark.parametrize("way", ["view", "paged", "text"])
def test_pages_of_a_hydra_collection_are_followed(
    way: str, define_source: DefineSource, registry: Registry
) -> None:
    following = {
        "view": "; hydra:view <?page=1> . <?page=1> a hydra:PartialCollectionView ; hydra:next <?page=2>",
        "paged": "; hydra:nextPage <?page=2> . :c a hydra:PagedCollection",
        "text": "; hydra:nextPage 'https://registry.example/api?page=2' . :c a hydra:PagedCollection",
    }[way]
    server = registry(
        {
            "": catalogue("c", "d1", "d2", more=f"; hydra:totalItems 3 {following}"),
            "page=2": catalogue("c", "d3"),
        }
    )

    pages = harvest(server, define_source("rdf"))

    assert [item.key[-2:] for item in items(pages)] == ["d1", "d2", "d3"]
    assert pages[0].reported_total == 3


def test_a_harvest_goes_on_from_each_of_its_cursors(
    define_source: DefineSource, registry: Registry
) -> None:
    pages = {
        "/api": catalogue("c", "d1", "d2", more="; dcat:dataset :m1, :m2 ; dcat:catalog :sub ; hydra:nextPage <?page=2>"),
        "/api?page=2": catalogue("c", "d3"), "/m1": b"<https://registry.example/m1> <urn:p> 1 .",
        "/m2": b"<https://registry.example/m2> <urn:p> 2 .", "/sub": catalogue("sub", "d4"),
    }  # fmt: skip
    whole = harvest(registry(site(pages)), define_source("rdf"))

    for number, page in enumerate(whole[:-1], 1):
        rest = harvest(registry(site(pages)), define_source("rdf"), page.cursor)
        assert [item.key for item in items(rest)] == [item.key for item in items(whole[number:])]
        assert all(page.again for page in rest) is False

    assert [item.key[-2:] for item in items(whole)] == ["d1", "d2", "m1", "m2", "d3", "d4"]
    assert whole[-1].cursor is None


def test_a_large_document_is_cut_into_pages(
    define_source: DefineSource, registry: Registry
) -> None:
    lines = "".join(
        f"<https://registry.example/{n:05}> a <http://www.w3.org/ns/dcat#Dataset> .\n"
        for n in range(2 * MAX_RECORDS + 1)
    )
    server = registry({"": lines.encode()})

    pages = harvest(server, define_source("rdf"))
    rest = harvest(server, define_source("rdf"), pages[0].cursor)

    assert [len(page.items) for page in pages] == [MAX_RECORDS, MAX_RECORDS, 1]
    assert [item.key for item in items(rest)] == [item.key for item in items(pages[1:])]


def test_catalogues_that_hold_each_other_are_read_once(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(site({
        "/api": catalogue("api", "d1", more="; dcat:catalog :a, :b"),
        "/a": catalogue("a", "d2", more="; dcat:catalog :b, :api, :a"),
        "/b": catalogue("b", "d3", more="; dcat:catalog :a, :api"),
    }))  # fmt: skip

    pages = harvest(server, define_source("rdf"))

    assert server.request_log == ["/api", "/a", "/b"]
    assert [item.key[-2:] for item in items(pages)] == ["d1", "d2", "d3"]
    assert pages[-1].incomplete_reason is None


def test_a_catalogue_that_cannot_be_read_leaves_the_harvest_incomplete(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        site(
            {
                "/api": catalogue("api", "d1", more="; dcat:catalog :a, :b"),
                "/a": b"<html>",
                "/b": catalogue("b", "d3"),
            }
        )
    )

    pages = harvest(server, define_source("rdf"))

    assert [item.key for item in items(pages)] == [
        "https://registry.example/d1",
        None,
        "https://registry.example/d3",
    ]
    assert str(pages[-1].incomplete_reason).startswith(
        "the catalogue https://registry.example/a cannot be read"
    )


def test_a_member_that_cannot_be_read_is_unreadable_under_its_own_key(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(site({"/api": catalogue("c", more="; dcat:dataset :m1, :m2, :m3"), "/m1": 404, "/m2": b"<urn:a> <urn:b> 1 .",
                           "/m3": b"<https://registry.example/m3> <urn:p> 2 ."}))  # fmt: skip

    pages = harvest(server, define_source("rdf"))

    assert [(type(item), item.key[-2:]) for item in items(pages)] == [
        (InvalidRecord, "m1"),
        (InvalidRecord, "m2"),
        (Record, "m3"),
    ]
    assert pages[-1].incomplete_reason is None


def test_other_hosts_are_left_alone_unless_the_definition_lets_us_go_there(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        site(
            {
                "/api": catalogue("c", "d1", more="; dcat:catalog <https://elsewhere.example/a>"),
                "/a": catalogue("a", "d2"),
            }
        )
    )

    near, far = (
        items(harvest(server, define_source("rdf", options={"elsewhere": far})))
        for far in (False, True)
    )

    assert [[item.key[-2:] for item in some] for some in (near, far)] == [["d1"], ["d1", "d2"]]


def test_pages_that_lead_back_end_the_harvest(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        {
            "": catalogue("c", "d1", more="; hydra:nextPage <?page=2>"),
            "page=2": catalogue("c", "d2", more="; hydra:nextPage :api"),
        }
    )

    with pytest.raises(ParseError, match="repeats the next page"):
        harvest(server, define_source("rdf"))


def test_a_page_that_is_missing_ends_the_harvest(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": catalogue("c", "d1", more="; hydra:nextPage <?page=2>"), "page=2": 404})

    with pytest.raises(NotFoundError):
        harvest(server, define_source("rdf"))


@pytest.mark.parametrize(
    ("statements", "key"),
    [("dct:identifier 'p-1'", "p-1"), ("dcat:landingPage <https://registry.example/p>", "https://registry.example/p"),
     ("dct:title 'only'", URL)],
)  # fmt: skip
def test_a_node_without_an_iri_is_known_by_what_it_says(
    statements: str, key: str, define_source: DefineSource, registry: Registry
) -> None:
    (item,) = items(
        harvest(
            registry({"": f"{HEAD} [] a dcat:Dataset ; {statements} .".encode()}),
            define_source("rdf"),
        )
    )

    assert (type(item), item.key) == (Record, key)


def test_nodes_that_cannot_be_distinguished_are_unreadable(
    define_source: DefineSource, registry: Registry
) -> None:
    result = items(
        harvest(
            registry(
                {
                    "": f"{HEAD} [] a dcat:Dataset ; dct:title 'a' . [] a dcat:Dataset ; dct:title 'b' .".encode()
                }
            ),
            define_source("rdf"),
        )
    )

    assert [(type(item), item.key) for item in result] == [(InvalidRecord, None)] * 2


def test_the_digest_does_not_depend_on_how_blank_nodes_are_called(
    define_source: DefineSource, registry: Registry
) -> None:
    statements = (
        ":d a dcat:Dataset ; dct:spatial _:{0} , _:{1} . "
        "_:{0} dct:title 'x' ; dct:relation _:{1} . _:{1} dct:title 'y' ; dct:relation _:{0} ."
    )

    texts = [HEAD + statements.format(*names) for names in ("ab", "ba", "zq")]
    raws = {
        items(harvest(registry({"": text.encode()}), define_source("rdf")))[0].raw for text in texts
    }

    assert len(raws) == 1


def test_an_iri_that_is_none_spoils_only_its_record(
    define_source: DefineSource, registry: Registry
) -> None:
    line = "<https://registry.example/{}> a <http://www.w3.org/ns/dcat#Dataset> ; <urn:p> <http://a{}b> ."
    lines = [line.format(number, mark) for number, mark in enumerate(("", " "))]

    result = items(harvest(registry({"": "\n".join(lines).encode()}), define_source("rdf")))

    assert [type(item) for item in result] == [Record, InvalidRecord]
    assert "no IRI" in result[1].reason


@pytest.mark.parametrize(
    ("licence", "licences"),
    [('rdf:resource="&lt;p&gt;CC BY&lt;/p&gt;"/>', ()), (">&lt;p&gt;CC BY, jane@a.example&lt;/p&gt;</dct:license>", ("CC BY, […]",))],
)  # fmt: skip
def test_html_in_a_licence_does_not_cost_the_record(
    licence: str,
    licences: tuple[str, ...],
    define_source: DefineSource,
    registry: Registry,
    words: Crosswalks,
) -> None:
    content = (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dct="http://purl.org/dc/terms/"'
        ' xmlns:dcat="http://www.w3.org/ns/dcat#"><dcat:Dataset rdf:about="https://registry.example/d">'
        f"<dct:title>Wells</dct:title><dct:license {licence}</dcat:Dataset></rdf:RDF>"
    ).replace("<dct:license >", "<dct:license>")
    source = define_source("rdf", "dcat")
    server = registry(lambda _: httpx.Response(200, content=content))

    (record,) = items(harvest(server, source))

    assert isinstance(record, Record)
    dataset = check_compatible(source)[1].prepare(source, words)(record.parsed())
    assert (dataset.titles[0].value, dataset.licences) == ("Wells", licences)


def test_contexts_come_from_us_or_from_where_the_definition_says(
    define_source: DefineSource, registry: Registry
) -> None:
    document = {
        "@context": "https://terms.example/c",
        "@id": "https://registry.example/d",
        "@type": "Dataset",
        "name": "Wells",
    }
    terms = {
        "@context": {
            "Dataset": "http://www.w3.org/ns/dcat#Dataset",
            "name": "http://purl.org/dc/terms/title",
        }
    }
    server = registry(
        site({"/api": json.dumps(document).encode(), "/c": json.dumps(terms).encode()})
    )

    (record,) = items(
        harvest(server, define_source("rdf", options={"contexts": "https://terms.example/c"}))
    )
    with pytest.raises(
        ParseError,
        match=r"needs the context https://terms.example/c, which is not built in; .* option `contexts`",
    ):
        harvest(server, define_source("rdf"))

    assert b"Wells" in record.raw
    assert server.request_log == ["/api", "/c", "/api"]


def test_a_document_that_its_server_calls_unchanged_is_not_read_again(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        lambda request: httpx.Response(
            304 if "if-none-match" in request.headers else 200, content=b""
        )
    )

    with server.open_client(validators={URL: Validator('"1"', None)}) as fetch:
        (page,) = collect(define_source("rdf"), fetch, None)

    assert page.unchanged


@pytest.mark.parametrize(
    ("more", "expected"),
    [("", True), ("; dcat:dataset :m", False), ("; hydra:nextPage <?page=2>", False)],
)
def test_only_a_document_that_holds_all_is_asked_for_changes(
    more: str, expected: bool, define_source: DefineSource, registry: Registry
) -> None:
    pages = {
        "/api": catalogue("c", "d1", more=more),
        "/api?page=2": catalogue("c", "d2"),
        "/m": b"<https://registry.example/m> <urn:p> 1 .",
    }
    server = registry(site(pages))

    with server.open_client() as fetch:
        list(collect(define_source("rdf"), fetch, None))
        validators = dict(fetch.seen)

    assert (URL in validators) is expected


def test_a_document_without_known_records_names_its_classes(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": HEAD.encode() + b":a a <https://terms.example/Well> ."})

    with pytest.raises(
        ParseError,
        match=r"no record of a known class but https://terms.example/Well; set the option 'types'",
    ):
        harvest(server, define_source("rdf"))
    (record,) = items(
        harvest(server, define_source("rdf", options={"types": "https://terms.example/Well"}))
    )

    assert record.key == "https://registry.example/a"


def test_an_empty_catalogue_is_no_error(define_source: DefineSource, registry: Registry) -> None:
    (page,) = harvest(registry({"": catalogue("c")}), define_source("rdf"))

    assert page.items == ()


@pytest.mark.parametrize(
    ("options", "why"),
    [({"syntax": "n3"}, "'syntax' is 'n3'; use one of turtle"), ({"types": "Dataset"}, "'types' holds 'Dataset'; write an IRI"),
     ({"types": "abc:Dataset"}, "'types' holds 'abc:Dataset'")],
)  # fmt: skip
def test_a_definition_with_a_wrong_option_is_refused(
    options: dict[str, str], why: str, define_source: DefineSource
) -> None:
    with pytest.raises(SourceDefinitionError, match=why):
        check_compatible(define_source("rdf", options=options, fields={"title": "dct:title"}))


# Real documents of which nothing can be read, and why; all others give at least one record.
FAULTS = {
    "nde_catalog-schema-org-no-dataset.jsonld": "",  # a catalogue without a dataset
    "nde_dataset-schema-org-valid-jsonld.html": "an HTML page",  # for the protocol `web`
    "nde_invalid-dataset.json": "no record",  # recordings of a test server's answers, no RDF
    "nde_post-dataset-query-fails.json": "no record",
    "nde_utf8-bom.json": "no record",
}


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
def test_the_real_documents_are_read(define_source: DefineSource) -> None:
    files = [
        file for folder in ("dcat", "nde") for file in sorted((replay.FEEDS / folder).iterdir())
    ]
    lost = {}
    for file in files:
        near = {f"/{other.name.removeprefix('nde_')}": other for other in file.parent.iterdir()}
        client = Fetch(NetworkSettings(transport=httpx.MockTransport(
            lambda request, near=near: httpx.Response(200, content=near[f"/{request.url.path.rpartition('/')[2]}"].read_bytes())
        )), pause=0, robots=False)  # fmt: skip
        try:
            with client as fetch:
                url = f"https://registry.example/datasets/{file.name.removeprefix('nde_')}"
                result = items(collect(define_source("rdf", url=url), fetch, None))
            if not any(isinstance(item, Record) for item in result):
                lost[file.name] = ""
        except ParseError as error:
            lost[file.name] = str(error)

    assert lost.keys() == FAULTS.keys()
    assert [name for name, why in FAULTS.items() if why not in lost[name]] == []
    assert len(files) - len(lost) == 41
