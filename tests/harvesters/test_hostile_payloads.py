from __future__ import annotations

import io
import signal
import struct
import zipfile
import zlib
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
import simulated
from pyoxigraph import RdfFormat
from rows import each
from simulated import define_source, open_client

from harvesters.errors import CharsetError, HarvestError, ParseError
from harvesters.network.reply import Reply, dump_json, load_json
from harvesters.page_model import InvalidRecord, Record
from harvesters.payloads.rdf_parser import MAX_DEPTH, builtin_context, parse_quads
from harvesters.pipeline.processes import BoundedCallError, ProcessLimits, call_bounded
from harvesters.pipeline.record_processor import check_compatible
from harvesters.protocols.ical import time_zones
from harvesters.protocols.rdf_reader import parse_rdf
from harvesters.protocols.spreadsheet import read_sheet

URL = "https://registry.example/api"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
HEAD = f'<rdf:RDF xmlns:rdf="{RDF}" xmlns:dcat="http://www.w3.org/ns/dcat#" xmlns:dct="http://purl.org/dc/terms/">'
XML = "application/rdf+xml"
TEXTS = ("text/turtle", "application/n-triples", "application/trig", "application/n-quads")
DATASET = '<dcat:Dataset rdf:about="https://a.example/{0}"><dct:title>Wells {0}</dct:title>{1}</dcat:Dataset>'
SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'


def test_json_of_good_data_is_written_as_before() -> None:
    text = b'{"b": 18446744073709551615, "a": [1.5, "12345678901234567890"]}'

    value = load_json(Reply(URL, 200, httpx.Headers(), text))

    numbers = [1.5, "12345678901234567890"]
    assert dump_json(value) == orjson.dumps({"a": numbers, "b": 18446744073709551615})


def harvest(
    content: bytes, protocol: str, mapping: str, content_type: str = "", **options: Any
) -> list[Any]:
    source = define_source(protocol, mapping, url=URL, options=options)
    with open_client(
        lambda request: httpx.Response(200, content=content, headers={"content-type": content_type})
    ) as fetch:
        # The present time decides how far ahead a series of events is expanded.
        fetch.now = lambda: datetime(2026, 6, 1, tzinfo=UTC)
        return [
            item
            for page in check_compatible(source)[0].collect(source, fetch, None)
            for item in page.items
        ]


def nested(count: int) -> str:
    return "<<( <a:s> <a:p> " * count + "<a:o>" + " )>>" * count


PACKED = zlib.compress(b"id,name\n" + b"1,a\n" * 1_000_000) + b"\xff"
# These documents are refused as a whole: protocol, content type, options, content, and reason.
REFUSED: list[tuple[str, str, dict[str, str], bytes, str]] = [
    *(("rdf", kind, {}, f"<a:s> <a:p> <a:o> . # {hidden}\n<a:s> <a:p> {nested(60_000)} .".encode(), "nested more than 100 deep")
      for kind in TEXTS
      for hidden in ("", '"quoted \\" <<" ', "'''long ' <<''' ", "<https://a.example/?a='> ", "ex:a\\#b ")),
    *(("rdf", kind, {}, f"<a:s> <a:p> {text} .\n<a:s> <a:p> {nested(60_000)} .".encode(), "nested more than 100 deep")
      for kind, text in (("text/turtle", '"two\nlines"'), ("text/turtle", '\'two\n"""lines\''),
                         ("application/n-triples", '"two\nlines"'), ("application/n-quads", "\"two\n'''lines\""))),
    *(("rdf", XML, {}, f"{before}{HEAD}{inside}{DATASET.format(1, '')}</rdf:RDF>".encode(charset),
       "DOCTYPE|read as (RDF/XML|Turtle)")
      for charset in ("utf-8", "utf-16")
      for before, inside in (('<!DOCTYPE a [<!ENTITY e "x">]>', ""), ('<!doctype a [<!ENTITY e "x">]>', ""),
                             ("", '<!doctype a [<!ENTITY e "x">]>'), ("<!-- a -->\n<!DocType a>", ""))),
    ("rdf", XML, {}, (HEAD + "<dcat:Dataset><dct:relation>" * 20_000 + "</dct:relation></dcat:Dataset>" * 20_000 + "</rdf:RDF>").encode(),
     "depth"),
    *((protocol, f"text/csv; charset={charset}", options, PACKED,
       "which is not a charset|not utf-8")
      for charset in ("zlib", "bz2", "punycode", "idna", "unicode_escape", "rot13")
      for protocol, options in (("csv", {"key": "id"}), ("json", {"records": "@"}))),
    ("feed", "", {}, b'<?xml version="1.0" encoding="utf-16"?>\xed\xa0\x80<rss>\x00</rss>',
     "neither Atom nor RSS|no feed that can be read"),
]  # fmt: skip


