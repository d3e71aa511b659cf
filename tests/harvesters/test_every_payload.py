"""Read every recorded payload by the protocol and mapping of its kind, and count the records that
are read, mapped and valid.

Run as a program, it prints the same with each reason and whose fault it is: ``python
tests/harvesters/test_every_payload.py``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree
from pyoxigraph import NamedNode, RdfFormat
from pyoxigraph import parse as triples

from harvesters.network.fetch import NetworkSettings

sys.path.insert(0, str(Path(__file__).parent))

import replay

from harvesters.errors import HarvestError, ParseError
from harvesters.mappings.mapping import MAPPINGS
from harvesters.network.fetch import Fetch, RetryPolicy
from harvesters.page_model import Record
from harvesters.pipeline.record_processor import check_compatible
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.source import parse
from shapes.rules import Severity
from shapes.validate import validate_many
from vocab.describe import describe
from vocab.iris import Iris

DEFINITION = {
    "title": "T", "url": "https://registry.example/a.json", "licence": "https://a.example/l", "pause": 0, "language": "en",
}  # fmt: skip
NOW = datetime(2026, 6, 1, tzinfo=UTC)
OAI = "{http://www.openarchives.org/OAI/2.0/}"
PAYLOAD, OTHER = "fault of the payload", "of another kind"
# These reasons keep a payload from being read, mapped or published, by the fault of the payload or
# because it is of another kind. A fault of our own has no row here.
WHOSE: Mapping[str, str] = {
    # This is about a prefix of Turtle.
    "has not been declared": PAYLOAD,
    "no DCAT title or description": PAYLOAD,
    # The records are of music, shops or meters, or their markup is broken on purpose.
    "without a record of a known class": OTHER,
    "begins with <iati-organisations>": OTHER,
    "has no BEGIN:VCALENDAR": PAYLOAD,
    "the calendar cannot be parsed": PAYLOAD,
    "has no UID": PAYLOAD,
    "No DTSTART": PAYLOAD,
    "INVALID-DATE": PAYLOAD,
    "neither an identifier nor a link": PAYLOAD,
    "It has no title": PAYLOAD,
    "without an identifier": PAYLOAD,
    "has a DOCTYPE": PAYLOAD,
    "neither Atom nor RSS": OTHER,
    "HTML page": OTHER,
    "not well-formed XML": PAYLOAD,
    # The repository states that the record was deleted.
    "gone": PAYLOAD,
    "no member of a stream": OTHER,
    "is not a page of an event stream": OTHER,
    # A template is a text in which values are still missing.
    "template": OTHER,
    "holds no record": OTHER,
    "no statement of RDF": OTHER,
    "not JSON": OTHER,
}
COPY = {"title": "PROJECT_NAME", "key": "ID", "subjects": "SctrCluster"}


@dataclass(frozen=True)
class Kind:
    """Files, their protocol and mapping, and the true numbers of files that can be read and of
    records that are in them, are mapped, and pass the checks.
    """

    files: str
    protocol: str
    mapping: str
    truth: tuple[int, int, int, int]
    options: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)


KINDS = (
    Kind("ckan/*.json", "ckan", "ckan_package", (7, 8, 8, 8)), Kind("datajson/*.json", "pod", "dcat", (5, 12, 12, 12)),
    Kind("dcat/*", "rdf", "dcat", (15, 20, 17, 17)), Kind("nde/*dcat*.json*", "rdf", "dcat", (10, 10, 9, 9)),
    Kind("nde/*schema*", "rdf", "schema_org", (14, 14, 14, 14)),
    Kind("dpg/nominees/*.json", "json", "dpg_nominee", (228, 228, 228, 228), {"key": "name"}),
    Kind("dpg/archive/*.json", "json", "dpg_nominee", (486, 486, 486, 486), {"key": "name"}),
    Kind("html/*", "web", "schema_org", (7, 23, 23, 23)),
    Kind("iati/*standard*.xml", "iati", "iati_activity", (1, 1, 1, 1), {"file": True}),
    Kind("ical/*", "ical", "ical_event", (51, 299, 275, 273)), Kind("rss/*", "feed", "feed_entry", (21, 20, 12, 7)),
    Kind("tabular/projects.csv", "csv", "fields", (1, 140, 140, 140), {"group": True}, COPY),
    Kind("tabular/cordis*.csv", "csv", "fields", (1, 3, 3, 3), {}, {"title": "title", "key": "id"}),
    Kind("tabular/book.xls", "spreadsheet", "fields", (1, 1, 1, 1), {}, {"title": "text", "key": "numeric"}),
    Kind("worldbank/*.json", "json", "fields", (2, 20, 20, 20), {"records": "projects"}, {"title": "project_name", "key": "id"}),
    Kind("oai/mit_*.xml", "oai-pmh", "oai_dc", (49, 87, 84, 84)), Kind("oai/sickle_*Record*.xml", "oai-pmh", "oai_dc", (7, 10, 6, 6)),
    Kind("ldes/*", "ldes", "fields", (8, 12, 12, 0), {}, {"title": "rdfs:label|dct:title|schema:name"}),
    Kind("nde/*hydra*", "rdf", "schema_org", (2, 4, 4, 4)), Kind("nde/*.html", "web", "schema_org", (1, 1, 1, 1)),
    Kind("wsis/*.json", "json", "fields", (2, 35, 35, 35), {}, {"title": "name", "key": "id"}),
    Kind("jsonapi/*.yaml", "json", "fields", (5, 50, 50, 50), {"records": "items"}, {"title": "title", "key": "article_id"}),
    Kind("broken/*.xml", "feed", "feed_entry", (26, 10, 1, 0)), Kind("broken/*.ics", "ical", "ical_event", (2, 2, 0, 0)),
)  # fmt: skip


def whose(reason: str) -> str:
    return next((result for words, result in WHOSE.items() if words in reason), "OURS")


def counted(kind: Kind) -> tuple[tuple[int, int, int, int], Counter[str]]:
    definition = {
        "protocol": kind.protocol,
        "mapping": kind.mapping,
        "options": dict(kind.options),
        "fields": dict(kind.fields),
    }
    source = parse("a", {**DEFINITION, **definition}, "a")
    read = check_compatible(source)[1].prepare(source, replay.crosswalks())
    reasons: Counter[str] = Counter()
    files = received = 0
    result: list[list[str]] = []
    for file in sorted(replay.FEEDS.glob(kind.files)):
        try:
            items = list(_items(source, file))
        except HarvestError as error:
            reasons[f"{file.name}: {error}"] += 1
            continue
        files, received = files + 1, received + len(items)
        for item in items:
            try:
                result.append(describe(read(item), Iris(), "a") if isinstance(item, Record) else [])
            except ParseError as error:
                reasons[f"{file.name}: {error}"] += 1
            if not isinstance(item, Record):
                reasons[f"{file.name}: {getattr(item, 'reason', 'gone')}"] += 1
    mapped = [lines for lines in result if lines]
    outcomes = validate_many(mapped)
    faults = [
        [element for element in results if element.severity is Severity.VIOLATION]
        for results in outcomes
    ]
    reasons.update(f"withheld: {element.message}" for actual in faults for element in actual[:1])
    return (files, received, len(mapped), sum(not actual for actual in faults)), reasons


def answers(source: Any, file: Path) -> Callable[[httpx.Request], httpx.Response]:
    content = _body(file)

    def respond(request: httpx.Request) -> httpx.Response:
        if source.protocol == "oai-pmh":
            whole = request.url.params["verb"] == "Identify"
            return httpx.Response(
                200,
                content=(replay.FEEDS / "oai" / "sickle_Identify.xml").read_bytes()
                if whole
                else _repository(content),
            )
        if source.protocol == "ldes":
            return httpx.Response(200, content=_stream(file, content))
        if request.url.path == "/a.json":
            return httpx.Response(200, content=content)
        # The next page may have been recorded too.
        beside = file.with_name(f"nde_{request.url.path.rpartition('/')[2]}")
        return (
            httpx.Response(200, content=beside.read_bytes())
            if beside.exists()
            else httpx.Response(404)
        )

    return respond


def _items(source: Any, file: Path) -> Iterator[Any]:
    with Fetch(
        NetworkSettings(
            retry_policy=RetryPolicy(max_attempts=1),
            transport=httpx.MockTransport(answers(source, file)),
        ),
        pause=0,
        robots=False,
    ) as fetch:
        # The present time decides how far ahead a series of events is expanded.
        fetch.now = lambda: NOW
        for page in check_compatible(source)[0].collect(source, fetch, None):
            yield from page.items


def _body(file: Path) -> bytes:
    head, _, body = (
        file.read_text(encoding="utf-8").partition("\nbody: |-\n")
        if file.suffix == ".yaml"
        else ("", "", "")
    )
    return body.encode() if head else file.read_bytes()


def _repository(content: bytes) -> bytes:
    try:
        records = b"".join(
            etree.tostring(element) for element in etree.fromstring(content).iter(f"{OAI}record")
        )
    except etree.XMLSyntaxError:
        return content
    head = b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">'
    return (
        head
        + (
            b"<ListRecords>" + records + b"</ListRecords>"
            if records
            else b'<error code="noRecordsMatch"/>'
        )
        + b"</OAI-PMH>"
    )


def _stream(file: Path, content: bytes) -> bytes:
    try:
        quads = list(triples(content, RdfFormat.TRIG, base_iri=str(DEFINITION["url"])))
    except SyntaxError:
        return content
    named = {quad.subject.value for quad in quads if isinstance(quad.subject, NamedNode)}
    members = "".join(
        f"<{DEFINITION['url']}> <https://w3id.org/tree#member> <{name}> .\n"
        for name in sorted(named)
    )
    return (
        content
        + f"\n{members}<{DEFINITION['url']}> <https://w3id.org/ldes#versionOfPath> <http://purl.org/dc/terms/isVersionOf> .\n".encode()
    )


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.files} by {kind.protocol}")
def test_every_real_payload_of_a_kind_is_read_mapped_and_validated(kind: Kind) -> None:
    result, reasons = counted(kind)

    assert result == kind.truth, "\n".join(reasons)
    assert [why for why in reasons if whose(why) == "OURS"] == []


def main() -> None:
    sums: dict[tuple[str, str], list[int]] = {}
    for element in KINDS:
        result, why = counted(element)
        count = [len(list(replay.FEEDS.glob(element.files))), *result]
        print(f"{element.files} by {element.protocol} with {element.mapping}: {line(count)}")
        for reason in why:
            print(f"    {whose(reason)}: {reason}")
        for row in (("protocol", element.protocol), ("mapping", element.mapping)):
            sums[row] = [
                before + more for before, more in zip(sums.get(row, [0] * 5), count, strict=True)
            ]
    for row in (
        *(("protocol", name) for name in PROTOCOLS),
        *(("mapping", name) for name in MAPPINGS),
    ):
        print(*row, line(sums[row]) if row in sums else "nothing of its kind was recorded")


def line(count: list[int]) -> str:
    return "{1} of {0} files read, {2} records came, {3} were mapped, {4} passed the checks".format(
        *count
    )


if __name__ == "__main__":
    main()
