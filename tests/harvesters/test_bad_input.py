from __future__ import annotations

import re
import resource
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
import replay
from fetch_client import fetch_with
from replay import crosswalks
from rows import each
from simulated import define_source

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.page_model import InvalidRecord, Record
from harvesters.pipeline.record_processor import check_compatible

# A harvest of an answer that never ends stops after this many pages.
MOST = 50

KINDS = {
    "oai-pmh": ("oai_dc", {}, {}), "ckan": ("ckan_package", {}, {}), "json": ("fields", {}, {"title": "name"}),
    "csv": ("fields", {"key": "id"}, {"title": "name"}), "rdf": ("fields", {}, {"title": "dct:title|schema:name"}),
    "spreadsheet": ("fields", {"key": "id"}, {"title": "name"}), "iati": ("iati_activity", {"file": True}, {}),
    "sparql": ("fields", {"types": "dcat:Dataset"}, {"title": "dct:title|schema:name"}), "web": ("fields", {}, {"title": "schema:name"}),
    "pod": ("fields", {}, {"title": "dct:title"}), "csw": ("fields", {}, {"title": "dc:title"}),
    "files": ("fields", {}, {"title": "name"}), "ldes": ("fields", {}, {"title": "dct:title"}),
    "activitystreams": ("fields", {}, {"title": "name"}), "resourcesync": ("fields", {}, {"title": "name"}),
}  # fmt: skip
# These protocols can read some files of these folders.
OWN = {"rdf": {"dcat"}, "web": {"html", "jsonapi", "waf"}}
# FOREIGN has files that the last three protocols can read; their own tests say what becomes of
# those.
ALL = {
    **KINDS,
    "feed": ("feed_entry", {}, {}),
    "ical": ("ical_event", {}, {}),
    "html": ("fields", {"records": "//li", "key": "@id"}, {"title": "."}),
}
FITTING = {
    ".xml": "oai-pmh", ".rdf": "rdf", ".ttl": "rdf", ".html": "oai-pmh", ".json": "json", ".jsonld": "rdf",
}  # fmt: skip


def _files(*folders: str) -> list[Path]:
    return [file for folder in folders for file in sorted((replay.FEEDS / folder).glob("*"))]


FOREIGN = [
    *_files("broken", "html"),
    *(file for file in _files("dcat") if file.suffix in {".rdf", ".ttl"}),
    *(file for file in _files("oai") if not re.search("ListRecords|list-records|harvest-", file.name)),
    *_files("waf", "ical", "rss", "jsonapi"),
]  # fmt: skip
BOMBS = [file for file in FOREIGN if re.match("defused(?!_simple.xml)", file.name)]


OTHERS = [file for file in _files("dcat", "ckan", "datajson", "nde") if file.suffix in FITTING]
NONSENSE = [
    b"", b"  \n", b"\xef\xbb\xbf", b"\x00", b"\xff\xfe", b"[", b"[" * 100_000, b'{"a":' * 100_000, b"<a>" * 100_000,
]  # fmt: skip
SLOW = [
    b" " * 100_000 + b"<a", b"<!-- -->" * 20_000 + b"<a", b"<?a?> " * 20_000 + b"<a", b"\n<!--" * 20_000,
]  # fmt: skip


def read_file(content: bytes, protocol: str) -> tuple[list[str], int]:
    """Harvest *content* as the answer to every request; return the reasons of all faults and the
    number of mapped records.
    """
    mapping, options, fields = ALL[protocol]
    source = define_source(protocol, mapping, options=options, fields=fields)
    collect = check_compatible(source)[0].collect
    read = check_compatible(source)[1].prepare(source, crosswalks())
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    reasons, mapped = [], 0
    try:
        with fetch_with(transport, pause=0) as fetch:
            for page in islice(collect(source, fetch, None), MOST):
                for item in page.items:
                    if isinstance(item, InvalidRecord):
                        reasons.append(item.reason)
                    elif isinstance(item, Record):
                        read(item)
                        mapped += 1
    except (ParseError, SourceDefinitionError) as error:
        reasons.append(str(error))
    return reasons, mapped


@pytest.mark.skipif(not FOREIGN, reason=replay.MISSING)
@pytest.mark.parametrize("protocol", KINDS)
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.nightly)])
def test_an_answer_of_another_kind_is_reported_and_never_mapped(protocol: str, step: int) -> None:
    # The protocols begin with different files, so that each file is read by some of them.
    first = [*KINDS].index(protocol) % step
    foreign = [
        file for file in FOREIGN[first::step] if file.parent.name not in OWN.get(protocol, ())
    ]

    outcomes = {file.name: read_file(file.read_bytes(), protocol) for file in foreign}

    assert {name for name, (reasons, _) in outcomes.items() if not reasons} - EMPTY_LISTS == set()
    assert {name for name, (_, mapped) in outcomes.items() if mapped} == set()


# These answers are complete and have no record, so there is no reason to report.
EMPTY_LISTS = {
    "mit_get-identifiers-no-matches_00.xml",
    "sickle_noRecordsMatch.xml",
    "nde_catalog-schema-org-no-dataset.jsonld",
}


@pytest.mark.skipif(not FOREIGN, reason=replay.MISSING)
def test_html_is_reported_as_html() -> None:
    pages = _files("html", "waf")

    reasons = {file.name: read_file(file.read_bytes(), "json")[0][0] for file in pages}

    assert [name for name, reason in reasons.items() if "HTML" not in reason] == []


@pytest.mark.skipif(not FOREIGN, reason=replay.MISSING)
@each("file", BOMBS)
def test_an_xml_bomb_is_refused_before_it_swells(file: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    reasons, _ = read_file(file.read_bytes(), "oai-pmh")

    assert "DOCTYPE, which is refused" in reasons[0]
    # Linux counts the peak of memory in kilobytes.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


BOMB = '<!DOCTYPE a [<!ENTITY b "cc">]><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">&b;</OAI-PMH>'


@each("content", [*NONSENSE, *SLOW, BOMB.encode("utf-16"), BOMB.encode("utf-32")])
@each("protocol", ALL)
def test_nothing_and_nonsense_are_reported(protocol: Any, content: bytes) -> None:
    if protocol == "feed" and content.startswith(b"<a>"):
        # feedparser takes 30 microseconds a tag, so 100,000 tags would take three seconds.
        content = b"<a>" * 10_000
    reasons, mapped = read_file(content, protocol)

    assert (len(reasons), mapped) == (1, 0)


@pytest.mark.skipif(not FOREIGN, reason=replay.MISSING)
@each("file", OTHERS)
def test_any_json_or_rdf_given_to_a_definition_of_its_kind_ends_quietly(file: Any) -> None:
    reasons, mapped = read_file(file.read_bytes(), FITTING[file.suffix])

    assert reasons or mapped or file.name in EMPTY_LISTS
