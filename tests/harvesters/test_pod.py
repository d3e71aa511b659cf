"""data.json: Project Open Data 1.1 and DCAT-US 3."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import replay
from rdf_terms import value

from harvesters.errors import ParseError
from harvesters.mappings.dcat import build_mapper
from harvesters.page_model import InvalidRecord, Record
from harvesters.payloads.property_path import compile_path
from harvesters.protocols import pod
from harvesters.protocols.paged_document import MAX_RECORDS
from harvesters.protocols.pod import collect
from harvesters.source import Source
from harvesters.stored_response import Validator
from vocab.crosswalks import Crosswalks
from vocab.initiative import Contact, Text

from .conftest import DefineSource, Registry, ScriptedRegistry

URL = "https://registry.example/api"


def harvest(server: ScriptedRegistry, source: Source, cursor: str | None = None) -> list[Any]:
    with server.open_client() as fetch:
        return [item for page in collect(source, fetch, None, cursor) for item in page.items]


def at_path(record: Record[Any], path: str) -> list[str]:
    return [value(term) for term in compile_path(path)(record.payload)]


@pytest.fixture
def source(define_source: DefineSource) -> Callable[..., Source]:
    return lambda **options: define_source("pod", fields={"title": "dct:title"}, options=options)


def inventory(*rows: object, **more: object) -> bytes:
    return json.dumps({"dataset": rows, **more}).encode()


def test_a_dataset_is_a_graph_of_dcat(source: Callable[..., Source], registry: Registry) -> None:
    row = {"@type": "dcat:Dataset", "identifier": "w-1", "title": "Wells", "keyword": ["water"], "modified": "2026-01-31",
           "publisher": {"@type": "org:Organization", "name": "Water"}, "landingPage": "https://registry.example/w",
           "distribution": [{"@type": "dcat:Distribution", "downloadURL": "https://registry.example/w.csv"}]}  # fmt: skip

    (record,) = harvest(registry({"": inventory(row)}), source())

    assert (record.key, record.modified) == ("w-1", "2026-01-31")
    assert at_path(record, "a") == ["http://www.w3.org/ns/dcat#Dataset"]
    assert at_path(record, "dct:publisher/foaf:name") == ["Water"]
    assert at_path(record, "dcat:distribution/dcat:downloadURL") == [
        "https://registry.example/w.csv"
    ]
    assert at_path(record, "dcat:landingPage") == ["https://registry.example/w"]


@pytest.mark.parametrize(
    ("contact", "published"),
    [
        (
            {"@type": "vcard:Contact", "fn": "Water", "hasEmail": "mailto:info@water.example"},
            [Contact((Text("Water", "en"),), "info@water.example")],
        ),
        (
            {"@type": "vcard:Organization", "fn": "Office", "hasEmail": "office@water.example"},
            [Contact((Text("Office", "en"),), "office@water.example")],
        ),
        ({"@type": "vcard:Contact", "fn": "Jane Doe", "hasEmail": "mailto:jane@water.example"}, []),
        ({"@type": "vcard:Individual", "fn": "Water", "hasEmail": "mailto:w@water.example"}, []),
        ({"@type": "vcard:Organization", "fn": "Office", "hasEmail": "not an address"}, []),
        ({"@type": "vcard:Organization", "fn": "Office"}, []),
        ({"@type": "vcard:Organization", "hasEmail": "mailto:office@water.example"}, []),
    ],
)
def test_the_contact_of_an_organization_is_published(
    contact: dict[str, str],
    published: list[Contact],
    define_source: DefineSource,
    registry: Registry,
    words: Crosswalks,
) -> None:
    row = {"@type": "dcat:Dataset", "identifier": "w-1", "title": "Wells", "contactPoint": contact,
           "publisher": {"@type": "org:Organization", "name": "Water"}}  # fmt: skip
    source = define_source("pod", mapping="dcat", language="en")

    (record,) = harvest(registry({"": inventory(row)}), source)

    assert list(build_mapper(source, words)(record).contacts) == published


def test_dcat_us_3_brings_series_services_and_catalogues_within(
    source: Callable[..., Source], registry: Registry
) -> None:
    document = {
        "@type": "Catalog",
        "dataset": [{"@type": "Dataset", "identifier": "d", "title": "D", "theme": [{"@type": "Concept", "prefLabel": "Water"}],
                     "temporal": [{"@type": "PeriodOfTime", "startDate": "2024-01-01"}], "license": "https://registry.example/l"}],
        "datasetSeries": [{"@type": "DatasetSeries", "identifier": {"@type": "Identifier", "notation": "s"}, "title": "S"}],
        "service": [{"@id": "https://registry.example/v", "title": "V"}],
        "catalog": [{"dataset": [{"identifier": "n", "title": "N"}]}],
    }  # fmt: skip
    server = registry({"": json.dumps(document).encode()})

    records = harvest(server, source())
    alone = harvest(server, source(series=False))

    assert [record.key for record in records] == ["d", "s", "https://registry.example/v", "n"]
    assert [at_path(record, "a")[0].rpartition("#")[2] for record in records] == [
        "Dataset",
        "DatasetSeries",
        "DataService",
        "Dataset",
    ]
    assert at_path(records[0], "dcat:theme/skos:prefLabel") == ["Water"]
    assert at_path(records[0], "dct:temporal/dcat:startDate") == ["2024-01-01"]
    assert [record.key for record in alone] == ["d", "n"]


@pytest.mark.parametrize(
    "document", [[{"identifier": "a", "title": "A"}], {"identifier": "a", "title": "A"}]
)
def test_a_bare_list_and_a_single_dataset_are_read_too(
    document: list[dict[str, str]] | dict[str, str],
    source: Callable[..., Source],
    registry: Registry,
) -> None:
    assert [
        record.key for record in harvest(registry({"": json.dumps(document).encode()}), source())
    ] == ["a"]


def test_what_stands_for_an_address_and_is_none_stays_a_text(
    source: Callable[..., Source], registry: Registry
) -> None:
    row = {
        "identifier": "a", "title": "A", "license": "Public domain", "@id": "not an iri", "landingPage": "http://a b",
    }  # fmt: skip

    (record,) = harvest(registry({"": inventory(row)}), source())

    assert (at_path(record, "dct:license"), at_path(record, "dcat:landingPage")) == (
        ["Public domain"],
        ["http://a b"],
    )


@pytest.mark.parametrize(
    ("row", "key", "why"),
    [("text", None, "not an object"), ({"title": "A"}, None, "without an identifier, titled 'A'"),
     ({"identifier": "a", "title": "\ud800"}, "a", "surrogate")],
)  # fmt: skip
def test_a_broken_dataset_spoils_no_other(
    row: str | dict[str, str],
    key: str | None,
    why: str,
    source: Callable[..., Source],
    registry: Registry,
) -> None:
    broken, good = harvest(
        registry({"": inventory(row, {"identifier": "b", "title": "B"})}), source()
    )

    assert (type(broken), broken.key, type(good)) == (InvalidRecord, key, Record)
    assert why in broken.reason


def test_a_dataset_that_is_no_json_ld_is_named_when_its_graph_is_needed(
    source: Callable[..., Source], registry: Registry
) -> None:
    broken, good = harvest(
        registry(
            {"": inventory({"identifier": "a", "@type": 7}, {"identifier": "b", "title": "B"})}
        ),
        source(),
    )

    with pytest.raises(ParseError, match="a dataset that holds"):
        _ = broken.payload
    assert good.payload.properties


def test_a_dataset_is_parsed_only_when_its_payload_is_needed(
    source: Callable[..., Source], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod, "parse_quads", None)

    (record,) = harvest(registry({"": inventory({"identifier": "a", "title": "A"})}), source())

    assert (record.key, record.raw) == ("a", b'{"identifier":"a","title":"A"}')


def test_the_context_that_a_file_names_is_never_asked_for(
    source: Callable[..., Source], registry: Registry
) -> None:
    server = registry(
        {
            "": inventory(
                {"identifier": "a", "title": "A"},
                **{"@context": "https://elsewhere.example/evil.jsonld"},
            )
        }
    )

    assert len(harvest(server, source())) == 1
    assert len(server.request_log) == 1


def test_a_file_that_its_server_calls_unchanged_is_not_read_again(
    source: Callable[..., Source], registry: Registry
) -> None:
    server = registry(
        lambda request: httpx.Response(
            304 if "if-none-match" in request.headers else 200, content=b""
        )
    )

    with server.open_client(validators={URL: Validator('"1"', None)}) as fetch:
        (page,) = collect(source(), fetch, None)

    assert page.unchanged


def test_a_long_inventory_is_cut_into_pages_that_go_on(
    source: Callable[..., Source], registry: Registry
) -> None:
    server = registry(
        {"": inventory(*({"identifier": f"{n:04}", "title": "T"} for n in range(MAX_RECORDS + 1)))}
    )

    with server.open_client() as fetch:
        pages = list(collect(source(), fetch, None))
        rest = list(collect(source(), fetch, None, pages[0].cursor))

    assert [len(page.items) for page in pages] == [MAX_RECORDS, 1]
    assert [item.key for page in rest for item in page.items] == [f"{MAX_RECORDS:04}"]


@pytest.mark.parametrize("content", [b"{}", b"7", b'{"dataset": {}}', b'{"packages": []}'])
def test_what_is_no_inventory_is_reported(
    content: bytes, source: Callable[..., Source], registry: Registry
) -> None:
    with pytest.raises(ParseError, match=r"not a data.json with a list 'dataset' but"):
        harvest(registry({"": content}), source())


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
def test_the_real_inventories_are_read(source: Callable[..., Source], registry: Registry) -> None:
    files = sorted((replay.FEEDS / "datajson").iterdir())

    counts = {
        file.name: [type(item) for item in harvest(registry({"": file.read_bytes()}), source())]
        for file in files
    }

    assert {name: len(items) for name, items in counts.items()} == {
        "arm.data.json": 3, "collection-2-parent-4-children.data.json": 6, "dol-example.json": 1, "large-spatial.data.json": 1,
        "reserved-title.data.json": 1,
    }  # fmt: skip
    assert {kind for items in counts.values() for kind in items} == {Record}
