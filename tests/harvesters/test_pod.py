from __future__ import annotations

from typing import Any

import pytest
from rdf_terms import value
from replay import crosswalks
from rows import each
from simulated import ScriptedRegistry, define_source, harvest, items, keys

from harvesters.errors import ParseError
from harvesters.mappings.dcat import MAPPING
from harvesters.page_model import InvalidRecord, Record
from harvesters.payloads.paths import compile_property_path
from harvesters.protocols import pod
from harvesters.protocols.document import MAX_RECORDS
from vocab.initiative import Contact, Text


def at_path(record: Record[Any], path: str) -> list[str]:
    return [value(term) for term in compile_property_path(path)(record.payload)]


def read(*rows: object, document: Any = None, **options: Any) -> list[Any]:
    """Return the records of *document*, or else of an inventory of *rows*."""
    server = ScriptedRegistry({"": {"dataset": rows} if document is None else document})
    return items(
        harvest(server, define_source("pod", fields={"title": "dct:title"}, options=options))
    )


def test_a_dataset_is_a_graph_of_dcat() -> None:
    row = {"@type": "dcat:Dataset", "identifier": "w-1", "title": "Wells", "keyword": ["water"], "modified": "2026-01-31",
           "publisher": {"@type": "org:Organization", "name": "Water"}, "landingPage": "https://registry.example/w",
           "distribution": [{"@type": "dcat:Distribution", "downloadURL": "https://registry.example/w.csv"}]}  # fmt: skip

    (record,) = read(row)

    assert (record.key, record.modified) == ("w-1", "2026-01-31")
    paths = ("a", "dct:publisher/foaf:name", "dcat:distribution/dcat:downloadURL", "dcat:landingPage")  # fmt: skip
    assert [at_path(record, path) for path in paths] == [
        ["http://www.w3.org/ns/dcat#Dataset"], ["Water"], ["https://registry.example/w.csv"], ["https://registry.example/w"],
    ]  # fmt: skip


@each(
    "contact, published",
    [({"@type": "vcard:Contact", "fn": "Water", "hasEmail": "mailto:info@water.example"},
    [Contact((Text("Water", "en"),), "info@water.example")]),
     ({"@type": "vcard:Organization", "fn": "Office", "hasEmail": "office@water.example"},
      [Contact((Text("Office", "en"),), "office@water.example")]),
     ({"@type": "vcard:Contact", "fn": "Jane Doe", "hasEmail": "mailto:jane@water.example"}, []),
     ({"@type": "vcard:Individual", "fn": "Water", "hasEmail": "mailto:w@water.example"}, []),
     ({"@type": "vcard:Organization", "fn": "Office", "hasEmail": "not an address"}, []),
     ({"@type": "vcard:Organization", "fn": "Office"}, []),
     ({"@type": "vcard:Organization", "hasEmail": "mailto:office@water.example"}, [])],
)  # fmt: skip
def test_the_contact_of_an_organization_is_published(
    contact: dict[str, str], published: list[Contact]
) -> None:
    row = {"@type": "dcat:Dataset", "identifier": "w-1", "title": "Wells", "contactPoint": contact,
           "publisher": {"@type": "org:Organization", "name": "Water"}}  # fmt: skip
    mapper = MAPPING.prepare(define_source("pod", mapping="dcat", language="en"), crosswalks())

    assert list(mapper(*read(row)).contacts) == published


def test_dcat_us_3_brings_series_services_and_catalogues_within() -> None:
    document = {
        "@type": "Catalog",
        "dataset": [{"@type": "Dataset", "identifier": "d", "title": "D", "theme": [{"@type": "Concept", "prefLabel": "Water"}],
                     "temporal": [{"@type": "PeriodOfTime", "startDate": "2024-01-01"}], "license": "https://registry.example/l"}],
        "datasetSeries": [{"@type": "DatasetSeries", "identifier": {"@type": "Identifier", "notation": "s"}, "title": "S"}],
        "service": [{"@id": "https://registry.example/v", "title": "V"}],
        "catalog": [{"dataset": [{"identifier": "n", "title": "N"}]}],
    }  # fmt: skip

    records = read(document=document)

    assert [(record.key, at_path(record, "a")[0].rpartition("#")[2]) for record in records] == [
        ("d", "Dataset"), ("s", "DatasetSeries"), ("https://registry.example/v", "DataService"), ("n", "Dataset"),
    ]  # fmt: skip
    assert at_path(records[0], "dcat:theme/skos:prefLabel") == ["Water"]
    assert at_path(records[0], "dct:temporal/dcat:startDate") == ["2024-01-01"]


@each("document", [[{"identifier": "a", "title": "A"}], {"identifier": "a", "title": "A"}])
def test_a_bare_list_and_a_single_dataset_are_read_too(document: Any) -> None:
    assert [record.key for record in read(document=document)] == ["a"]


def test_what_stands_for_an_address_and_is_none_stays_a_text() -> None:
    (record,) = read({"identifier": "a", "title": "A", "license": "Public domain", "@id": "not an iri",
    "landingPage": "http://a b"})  # fmt: skip

    assert at_path(record, "dct:license") == ["Public domain"]
    assert at_path(record, "dcat:landingPage") == ["http://a b"]


B = {"identifier": "b", "title": "B"}


@each(
    "row, key, why",
    [("text", None, "not an object"), ({"title": "A"}, None, "without an identifier, titled 'A'"),
     ({"identifier": "a", "title": "\ud800"}, "a", "surrogate")],
)  # fmt: skip
def test_a_broken_dataset_spoils_no_other(row: Any, key: str | None, why: str) -> None:
    broken, good = read(row, B)

    assert (type(broken), broken.key, type(good)) == (InvalidRecord, key, Record)
    assert why in broken.reason


def test_a_dataset_that_is_no_json_ld_is_named_when_its_graph_is_needed() -> None:
    broken, good = read({"identifier": "a", "@type": 7}, B)

    with pytest.raises(ParseError, match="a dataset that cannot be read"):
        _ = broken.payload
    assert good.payload.properties


def test_a_dataset_is_parsed_only_when_its_payload_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pod, "parse_description", None)

    (record,) = read(B)

    assert (record.key, record.raw) == ("b", b'{"identifier":"b","title":"B"}')


def test_the_context_that_a_file_names_is_never_asked_for() -> None:
    context = {"@context": "https://elsewhere.example/evil.jsonld"}
    server = ScriptedRegistry({"": {"dataset": [B], **context}})

    assert keys(harvest(server, define_source("pod", fields={"title": "dct:title"}))) == ["b"]
    assert len(server.request_log) == 1


def test_a_long_inventory_is_cut_into_pages_that_go_on() -> None:
    rows = [{"identifier": f"{n:04}", "title": "T"} for n in range(MAX_RECORDS + 1)]
    server = ScriptedRegistry({"": rows})
    source = define_source("pod", fields={"title": "dct:title"})

    pages = harvest(server, source)

    assert [len(page.items) for page in pages] == [MAX_RECORDS, 1]
    assert keys(harvest(server, source, cursor=pages[0].cursor)) == [f"{MAX_RECORDS:04}"]
