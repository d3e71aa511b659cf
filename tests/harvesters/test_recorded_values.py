from __future__ import annotations

import pytest
import replay
from pyoxigraph import NamedNode, RdfFormat, Store
from replay import crosswalks
from simulated import define_source

from harvesters.mappings.ckan_package import build_mapper
from harvesters.mappings.dcat import build_mapper as build_dcat_mapper
from harvesters.page_model import Record
from harvesters.payloads.graph import bounded_description
from vocab.initiative import Checksum, Document, Period, Role, Text

from .test_real_feeds import harvested

pytestmark = pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)

SHA1 = "http://spdx.org/rdf/terms#checksumAlgorithm_sha1"


def documents(name: str) -> list[Document]:
    return [item for item in harvested(name)[1] if isinstance(item, Document)]


def of_title(name: str, title: str) -> Document:
    return next(
        item
        for item in documents(name)
        if any(text.value.startswith(title) for text in item.titles)
    )


def test_lists_that_a_portal_writes_as_text_are_split() -> None:
    survey = of_title("ckan-samples", "Zimbabwe")

    assert survey.languages == ("en", "es", "ca")  # "en,es,ca"
    assert survey.periods == (Period("1982", "1986"),)  # ["1982"] and ["1986"]
    assert (
        survey.access_rights
        == "Subject to a licence fee. Subject to usual BGS terms and conditions."
    )
    assert survey.frequency == "notPlanned"


def test_a_file_keeps_its_names_descriptions_size_and_checksum() -> None:
    multilingual = of_title("ckan-samples", "Conjunt de dades").files[0]
    stations = of_title("ckan-samples", "Reisezentren").files[0]

    assert set(multilingual.titles) == {
        Text("Resource 1", "en"),
        Text("Recurs 1", "ca"),
        Text("Recurso 1", "es"),
    }
    assert Text("Una descripció qualsevol", "ca") in multilingual.descriptions
    assert (stations.size, stations.descriptions[0].value) == (
        10325,
        "Reisezentrenliste der DB Vertrieb GmbH",
    )
    assert Checksum("4304cf2e751e6053c90b1804c89c0ebb758f395a", SHA1) in {
        file.checksum for item in documents("ckan-samples") for file in item.files
    }


def test_the_contact_of_an_organization_is_kept() -> None:
    (rostock,) = documents("dcat-germany")

    (contact,) = rostock.contacts

    assert contact.names[0].value.startswith("Hanse- und Universitätsstadt Rostock")
    assert (contact.email, contact.page) == ("geodienste@rostock.de", None)


def test_the_contact_of_a_person_is_not_kept() -> None:
    packages = documents("ckan-samples")
    inventory = documents("pod-inventory")

    assert {
        name.value for item in packages for contact in item.contacts for name in contact.names
    } == {"Test Publisher"}  # John Doe and Michael Binzen are authors
    assert [item.contacts for item in inventory] == [()] * 6  # LaShann Freeman


def test_a_checksum_without_its_algorithm_is_not_published() -> None:
    resource = {"url": "https://k.example/a", "hash": "c157a79031e1c40f85931829bc5fc552"}
    read = build_mapper(define_source("ckan", "ckan_package"), crosswalks())

    assert read(Record("a", {"title": "A", "resources": [resource]}, b"")).files[0].checksum is None
    named = (
        read(Record("a", {"title": "A", "resources": [{**resource, "hash_algorithm": "MD5"}]}, b""))
        .files[0]
        .checksum
    )
    assert named
    assert named.algorithm == "http://spdx.org/rdf/terms#checksumAlgorithm_md5"


def test_the_date_of_issue_of_a_package_is_its_own_before_that_of_the_record() -> None:
    read = build_mapper(define_source("ckan", "ckan_package"), crosswalks())
    dates = '[{"type": "publication", "value": "1982"}, {"type": "revision", "value": "1983"}]'
    package = {
        "title": "A",
        "metadata_created": "2020-01-01",
        "metadata_modified": "2021-01-01",
        "extras": [{"key": "dataset-reference-date", "value": dates}],
    }

    dated = read(Record("a", package, b""))
    undated = read(Record("a", {**package, "extras": []}, b""))
    own = read(Record("a", {**package, "issued": "1981"}, b""))

    assert (dated.issued, dated.modified) == ("1982", "1983")
    assert (undated.issued, undated.modified) == ("2020-01-01", "2021-01-01")
    assert own.issued == "1981"


def test_a_catalogue_keeps_languages_and_formats_of_older_profiles() -> None:
    item = of_title("dcat-endpoint", "A test dataset on your catalogue")

    assert set(item.languages) == {"ca", "en", "es"}  # dc:language
    # dct:format [rdf:value "text/csv"]
    assert {file.form for file in item.files} == {"text/csv", "text/html"}


def test_a_catalogue_keeps_checksums_of_files() -> None:
    files = [file for item in documents("dcat-germany") for file in item.files]

    digests = [file.checksum for file in files if file.checksum]
    assert digests
    assert {digest.algorithm for digest in digests} == {
        "http://dcat-ap.de/def/hashAlgorithms/sha/256"
    }
    assert {len(digest.value) for digest in digests} == {64}


def test_the_agent_of_a_qualified_attribution_is_a_partner() -> None:
    turtle = """
        @prefix dct: <http://purl.org/dc/terms/> . @prefix dcat: <http://www.w3.org/ns/dcat#> .
        @prefix foaf: <http://xmlns.com/foaf/0.1/> . @prefix prov: <http://www.w3.org/ns/prov#> .
        <https://k.example/d> a dcat:Dataset ; dct:title "Wells" ; prov:qualifiedAttribution
            [ prov:agent [ a foaf:Organization ; foaf:name "Water Board" ] ; dcat:hadRole <https://k.example/processor> ] ,
            [ prov:agent [ a foaf:Person ; foaf:name "A. Example" ] ] .
    """
    store = Store()
    store.load(turtle.encode(), format=RdfFormat.TURTLE)
    graph = bounded_description(store, NamedNode("https://k.example/d"), 3)

    item = build_dcat_mapper(define_source("rdf", "dcat"), crosswalks())(Record("d", graph, b""))

    assert [(party.role, party.name.value) for party in item.parties] == [
        (Role.PARTNER, "Water Board")
    ]