@each("protocol, content_type, options, content, reason", REFUSED)
def test_what_would_cost_a_reader_too_much_is_refused(
    protocol: str, content_type: str, options: dict[str, str], content: bytes, reason: str
) -> None:
    mapping = {"rdf": "dcat", "feed": "feed_entry"}.get(protocol, "fields")

    with pytest.raises((ParseError, CharsetError), match=reason):
        harvest(content, protocol, mapping, content_type, **options)


def turtle(iri: str) -> bytes:
    """Return three datasets as N-Triples; the second has a landing page at *iri*."""
    lines = [
        f"<https://a.example/{number}> <{RDF}type> <http://www.w3.org/ns/dcat#Dataset> .\n"
        f'<https://a.example/{number}> <http://purl.org/dc/terms/title> "é {number}" .\n'
        for number in (1, 2, 3)
    ]
    lines[1] += f"<https://a.example/2> <http://www.w3.org/ns/dcat#landingPage> <{iri}> .\n"
    return "".join(lines).encode()


EVENT = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:a\nBEGIN:VEVENT\nUID:1\nSUMMARY:A\n{}\nEND:VEVENT\nEND:VCALENDAR\n"
START = "DTSTART:20240101T100000Z"
DEEP = "DTSTART;TZID=" + "A/" * 50_000 + ":20240101T100000"
# These documents lose one record alone: protocol, content type, content, end of that record's key,
# and reason.
COSTLY: list[tuple[str, str, bytes, str, str]] = [
    *(("rdf", XML, f"{HEAD}{DATASET.format(1, '')}{DATASET.format(2, broken)}{DATASET.format(3, '')}</rdf:RDF>".encode(), "2", "")
      for broken in ("<dct:description>a</dct:description>stray",
                     "<dcat:distribution><dcat:Distribution>stray</dcat:Distribution></dcat:distribution>",
                     '<dcat:landingPage rdf:resource="<p>https://b.example</p>"/>',
                     '<dcat:landingPage rdf:resource="&lt;p&gt;https://b.example"/>')),
    *(("rdf", kind, turtle(iri), "2", "")
      for kind in TEXTS[:2]
      for iri in ("<p>https://b.example</p>", "https://b.example/<b>c</b>", '<a href="https://b.example">b</a>')),
    # A prefix shortens the subjects of this document.
    ("rdf", "text/turtle",
     b'@prefix : <https://a.example/> . @prefix dcat: <http://www.w3.org/ns/dcat#> . @prefix dct: <http://purl.org/dc/terms/> .\n'
     b':1 a dcat:Dataset ; dct:title "One. Two" .\n# a note .\n:2 a dcat:Dataset ; dct:title "Two" ; dct:type <<p> .\n'
     b':3 a dcat:Dataset ; dct:title "Three" .', "2", ""),
    ("json", "", b'[{"id": "1"}, {"id": "2", "n": ' + b"9" * 5000 + b'}, {"id": "3"}]', "2", ""),
    *(("json", "", b'[{"id": "1"}, {"id": "2", "n": ' + b"[" * depth + b"]" * depth + b'}, {"id": "3"}]', "2", "nested more than 254 deep")
      for depth in (300, 900)),
    ("ical", "", EVENT.format(f"{START}\nEND:VEVENT\nBEGIN:VEVENT\nUID:2\n{DEEP}\nEND:VEVENT\nBEGIN:VEVENT\nUID:3\nSUMMARY:C\n{START}")
     .replace("\n", "\r\n").encode(), "2", "VEVENT: RecursionError"),
]  # fmt: skip


