"""CSW 2.0.2: records by GetRecords, page by page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from lxml import etree

from harvesters.compatibility import check_compatible
from harvesters.errors import ParseError, SourceDefinitionError, UnavailableError
from harvesters.network.fetch import Fetch
from harvesters.network.retry import RetryPolicy
from harvesters.network.settings import NetworkSettings
from harvesters.page_model import InvalidRecord, Page, Record
from harvesters.protocols.csw.harvest import collect
from harvesters.source import Source

from .conftest import DefineSource, Registry, ScriptedRegistry

HEAD = (
    '<csw:GetRecordsResponse xmlns:csw="http://www.opengis.net/cat/csw/2.0.2" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:dct="http://purl.org/dc/terms/">'
)


EXCEPTION = (
    b'<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows"><ows:Exception exceptionCode="InvalidParameterValue" locator="sortby">'
    b"<ows:ExceptionText>No such\n field</ows:ExceptionText></ows:Exception></ows:ExceptionReport>"
)


@dataclass
class Service:
    """A service with *count* records; it gives at most *most* at once, and dies of those that are
    *poison* or in *mute*'s place.
    """

    count: int
    most: int = 1000
    poison: Collection[int] = ()
    next: bool = True
    down: bool = False
    posts: bool = False
    request_log: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        parameters = dict(request.url.params) if request.method == "GET" else _parameters(request)
        if self.posts and request.method == "GET":
            return httpx.Response(405)
        self.request_log.append(parameters)
        start = int(parameters["startPosition"])
        size = min(self.most, int(parameters["maxRecords"]))
        numbers = range(start, min(self.count, start + size - 1) + 1)
        if self.down:
            return httpx.Response(503)
        body = "".join(
            f"<csw:Record><dc:identifier>r{n:03}</dc:identifier><dct:modified>2026-01-01</dct:modified></csw:Record>"
            for n in numbers
        )
        following = numbers.stop if numbers and numbers.stop <= self.count else 0
        result = f' nextRecord="{following}"' if self.next else ""
        if any(number in self.poison for number in numbers):
            body += "\x01"
        text = f'{HEAD}<csw:SearchResults numberOfRecordsMatched="{self.count}"{result}>{body}</csw:SearchResults></csw:GetRecordsResponse>'
        return httpx.Response(200, content=text.encode())

    def open_client(self) -> Fetch:
        return Fetch(
            NetworkSettings(
                retry_policy=RetryPolicy(max_attempts=1), transport=httpx.MockTransport(self)
            ),
            pause=0,
            robots=False,
        )


def _parameters(request: httpx.Request) -> dict[str, str]:
    """Read a request in XML as the parameters that it stands for."""
    assert request.headers["content-type"] == "application/xml"
    root = etree.fromstring(request.content)
    query = root.find("{*}Query")
    assert query is not None
    below = {
        "constraint": query.findtext(".//{*}CqlText"),
        "sort": query.findtext(".//{*}PropertyName"),
        "order": query.findtext(".//{*}SortOrder"),
    }
    given = (*root.attrib.items(), *query.attrib.items())
    return {
        **{str(name): str(text) for name, text in given},
        **{name: text for name, text in below.items() if text},
    }


def harvest(
    server: Service | ScriptedRegistry,
    source: Source,
    since: datetime | None = None,
    cursor: str | None = None,
) -> list[Page[Any]]:
    with server.open_client() as fetch:
        return list(collect(source, fetch, since, cursor))


def keys(pages: Iterable[Page[Any]]) -> list[Any]:
    return [item.key for page in pages for item in page.items]


@pytest.fixture
def source(define_source: DefineSource) -> Callable[..., Source]:
    return lambda **options: define_source("csw", fields={"title": "dc:title"}, options=options)


@pytest.mark.parametrize("most", [1000, 7])
@pytest.mark.parametrize("message", [True, False])
def test_all_records_come_page_by_page(
    message: bool, most: int, source: Callable[..., Source]
) -> None:
    pages = harvest(Service(120, most=most, next=message), source())

    assert keys(pages) == [f"r{n:03}" for n in range(1, 121)]
    assert (pages[0].reported_total, pages[-1].cursor, pages[-1].incomplete_reason) == (
        120,
        None,
        None,
    )


def test_the_request_is_that_of_the_specification(source: Callable[..., Source]) -> None:
    server = Service(1)

    harvest(
        server,
        source(
            types="gmd:MD_Metadata",
            schema="http://www.isotc211.org/2005/gmd",
            sort="dc:identifier:A",
            constraint="a = 'b'",
        ),
    )

    assert server.request_log[0] == {
        "service": "CSW", "version": "2.0.2", "request": "GetRecords", "resultType": "results", "elementSetName": "full",
        "typeNames": "gmd:MD_Metadata", "outputSchema": "http://www.isotc211.org/2005/gmd", "sortby": "dc:identifier:A",
        "constraintLanguage": "CQL_TEXT", "constraint_language_version": "1.1.0", "constraint": "a = 'b'",
        "startPosition": "1", "maxRecords": "50",
    }  # fmt: skip


def test_what_changed_is_asked_for_where_the_definition_says_how(
    source: Callable[..., Source],
) -> None:
    server = Service(1)

    harvest(
        server,
        source(modified="dct:modified", constraint="a = 'b'"),
        datetime(2026, 1, 31, tzinfo=UTC),
    )

    assert server.request_log[0]["constraint"] == "(a = 'b') AND (dct:modified >= '2026-01-30')"
    assert check_compatible(source())[0].incremental is False


@pytest.mark.parametrize("bad", [[1], [33], [50, 51], [120]])
def test_a_record_that_spoils_its_page_costs_only_itself(
    bad: list[int], source: Callable[..., Source]
) -> None:
    server = Service(120, poison=bad)

    pages = harvest(server, source())

    assert keys(pages) == [None if n in bad else f"r{n:03}" for n in range(1, 121)]
    assert str(pages[-1].incomplete_reason).startswith(
        f"the record at {bad[0]} of the list cannot be read"
    )
    assert len(server.request_log) < 45


def test_a_service_that_is_down_ends_the_harvest(source: Callable[..., Source]) -> None:
    with pytest.raises(UnavailableError):
        harvest(Service(5, down=True), source())


def test_a_harvest_goes_on_from_each_of_its_cursors(source: Callable[..., Source]) -> None:
    server = Service(60, poison=[33])
    whole = harvest(server, source(size=20))

    for number, page in enumerate(whole[:-1], 1):
        assert keys(harvest(server, source(size=20), cursor=page.cursor)) == keys(whole[number:])


def test_a_list_that_ends_too_soon_leaves_the_harvest_incomplete(
    source: Callable[..., Source],
) -> None:
    class ShortService(Service):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            answer = super().__call__(request)
            return httpx.Response(
                200, content=answer.content.replace(b'nextRecord="51"', b'nextRecord="0"')
            )

    pages = harvest(ShortService(120), source())

    assert str(pages[-1].incomplete_reason) == "the list ended after 50 of 120 records"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (EXCEPTION, "says InvalidParameterValue sortby No such field"),
        (b"<a/>", "not a GetRecords response but <a>"),
        (b"<html>", "HTML page"),
        (b"<a", "not well-formed"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "DOCTYPE"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_reported(
    content: bytes, why: str, source: Callable[..., Source], registry: Registry
) -> None:
    with pytest.raises(ParseError, match=why):
        harvest(registry(lambda _: httpx.Response(200, content=content)), source())


def test_a_list_that_repeats_itself_ends_the_harvest(
    source: Callable[..., Source], registry: Registry
) -> None:
    body = "<csw:Record><dc:identifier>a</dc:identifier></csw:Record>"
    text = f'{HEAD}<csw:SearchResults numberOfRecordsMatched="9">{body}</csw:SearchResults></csw:GetRecordsResponse>'

    with pytest.raises(ParseError, match="repeats the records"):
        harvest(registry(lambda _: httpx.Response(200, content=text.encode())), source())


def test_iso_records_have_their_file_identifier_and_others_are_unreadable(
    source: Callable[..., Source], registry: Registry
) -> None:
    body = (
        '<g:MD_Metadata xmlns:g="http://www.isotc211.org/2005/gmd" xmlns:c="http://www.isotc211.org/2005/gco">'
        "<g:fileIdentifier><c:CharacterString> f-1 "
        "</c:CharacterString></g:fileIdentifier><g:dateStamp><c:Date>2026-02-01</c:Date></g:dateStamp></g:MD_Metadata><csw:Record/>"
    )
    text = f'{HEAD}<csw:SearchResults numberOfRecordsMatched="2" nextRecord="0">{body}</csw:SearchResults></csw:GetRecordsResponse>'

    (page,) = harvest(registry(lambda _: httpx.Response(200, content=text.encode())), source())

    assert [(type(item), item.key) for item in page.items] == [
        (Record, "f-1"),
        (InvalidRecord, None),
    ]
    assert isinstance(page.items[0], Record)
    assert page.items[0].modified == "2026-02-01"


def test_a_size_of_nothing_is_refused(source: Callable[..., Source]) -> None:
    with pytest.raises(SourceDefinitionError, match="write a number from 1 up"):
        check_compatible(source(size=0))


def test_a_service_that_takes_xml_only_is_asked_by_post(source: Callable[..., Source]) -> None:
    server = Service(7, most=5, posts=True)

    pages = harvest(
        server, source(method="post", constraint="dc:type = 'dataset'", sort="dc:identifier:D")
    )

    assert keys(pages) == [f"r{number:03}" for number in range(1, 8)]
    results = {
        "service": "CSW", "version": "2.0.2", "resultType": "results", "typeNames": "csw:Record", "maxRecords": "50",
    }  # fmt: skip
    assert (
        server.request_log[1].items()
        >= {
            **results, "startPosition": "6", "constraint": "dc:type = 'dataset'", "sort": "dc:identifier", "order": "DESC",
        }.items()
    )  # fmt: skip


def test_another_method_is_refused(source: Callable[..., Source]) -> None:
    with pytest.raises(SourceDefinitionError, match="'method' is 'put'; use one of get, post"):
        check_compatible(source(method="put"))


def test_a_record_in_dcat_is_known_by_its_identifier_or_its_iri(
    define_source: DefineSource, registry: Registry
) -> None:
    record = (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dcat="http://www.w3.org/ns/dcat#"><dcat:Dataset'
        ' rdf:about="https://a.example/{0}">{1}<dct:modified>2026-01-01</dct:modified></dcat:Dataset></rdf:RDF>'
    )
    body = record.format(1, "<dct:identifier>one</dct:identifier>") + record.format(2, "")
    text = f'{HEAD}<csw:SearchResults numberOfRecordsMatched="2">{body}</csw:SearchResults></csw:GetRecordsResponse>'
    source = define_source("csw", fields={"title": ".//dct:title"})

    with registry(lambda _: httpx.Response(200, content=text.encode())).open_client() as fetch:
        records = [item for page in collect(source, fetch, None) for item in page.items]

    assert [(item.key, getattr(item, "modified", "")) for item in records] == [
        ("one", "2026-01-01"),
        ("https://a.example/2", "2026-01-01"),
    ]
