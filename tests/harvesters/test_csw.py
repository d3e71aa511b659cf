from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from rows import each
from simulated import ScriptedRegistry, define_source, harvest, items, keys

from harvesters.page_model import InvalidRecord, Record
from harvesters.pipeline.record_processor import check_compatible
from harvesters.source import Source

RESULTS = (
    '<csw:GetRecordsResponse xmlns:csw="http://www.opengis.net/cat/csw/2.0.2" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:dct="http://purl.org/dc/terms/"><csw:SearchResults numberOfRecordsMatched="{}"{}>{}</csw:SearchResults>'
    "</csw:GetRecordsResponse>"
)


def always(count: int, body: str, after: str = "") -> ScriptedRegistry:
    return ScriptedRegistry(lambda _: httpx.Response(200, text=RESULTS.format(count, after, body)))


@dataclass
class Service:
    """A service with *count* records that sends at most *most* at once."""

    count: int
    most: int = 1000
    next: bool = True
    request_log: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        parameters = dict(request.url.params)
        self.request_log.append(parameters)
        start = int(parameters["startPosition"])
        size = min(self.most, int(parameters["maxRecords"]))
        numbers = range(start, min(self.count, start + size - 1) + 1)
        body = "".join(
            f"<csw:Record><dc:identifier>r{n:03}</dc:identifier><dct:modified>2026-01-01</dct:modified></csw:Record>"
            for n in numbers
        )
        following = numbers.stop if numbers and numbers.stop <= self.count else 0
        result = f' nextRecord="{following}"' if self.next else ""
        return httpx.Response(200, text=RESULTS.format(self.count, result, body))


def source(**options: Any) -> Source:
    return define_source("csw", fields={"title": "dc:title"}, options=options)


@each("most", [1000, 7])
@each("message", [True, False])
def test_all_records_come_page_by_page(message: bool, most: int) -> None:
    pages = harvest(Service(120, most=most, next=message), source())

    assert keys(pages) == [f"r{n:03}" for n in range(1, 121)]
    assert pages[0].reported_total == 120
    assert (pages[-1].cursor, pages[-1].incomplete_reason) == (None, None)


def test_the_request_is_that_of_the_specification() -> None:
    server = Service(1)
    gmd = {"types": "gmd:MD_Metadata", "schema": "http://www.isotc211.org/2005/gmd"}

    harvest(server, source(**gmd, sort="dc:identifier:A", constraint="a = 'b'"))

    assert server.request_log[0] == {
        "service": "CSW", "version": "2.0.2", "request": "GetRecords", "resultType": "results", "elementSetName": "full",
        "typeNames": "gmd:MD_Metadata", "outputSchema": "http://www.isotc211.org/2005/gmd", "sortby": "dc:identifier:A",
        "constraintLanguage": "CQL_TEXT", "constraint_language_version": "1.1.0", "constraint": "a = 'b'",
        "startPosition": "1", "maxRecords": "50",
    }  # fmt: skip


def test_what_changed_is_asked_for_where_the_definition_says_how() -> None:
    server = Service(1)
    dated = source(modified="dct:modified", constraint="a = 'b'")

    harvest(server, dated, datetime(2026, 1, 31, tzinfo=UTC))

    assert server.request_log[0]["constraint"] == "(a = 'b') AND (dct:modified >= '2026-01-30')"
    assert check_compatible(source())[0].incremental is False


def test_a_list_that_ends_too_soon_leaves_the_harvest_incomplete() -> None:
    service = Service(120)

    def short(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=service(request).text.replace('Record="51"', 'Record="0"'))

    pages = harvest(short, source())

    assert str(pages[-1].incomplete_reason) == "the list ended after 50 of 120 records"


def test_iso_records_have_their_file_identifier_and_others_are_unreadable() -> None:
    body = (
        '<g:MD_Metadata xmlns:g="http://www.isotc211.org/2005/gmd" xmlns:c="http://www.isotc211.org/2005/gco">'
        "<g:fileIdentifier><c:CharacterString> f-1 "
        "</c:CharacterString></g:fileIdentifier><g:dateStamp><c:Date>2026-02-01</c:Date></g:dateStamp></g:MD_Metadata><csw:Record/>"
    )

    iso, other = items(harvest(always(2, body, ' nextRecord="0"'), source()))

    assert (type(iso), iso.key, iso.modified) == (Record, "f-1", "2026-02-01")
    assert (type(other), other.key) == (InvalidRecord, None)


def test_a_record_in_dcat_is_known_by_its_identifier_or_its_iri() -> None:
    record = (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dcat="http://www.w3.org/ns/dcat#"><dcat:Dataset'
        ' rdf:about="https://a.example/{0}">{1}<dct:modified>2026-01-01</dct:modified></dcat:Dataset></rdf:RDF>'
    )
    body = record.format(1, "<dct:identifier>one</dct:identifier>") + record.format(2, "")

    records = items(harvest(always(2, body), define_source("csw", fields={"title": ".//dct:title"})))  # fmt: skip

    assert [item.key for item in records] == ["one", "https://a.example/2"]
    assert {item.modified for item in records} == {"2026-01-01"}
