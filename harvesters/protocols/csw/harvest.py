"""CSW 2.0.2: a catalogue service's records by GetRecords, or those changed since.

Source: https://portal.ogc.org/files/?artifact_id=20555 (OGC 07-006r1, section 10.8)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from lxml import etree
from lxml.etree import _Element

from harvesters.errors import HarvestError, ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch, Reply
from harvesters.network.response_parsing import parse_xml
from harvesters.option_schema import Option, get_option
from harvesters.page_model import InvalidRecord, Page, Pages, Record, SourcePosition
from harvesters.protocols.cursor import read, write
from harvesters.protocols.error_recovery import POISON, UNREAD, Repeats, changed, empties, fault
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "types": Option(str, "csw:Record", "The typeNames that are asked for, e.g. `gmd:MD_Metadata`."),
    "schema": Option(
        str, "http://www.opengis.net/cat/csw/2.0.2", "The outputSchema, e.g. `http://www.isotc211.org/2005/gmd` for ISO 19139."
    ),
    "constraint": Option(str, None, "A constraint in CQL text that keeps the harvest to some records, e.g. `dc:type = 'dataset'`."),
    "modified": Option(str, None, "The queryable that tells when a record changed, e.g. `dct:modified` or `apiso:Modified`."),
    "sort": Option(
        str, None, "What the service sorts by, e.g. `dc:identifier:A`; without it by what it likes, and a change may move a page."
    ),
    "method": Option(str, "get", "How the service is asked: `get`, or `post` where it takes requests in XML only."),
    "size": Option(int, 50, "How many records an answer shall hold."),
}

Item = Record[_Element] | InvalidRecord
_CSW, _OGC = "http://www.opengis.net/cat/csw/2.0.2", "http://www.opengis.net/ogc"
_ACCEPT = "application/xml, text/xml"


class Reported(ParseError):
    """The service reports an exception."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a list stands: its *next* record counted from 1, *size* at once, less after trouble; the rest as on a page or in a row."""

    size: int
    next: int = 1
    total: int | None = None
    again: bool = False
    doubt: str | None = None
    faults: int = 0
    empty: int = 0

    def doubted(self, why: str | None) -> _Spot:
        """Keep the first reason for doubt."""
        return self if self.doubt or why is None else replace(self, doubt=why)


@dataclass(frozen=True, slots=True)
class _Answer:
    reply: Reply
    items: tuple[Item, ...]
    total: int | None
    following: int | None


def check(source: Source) -> None:
    """Refuse a size of nothing and an unknown method; raises SourceDefinitionError."""
    if (method := get_option(source, OPTIONS, "method")) not in {"get", "post"}:
        raise SourceDefinitionError(f"{source.name}: option 'method' is {method!r}; it is one of get, post")
    if get_option(source, OPTIONS, "size") < 1:
        raise SourceDefinitionError(f"{source.name}: option 'size' is 0; write a number from 1 up")


def dated(source: Source) -> bool:
    """Tell whether the card says how to ask what changed since."""
    return bool(get_option(source, OPTIONS, "modified"))


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[_Element]:
    """Collect all records, or those changed since the day before *since* where the card has ``modified``.

    A page that cannot be read is asked for in smaller parts, down to one record, which is unreadable. Raises ParseError where an answer is
    none of CSW's, reports an exception or repeats an earlier page.
    """
    terms = _terms(source, since)
    spot = read(_Spot, cursor) or _Spot(get_option(source, OPTIONS, "size"), again=cursor is not None)
    repeats = Repeats(source.name)
    while True:
        items: tuple[Item, ...]
        at: SourcePosition | None = None
        again = spot.again
        try:
            answer = _ask(source, fetch, terms, spot.next, spot.size)
        except Reported:
            raise
        except POISON as error:
            smaller = _smaller(source, fetch, terms, spot, error)
            if smaller.size < spot.size:
                spot = smaller
                continue
            why = f"the record at {spot.next} of the list cannot be read, and its key cannot be told"
            items, spot = (InvalidRecord(None, f"the record at {spot.next} of the list: {error}"),), smaller.doubted(why)
            ended = spot.total is not None and spot.next >= spot.total
            spot = replace(spot, next=spot.next + 1, size=_larger(source, spot))
        else:
            items, at = answer.items, answer.reply.at
            repeats.page(answer.reply.url, items, answer.reply.content)
            empty = empties(source.name, answer.reply.url, spot.empty, items)
            spot = replace(spot.doubted(changed(spot.total, answer.total)), total=spot.total if answer.total is None else answer.total)
            following = answer.following if answer.following is not None else spot.next + len(items)
            ended = not items or following <= spot.next or (spot.total is not None and following > spot.total)
            spot = spot.doubted(_short(spot, len(items)) if ended else None)
            spot = replace(spot, next=following, size=_larger(source, spot), empty=empty, faults=0)
        yield Page(items, None if ended else write(spot), spot.total, at, again=again, doubt=spot.doubt)
        if ended:
            return


