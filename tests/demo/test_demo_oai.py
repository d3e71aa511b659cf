"""The OAI-PMH registry keeps the protocol's rules
(https://www.openarchives.org/OAI/openarchivesprotocol.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lxml import etree
from oaipmh_scythe import Scythe
from rows import each
from sickle import Sickle

from demo.registries import Demo
from demo.scenario import Fault, expected_counts

NS = {"o": "http://www.openarchives.org/OAI/2.0/"}
COUNTS = expected_counts(600, 3)["oai"]


def fetch_xml(registry: Any, **parameters: str) -> Any:
    return etree.fromstring(
        registry.ask(
            "/oai", params={name.rstrip("_"): text for name, text in parameters.items()}
        ).content
    )


def texts(root: Any, path: str) -> list[str]:
    return [str(text) for text in root.xpath(path, namespaces=NS)]


def code(root: Any) -> list[str]:
    return texts(root, "//o:error/@code")


def walked(registry: Any, verb: str = "ListRecords", **parameters: str) -> Iterator[Any]:
    page = fetch_xml(registry, verb=verb, metadataPrefix="oai_dc", **parameters)
    yield page
    while token := "".join(texts(page, "//o:resumptionToken/text()")):
        page = fetch_xml(registry, verb=verb, resumptionToken=token)
        yield page


def test_a_list_is_complete_over_its_pages(opened: Any) -> None:
    pages = list(walked(opened()))

    keys = [key for page in pages for key in texts(page, "//o:header/o:identifier/text()")]
    assert len(keys) == len(set(keys)) == COUNTS.records + COUNTS.deleted


def test_tokens_state_size_and_cursor_and_the_last_is_empty(opened: Any) -> None:
    pages = list(walked(opened()))

    total = str(COUNTS.records + COUNTS.deleted)
    assert [texts(page, "//o:resumptionToken/@completeListSize") for page in pages] == [
        [total]
    ] * len(pages)
    assert [texts(page, "//o:resumptionToken/@cursor") for page in pages] == [
        [str(50 * n)] for n in range(len(pages))
    ]
    assert texts(pages[-1], "//o:resumptionToken/text()") == []


def test_a_token_is_good_twice(opened: Any) -> None:
    registry = opened()
    token = texts(
        fetch_xml(registry, verb="ListRecords", metadataPrefix="oai_dc"),
        "//o:resumptionToken/text()",
    )[0]

    first, second = (
        fetch_xml(registry, verb="ListRecords", resumptionToken=token) for _ in range(2)
    )

    assert etree.tostring(first) == etree.tostring(second)


def test_a_deleted_record_is_a_header_alone(opened: Any) -> None:
    pages = list(walked(opened()))

    deleted = [
        item
        for page in pages
        for item in page.iterfind(".//o:record[o:header]", NS)
        if item.find("o:header", NS).get("status")
    ]
    assert len(deleted) == COUNTS.deleted
    assert all(len(record) == 1 for record in deleted)


def test_identifiers_are_listed_like_records(opened: Any) -> None:
    registry = opened()

    headers, records = (
        [
            key
            for page in walked(registry, verb)
            for key in texts(page, "//o:header/o:identifier/text()")
        ]
        for verb in ("ListIdentifiers", "ListRecords")
    )

    assert headers == records


@pytest.mark.parametrize(
    ("start", "until"),
    [("2024-03-01", "2024-03-31"), ("2024-03-01T00:00:00Z", "2024-03-31T23:59:59Z")],
)
def test_a_window_of_time_includes_both_its_ends_in_both_granularities(
    opened: Any, start: str, until: str
) -> None:
    registry = opened()
    stamps = [
        text for page in walked(registry) for text in texts(page, "//o:header/o:datestamp/text()")
    ]

    results = [
        text
        for page in walked(registry, from_=start, until=until)
        for text in texts(page, "//o:header/o:datestamp/text()")
    ]

    assert results == [text for text in stamps if "2024-03-01" <= text[:10] <= "2024-03-31"]
    assert results


def test_a_set_holds_the_sets_below_it(opened: Any) -> None:
    registry = opened()

    pages = list(walked(registry, set="line:C7"))

    headers = [header for page in pages for header in page.iterfind(".//o:header", NS)]
    assert headers
    assert all(
        any(spec.text.startswith("line:C7:") for spec in header.iterfind("o:setSpec", NS))
        for header in headers
    )
    assert {"line", "line:C7", "line:C7:ehea", "language:fr"} <= set(
        texts(fetch_xml(registry, verb="ListSets"), "//o:setSpec/text()")
    )


def test_get_record_gives_the_record_of_the_list(opened: Any) -> None:
    registry = opened()
    listed = fetch_xml(registry, verb="ListRecords", metadataPrefix="oai_dc").find(
        ".//o:record", NS
    )

    key = str(listed.findtext("o:header/o:identifier", namespaces=NS))
    result = fetch_xml(registry, verb="GetRecord", metadataPrefix="oai_dc", identifier=key).find(
        ".//o:record", NS
    )

    assert etree.tostring(result, method="c14n", with_tail=False) == etree.tostring(
        listed, method="c14n", with_tail=False
    )


@each(
    "query, expected",
    [("", "badVerb"), ("verb=Harvest", "badVerb"), ("verb=Identify&verb=Identify", "badVerb"), ("verb=Identify&set=a", "badArgument"),
     ("verb=ListRecords", "badArgument"), ("verb=GetRecord&metadataPrefix=oai_dc", "badArgument"),
     ("verb=ListRecords&metadataPrefix=oai_dc&set=a&set=b", "badArgument"),
     ("verb=ListRecords&metadataPrefix=oai_dc&resumptionToken=x", "badArgument"),
     ("verb=ListRecords&metadataPrefix=oai_dc&from=yesterday", "badArgument"),
     ("verb=ListRecords&metadataPrefix=oai_dc&from=2024-02-30", "badArgument"),
     ("verb=ListRecords&metadataPrefix=oai_dc&from=2024-01-01&until=2024-01-01T00:00:00Z", "badArgument"),
     ("verb=ListRecords&metadataPrefix=oai_dc&from=2024-02-01&until=2024-01-01", "badArgument"),
     ("verb=ListRecords&metadataPrefix=marc21", "cannotDisseminateFormat"),
     ("verb=GetRecord&metadataPrefix=oai_dc&identifier=oai:demo.example.org:none", "idDoesNotExist"),
     ("verb=ListMetadataFormats&identifier=none", "idDoesNotExist"),
     ("verb=ListRecords&metadataPrefix=oai_dc&until=2001-01-01", "noRecordsMatch"),
     ("verb=ListRecords&metadataPrefix=oai_dc&set=none", "noRecordsMatch"),
     ("verb=ListRecords&resumptionToken=none", "badResumptionToken"), ("verb=ListSets&resumptionToken=none", "badResumptionToken"),
     ("verb=ListIdentifiers&resumptionToken=ListRecords~1~~~~50", "badResumptionToken"),
     ("verb=ListRecords&resumptionToken=ListRecords~1~~~~9999", "badResumptionToken")],
)  # fmt: skip
def test_a_wrong_request_is_answered_by_its_error_code(
    opened: Any, query: str, expected: str
) -> None:
    root = etree.fromstring(opened().ask(f"/oai?{query}").content)

    assert code(root) == [expected]


def test_the_request_is_repeated_but_for_a_bad_one(opened: Any) -> None:
    registry = opened()

    good = fetch_xml(registry, verb="Identify").find("o:request", NS)
    bad = fetch_xml(registry, verb="Harvest").find("o:request", NS)

    assert (dict(good.attrib), dict(bad.attrib)) == ({"verb": "Identify"}, {})


def test_arguments_may_be_posted(opened: Any) -> None:
    reply = opened().ask(
        "/oai",
        "POST",
        content=b"verb=Identify",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )

    assert texts(etree.fromstring(reply.content), "//o:repositoryName/text()") == [
        "Demo registry of initiatives"
    ]


def test_a_token_expires_with_the_registrys_version(opened: Any) -> None:
    token = texts(
        fetch_xml(opened(), verb="ListRecords", metadataPrefix="oai_dc"),
        "//o:resumptionToken/text()",
    )[0]

    root = fetch_xml(opened(version=2), verb="ListRecords", resumptionToken=token)

    assert code(root) == ["badResumptionToken"]


def test_the_third_request_meets_an_expired_token_once(opened: Any) -> None:
    registry = opened(frozenset({Fault.EXPIRED}))
    token = texts(
        fetch_xml(registry, verb="ListRecords", metadataPrefix="oai_dc"),
        "//o:resumptionToken/text()",
    )[0]

    codes = [code(fetch_xml(registry, verb="ListRecords", resumptionToken=token)) for _ in range(3)]

    assert codes == [[], ["badResumptionToken"], []]


def test_what_changed_since_the_first_harvest_comes_by_its_response_date(opened: Any) -> None:
    since = texts(fetch_xml(opened(), verb="Identify"), "//o:responseDate/text()")[0]

    pages = list(walked(opened(version=2), from_=since))

    later = expected_counts(600, 3, 2)["oai"]
    headers = [header for page in pages for header in page.iterfind(".//o:header", NS)]
    deleted = sum(header.get("status") == "deleted" for header in headers)
    assert deleted == later.deleted - COUNTS.deleted
    assert (
        later.records + later.deleted - COUNTS.records - COUNTS.deleted
        <= len(headers) - deleted
        < 40
    )


def test_sickle_harvests_all(demo: Demo) -> None:
    records = list(Sickle(f"{demo.url}/oai").ListRecords(metadataPrefix="oai_dc"))

    assert len(records) == COUNTS.records + COUNTS.deleted
    assert (
        sum(not record.deleted and "title" not in record.metadata for record in records)
        == COUNTS.untitled
    )


def test_scythe_harvests_all(demo: Demo) -> None:
    with Scythe(f"{demo.url}/oai") as scythe:
        records = list(scythe.list_records(metadata_prefix="oai_dc"))

    assert len(records) == COUNTS.records + COUNTS.deleted
