"""The OAI-PMH registry keeps the protocol's rules
(https://www.openarchives.org/OAI/openarchivesprotocol.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from demo_counts import expected_counts
from lxml import etree
from oaipmh_scythe import Scythe
from rows import each
from sickle import Sickle

from demo.registries import Demo

NS = {"o": "http://www.openarchives.org/OAI/2.0/"}
COUNTS = expected_counts(600, 3)["oai"]


def fetch_xml(registry: Any, **parameters: str) -> Any:
    """Return the response to a request; a list without a token is requested in Dublin Core."""
    verb = parameters["verb"]
    if "resumptionToken" not in parameters and verb in (
        "ListRecords",
        "ListIdentifiers",
        "GetRecord",
    ):
        parameters["metadataPrefix"] = "oai_dc"
    query = {name.rstrip("_"): text for name, text in parameters.items()}
    return etree.fromstring(registry.ask("/oai", params=query).content)


def texts(root: Any, path: str) -> list[str]:
    return [str(text) for text in root.xpath(path, namespaces=NS)]


def first_token(registry: Any) -> str:
    return texts(fetch_xml(registry, verb="ListRecords"), "//o:resumptionToken/text()")[0]


def code(root: Any) -> list[str]:
    return texts(root, "//o:error/@code")


def walked(registry: Any, verb: str = "ListRecords", **parameters: str) -> Iterator[Any]:
    page = fetch_xml(registry, verb=verb, **parameters)
    yield page
    while token := "".join(texts(page, "//o:resumptionToken/text()")):
        page = fetch_xml(registry, verb=verb, resumptionToken=token)
        yield page


def listed(registry: Any, path: str, verb: str = "ListRecords", **parameters: str) -> list[str]:
    pages = walked(registry, verb, **parameters)
    return [text for page in pages for text in texts(page, f"//o:header/{path}")]


@each("verb", ["ListRecords", "ListIdentifiers"])
def test_a_list_is_complete_over_its_pages(opened: Any, verb: str) -> None:
    keys = listed(opened(), "o:identifier/text()", verb)

    assert len(keys) == len(set(keys)) == COUNTS.records + COUNTS.deleted
    assert keys == listed(opened(), "o:identifier/text()")


def test_tokens_state_size_and_cursor_and_the_last_is_empty(opened: Any) -> None:
    pages = list(walked(opened()))

    tokens = [page.find(".//o:resumptionToken", NS) for page in pages]
    total = str(COUNTS.records + COUNTS.deleted)
    assert [(token.get("completeListSize"), token.get("cursor")) for token in tokens] == [
        (total, str(50 * n)) for n in range(len(pages))
    ]
    assert not tokens[-1].text


def test_a_token_is_good_twice_and_the_request_is_repeated_but_for_a_bad_one(opened: Any) -> None:
    registry = opened()
    token = first_token(registry)

    first, second = (fetch_xml(registry, verb="ListRecords", resumptionToken=token) for _ in "12")

    assert etree.tostring(first) == etree.tostring(second)

    good = fetch_xml(registry, verb="Identify").find("o:request", NS)
    bad = fetch_xml(registry, verb="Harvest").find("o:request", NS)

    assert (dict(good.attrib), dict(bad.attrib)) == ({"verb": "Identify"}, {})


def test_a_deleted_record_is_a_header_alone(opened: Any) -> None:
    path = ".//o:record[o:header/@status]"
    deleted = [item for page in walked(opened()) for item in page.xpath(path, namespaces=NS)]

    assert [len(record) for record in deleted] == [1] * COUNTS.deleted


@each(
    "start, until", [("2024-03-01", "2024-03-31"), ("2024-03-01T00:00:00Z", "2024-03-31T23:59:59Z")]
)
def test_a_window_of_time_includes_both_its_ends_in_both_granularities(
    opened: Any, start: str, until: str
) -> None:
    registry, stamp = opened(), "o:datestamp/text()"

    results = listed(registry, stamp, from_=start, until=until)

    assert results == [
        text for text in listed(registry, stamp) if "2024-03-01" <= text[:10] <= "2024-03-31"
    ]
    assert results


def test_a_set_holds_the_sets_below_it_and_get_record_gives_the_record_of_the_list(
    opened: Any,
) -> None:
    registry = opened()

    pages = list(walked(registry, set="line:C7"))

    headers = [header for page in pages for header in page.iterfind(".//o:header", NS)]
    specs = [[spec.text for spec in header.iterfind("o:setSpec", NS)] for header in headers]
    assert specs
    assert all(any(text.startswith("line:C7:") for text in of_header) for of_header in specs)
    sets = texts(fetch_xml(registry, verb="ListSets"), "//o:setSpec/text()")
    assert {"line", "line:C7", "line:C7:ehea", "language:fr"} <= set(sets)

    first = fetch_xml(registry, verb="ListRecords").find(".//o:record", NS)

    key = str(first.findtext("o:header/o:identifier", namespaces=NS))
    result = fetch_xml(registry, verb="GetRecord", identifier=key).find(".//o:record", NS)

    canonical = [etree.tostring(item, method="c14n", with_tail=False) for item in (first, result)]
    assert canonical[0] == canonical[1]


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
    assert code(etree.fromstring(opened().ask(f"/oai?{query}").content)) == [expected]


def test_a_token_expires_with_the_version(opened: Any) -> None:
    token = first_token(opened())

    root = fetch_xml(opened(version=2), verb="ListRecords", resumptionToken=token)

    assert code(root) == ["badResumptionToken"]


def test_what_changed_since_the_first_harvest_comes_by_its_response_date(opened: Any) -> None:
    since = texts(fetch_xml(opened(), verb="Identify"), "//o:responseDate/text()")[0]
    registry, later = opened(version=2), expected_counts(600, 3, 2)["oai"]

    count = len(listed(registry, "o:identifier/text()", from_=since))
    deleted = listed(registry, "@status", from_=since)

    assert deleted == ["deleted"] * (later.deleted - COUNTS.deleted)
    new = later.records + later.deleted - COUNTS.records - COUNTS.deleted
    assert new <= count - len(deleted) < 40


def test_clients_of_the_protocol_harvest_all(demo: Demo) -> None:
    records = list(Sickle(f"{demo.url}/oai").ListRecords(metadataPrefix="oai_dc"))
    with Scythe(f"{demo.url}/oai") as scythe:
        others = list(scythe.list_records(metadata_prefix="oai_dc"))

    assert len(records) == len(others) == COUNTS.records + COUNTS.deleted
    untitled = [item for item in records if not item.deleted and "title" not in item.metadata]
    assert len(untitled) == COUNTS.untitled