def _terms(source: Source, since: datetime | None) -> Mapping[str, str]:
    parts = [get_option(source, OPTIONS, "constraint")]
    if since is not None and (name := get_option(source, OPTIONS, "modified")):
        day = (since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)) - timedelta(days=1)
        parts.append(f"{name} >= '{day:%Y-%m-%d}'")
    told = " AND ".join(f"({part})" if len(parts) > 1 and parts[0] else part for part in parts if part)
    constraint = {"constraintLanguage": "CQL_TEXT", "constraint_language_version": "1.1.0", "constraint": told} if told else {}
    sort = get_option(source, OPTIONS, "sort")
    return {
        "service": "CSW", "version": "2.0.2", "request": "GetRecords", "resultType": "results", "elementSetName": "full",
        "typeNames": get_option(source, OPTIONS, "types"), "outputSchema": get_option(source, OPTIONS, "schema"),
        **constraint, **({"sortby": sort} if sort else {}),
    }  # fmt: skip


def _document(asked: Mapping[str, str]) -> bytes:
    """Write the request in XML (section 10.8.4.1), which says the same as the parameters; a type's prefix is the one that is usual."""
    names = {"csw": _CSW, "ogc": _OGC, "gmd": "http://www.isotc211.org/2005/gmd", "apiso": "http://www.opengis.net/cat/csw/apiso/1.0"}
    told = {name: asked[name] for name in ("service", "version", "resultType", "outputSchema", "startPosition", "maxRecords")}
    root = etree.Element(f"{{{_CSW}}}GetRecords", told, nsmap=names)
    query = etree.SubElement(root, f"{{{_CSW}}}Query", {"typeNames": asked["typeNames"]})
    etree.SubElement(query, f"{{{_CSW}}}ElementSetName").text = asked["elementSetName"]
    if "constraint" in asked:
        constraint = etree.SubElement(query, f"{{{_CSW}}}Constraint", {"version": asked["constraint_language_version"]})
        etree.SubElement(constraint, f"{{{_CSW}}}CqlText").text = asked["constraint"]
    if "sortby" in asked:
        name, _, order = asked["sortby"].rpartition(":")
        sort = etree.SubElement(etree.SubElement(query, f"{{{_OGC}}}SortBy"), f"{{{_OGC}}}SortProperty")
        etree.SubElement(sort, f"{{{_OGC}}}PropertyName").text = name
        etree.SubElement(sort, f"{{{_OGC}}}SortOrder").text = "DESC" if order.upper().startswith("D") else "ASC"
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _ask(source: Source, fetch: Fetch, terms: Mapping[str, str], start: int, size: int) -> _Answer:
    asked = {**terms, "startPosition": str(start), "maxRecords": str(size)}
    if get_option(source, OPTIONS, "method") == "post":
        reply = fetch.post(source.url, _document(asked), accept=_ACCEPT)
    else:
        reply = fetch.get(source.url, asked, accept=_ACCEPT)
    root = parse_xml(reply)
    kind = etree.QName(root).localname
    if kind == "ExceptionReport":
        told = "; ".join(
            " ".join(filter(None, (it.get("exceptionCode"), it.get("locator"), *_texts(it)))) for it in root.iterfind("{*}Exception")
        )
        raise Reported(f"{source.name}: {reply.url} says {told or 'no more than that there is an exception'}")
    results = root.find("{*}SearchResults")
    if kind != "GetRecordsResponse" or results is None:
        raise ParseError(f"{source.name}: {reply.url} is no answer to GetRecords but <{kind}>; correct the source's url")
    following = _number(results.get("nextRecord"))
    return _Answer(reply, tuple(map(_item, results.iterfind("*"))), _number(results.get("numberOfRecordsMatched")), following)


def _texts(node: _Element) -> list[str]:
    return [" ".join((text.text or "").split()) for text in node.iterfind("{*}ExceptionText")]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


def _item(node: _Element) -> Item:
    """Read one record: of Dublin Core by dc:identifier, of ISO 19139 by fileIdentifier."""
    key = next((text for name in ("fileIdentifier", "identifier") if (text := _text(node, name))), None)
    if key is None:
        return InvalidRecord(None, f"a record without an identifier, <{etree.QName(node).localname}>")
    stamp = next((text for name in ("modified", "dateStamp") if (text := _text(node, name))), None)
    return Record(key, node, etree.tostring(node, encoding="utf-8", with_tail=False), stamp)


def _text(node: _Element, name: str) -> str:
    found = node.find(f"{{*}}{name}")
    return "" if found is None else " ".join("".join(map(str, found.itertext())).split())


def _smaller(source: Source, fetch: Fetch, terms: Mapping[str, str], spot: _Spot, error: HarvestError) -> _Spot:
    """Ask for half as many records at once; raises *error* where the service cannot even tell its first one or two."""
    faults = fault(source.name, spot.faults, error)
    total = spot.total
    for start in (1, 2):
        try:
            told = _ask(source, fetch, terms, start, 1).total
            total = told if total is None else total
            break
        except UNREAD as unwell:
            last = unwell
    else:
        raise error from last
    return replace(spot, size=max(1, spot.size // 2), faults=faults, total=total)


def _larger(source: Source, spot: _Spot) -> int:
    most: int = get_option(source, OPTIONS, "size")
    return min(most, spot.size * 2)


def _short(spot: _Spot, came: int) -> str | None:
    """Doubt a list that ended before its own number; one record was counted for each place."""
    reached = spot.next + came - 1
    return f"the list ended after {reached} of {spot.total} records" if spot.total is not None and reached < spot.total else None