@each("protocol, content_type, content, broken, reason", COSTLY)
def test_what_one_record_has_costs_that_record_alone(
    protocol: str, content_type: str, content: bytes, broken: str, reason: str
) -> None:
    mapping = {"rdf": "dcat", "ical": "ical_event"}.get(protocol, "fields")

    items = harvest(content, protocol, mapping, content_type)

    assert {item.key[-1]: type(item) for item in items} == {
        key: InvalidRecord if key == broken else Record for key in "123"
    }
    assert [reason in item.reason for item in items if isinstance(item, InvalidRecord)] == [True]


def in_context(terms: dict[str, Any], value: object = "a") -> bytes:
    return orjson.dumps({"@context": terms, "p": value})


def chain(length: int) -> dict[str, Any]:
    terms = {f"t{number}": f"t{number + 1}:a" for number in range(1, length)}
    return {"p": "t1:a"} | terms | {f"t{length}": "https://a.example/"}


def chain_of_types(length: int) -> dict[str, Any]:
    terms = [{"@id": f"a:{number}", "@type": f"t{number + 1}"} for number in range(length)]
    return {f"t{number}": term for number, term in enumerate(terms)} | {f"t{length}": "a:b"}


def scoped(count: int) -> dict[str, Any]:
    terms = {f"t{number}": f"https://a.example/{number}" for number in range(count)}
    return {"p": {"@id": "https://a.example/p", "@context": terms}}


# JSON-LD with contexts that cost its parser too much, and the fault. The last three are such as
# people write, and have no fault.
CONTEXTS: list[tuple[bytes, str]] = [
    (in_context(chain(18_000)), "more than 1,000 terms"), (in_context(chain(4_000)), "more than 1,000 terms"),
    (in_context(chain_of_types(4_000)), "more than 1,000 terms"),
    (in_context(scoped(500), ["a"] * 20_000), "a context of its own"),
    (orjson.dumps({"a": [{"@context": [scoped(1)]}]}), "a context of its own"),
    (b'{"a:p":' * 20_000 + b'"a"' + b"}" * 20_000, "recursion"),
    (in_context(chain(999)), ""), (orjson.dumps([{"@context": chain(5), "p": "a"}] * 5_000), ""),
    (b'{"@context":%s,"\\u0040context":{"p":"a:b"},"p":"a"}' % orjson.dumps(chain(4_000)), ""),
]  # fmt: skip


@each("content, fault", CONTEXTS)
def test_json_ld_that_costs_its_parser_too_much_is_refused(content: bytes, fault: str) -> None:
    reply = Reply(URL, 200, httpx.Headers(), content)

    if fault:
        with (
            pytest.raises(ParseError, match=f"^{URL}: .*{fault}"),
            parse_rdf(reply, builtin_context),
        ):
            pass
    else:
        with parse_rdf(reply, builtin_context) as store:
            assert len(store)


def test_a_call_that_ends_its_process_is_an_error() -> None:
    with pytest.raises(BoundedCallError, match=r"^ends its process by SIGSEGV$"):
        call_bounded(signal.raise_signal, signal.SIGSEGV)


def test_triple_terms_side_by_side_are_no_depth() -> None:
    from_text = "".join(
        f'<a:s{number}> <a:p> <<( <a:s> <a:p> "<<( <<(" )>> .\n' for number in range(3 * MAX_DEPTH)
    ).encode()

    assert len(list(parse_quads(from_text, RdfFormat.TRIG, "a.ttl"))) == 3 * MAX_DEPTH


def test_rdf_xml_may_mention_a_doctype_in_a_comment_or_a_text() -> None:
    content = f"<!-- <!DOCTYPE a> -->{HEAD}{DATASET.format(1, '<dct:description><![CDATA[<!DOCTYPE html>]]></dct:description>')}</rdf:RDF>"

    (item,) = harvest(content.encode(), "rdf", "dcat", "application/rdf+xml")

    assert b"<!DOCTYPE html>" in item.raw


def test_stray_text_between_records_is_reported_beside_them() -> None:
    content = f"{HEAD}{DATASET.format(1, '')}stray{DATASET.format(2, '')}</rdf:RDF>"

    items = harvest(content.encode(), "rdf", "dcat", "application/rdf+xml")

    assert [type(item) for item in items] == [Record, Record, InvalidRecord]
    assert "'stray'" in items[-1].reason


def packed(files: dict[str, str | bytes]) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(name, content)
    return buffer.getvalue()


def cell(address: str) -> str:
    return f'<c r="{address}"><v>1</v></c>'


def workbook(rows: str, names: int = 0) -> bytes:
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    defined = "".join(f'<definedName name="n{name}">S!$A$1</definedName>' for name in range(names))
    book = (
        f'<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{kind}">'
        '<sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets>'
        f"<definedNames>{defined}</definedNames></workbook>"
    )
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{kind}/{{}}" Target="{{}}"/></Relationships>'
    )
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/xl/workbook.xml"'
        ' ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
    )
    return packed({
        "[Content_Types].xml": types, "xl/workbook.xml": book,
        "_rels/.rels": relations.format("officeDocument", "xl/workbook.xml"),
        "xl/_rels/workbook.xml.rels": relations.format("worksheet", "worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": SHEET.format(rows),
    })  # fmt: skip


def rows_of(content: bytes) -> list[list[str]]:
    return list(read_sheet(content, "a"))


def compound() -> bytes:
    """Return a compound file ([MS-CFB], section 2) whose allocation table, in sector 0, leads its
    directory, in sector 1, to itself.
    """
    end, fat = 0xFFFFFFFE, 0xFFFFFFFD
    head = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(16)
        + struct.pack("<HHHHH6x", 62, 3, 0xFFFE, 9, 6)
    )
    head += struct.pack("<IIIIIIIIII", 0, 1, 1, 0, 4096, end, 0, end, 0, 0)
    head += struct.pack("<I", 0xFFFFFFFF) * 108
    return head + struct.pack("<II", fat, 1) + struct.pack("<I", 0xFFFFFFFF) * 126 + bytes(512)


@each(
    "content",
    [workbook(f'<row r="1">{cell("A1")}</row><row r="1048576">{cell("XFD1048576")}</row>'), compound()],
)  # fmt: skip
def test_a_workbook_beyond_the_memory_ends_its_own_process_only(
    content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BoundedCallError, match="memory"):
        call_bounded(rows_of, content, limits=ProcessLimits(memory=256 << 20))


def test_defined_names_of_a_workbook_cost_this_process_nothing() -> None:
    content = workbook(f'<row r="1">{cell("A1")}</row>', names=20_000)

    assert call_bounded(rows_of, content) == [["1"]]


def test_a_panic_of_the_workbook_parser_is_a_parse_error(capfd: pytest.CaptureFixture[str]) -> None:
    content = workbook(
        f'<row r="1">{cell("A1")}</row><row r="4294967295">{cell("ZZZZZZZ99999999999")}</row>'
    )

    with pytest.raises(ParseError, match="a is not a readable spreadsheet: capacity overflow"):
        rows_of(content)


MANY = ",".join(f"2024{month:02}{day:02}T{hour:02}{minute:02}00Z" for month in range(1, 13) for day in range(1, 29)
                for hour in range(24) for minute in range(2))  # fmt: skip


ENDLESS = [
    "DTSTART:00010101T100000Z\nRRULE:FREQ=DAILY",
    "DTSTART:20240101T100000Z\nRRULE:FREQ=DAILY;INTERVAL=0",
    "DTSTART:20240101T100000Z\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    f"DTSTART:20240101T100000Z\nRDATE:{MANY}",
]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [*((lines, "takes too long") for lines in ENDLESS),
     pytest.param("DTSTART;VALUE=DATE:00010101\nRRULE:FREQ=DAILY", "takes too long", marks=pytest.mark.nightly),
     pytest.param("DTSTART:20240101T100000Z\nRRULE:FREQ=DAILY;BYDAY=MO;BYSETPOS=300", "takes too long", marks=pytest.mark.nightly),
     ("DTSTART:20130101T100000Z\nRRULE:FREQ=DAILY;BYHOUR=1,2", "more than 10000")],
)  # fmt: skip
def test_a_series_without_bound_is_one_unreadable_event(
    lines: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By day the limit is lower than the program's, which the endless series of the night have.
    if lines in ENDLESS:
        monkeypatch.setattr("harvesters.protocols.ical._MAX_CALLS", 100_000)
    (item,) = harvest(EVENT.format(lines).replace("\n", "\r\n").encode(), "ical", "ical_event")

    assert isinstance(item, InvalidRecord)
    assert reason in item.reason


@each("kind", ["VALARM", "VTODO", "VJOURNAL"])
def test_a_broken_alarm_or_task_costs_no_event(kind: str) -> None:
    broken = f"BEGIN:{kind}\nTRIGGER:-P99999999999W\nDTSTAMP:x\nEND:{kind}"
    lines = f"{START}\n{broken}"
    if kind != "VALARM":
        lines = f"{START}\nEND:VEVENT\n{broken}\nBEGIN:VEVENT\nUID:2\nSUMMARY:B\n{START}"

    items = harvest(EVENT.format(lines).replace("\n", "\r\n").encode(), "ical", "ical_event")  # fmt: skip

    assert {item.key: type(item) for item in items} == dict.fromkeys("12"[: len(items)], Record)


def test_the_time_zones_of_the_system_are_listed_once() -> None:
    assert time_zones() is time_zones()


@each("address", ["http://[", "http://[a]b/", "\\ud800", "http://a:b/"])
@each(
    "protocol, document, options",
    [("activitystreams", '{"type": "OrderedCollection", "last": "%s"}', {}),
     ("json", '{"items": [{"id": 1}], "next": "%s"}', {"records": "items", "next": "next"}),
     ("files", '[{"path": "a.json", "type": "file", "download_url": "%s"}]', {})],
)  # fmt: skip
def test_an_address_that_is_none_ends_in_our_error_or_an_unreadable_record(
    address: str, protocol: str, document: str, options: dict[str, str]
) -> None:
    source = define_source(protocol, "fields", url=URL, options=options)
    first = httpx.Response(200, content=document % address)

    try:
        pages = simulated.harvest(
            lambda request: first if str(request.url) == URL else httpx.Response(500), source
        )
        reasons = [
            item.reason for item in simulated.items(pages) if isinstance(item, InvalidRecord)
        ]
    except HarvestError as error:
        reasons = [str(error)]

    assert len(reasons) == 1


def test_a_stream_whose_paths_are_no_iris_is_read_without_them() -> None:
    content = (
        f'<{URL}> <https://w3id.org/tree#member> <https://a.example/1> ; <https://w3id.org/ldes#versionOfPath> "a[b" .\n'
        '<https://a.example/1> <http://purl.org/dc/terms/title> "Wells" .'
    )

    (item,) = harvest(content.encode(), "ldes", "dcat", "text/turtle")

    assert isinstance(item, Record)


def test_integers_above_64_bits_keep_their_digits_as_keys() -> None:
    numbers = ["12345678901234567890123", "12345678901234567890124", "-9999999999999999999", "18446744073709551616", "7"]  # fmt: skip
    content = "[" + ",".join(f'{{"id": {number}, "name": "a"}}' for number in numbers) + "]"

    items = harvest(content.encode(), "json", "fields")

    assert [item.key for item in items] == numbers
    assert [item.raw.count(item.key.encode()) for item in items] == [1] * len(numbers)


@each("total", [2**31, 10**30])
def test_a_total_that_no_ledger_can_store_is_no_total(total: int) -> None:
    source = define_source("json", "fields", url=URL, options={"records": "r", "total": "n"})
    content = b'{"n": %d, "r": [{"id": "a"}]}' % total

    (page,) = simulated.harvest(lambda request: httpx.Response(200, content=content), source)

    assert (page.reported_total, [item.key for item in page.items]) == (None, ["a"])
