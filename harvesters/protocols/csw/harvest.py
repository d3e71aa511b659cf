"""CSW 2.0.2: all records of a catalogue service by GetRecords, or those changed since.

Source: https://portal.ogc.org/files/?artifact_id=20555 (OGC 07-006r1, section 10.8)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lxml import etree
from lxml.etree import _Element

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import parse_xml
from harvesters.option_schema import Option, check_choice, check_positive, get_option
from harvesters.page_model import InvalidRecord, Pages, Payload, Record
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.datestamps import in_utc
from harvesters.protocols.error_recovery import (
    PAGE_ERRORS,
    RECORD_ERRORS,
    LoopDetector,
    count_empty_pages,
    count_unreadable,
    total_changed,
)
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source
from harvesters.stored_response import SourcePosition

OPTIONS: Mapping[str, Option] = {
    "types": Option(str, "csw:Record", "The typeNames to request, e.g. `gmd:MD_Metadata`."),
    "schema": Option(
        str,
        "http://www.opengis.net/cat/csw/2.0.2",
        "The outputSchema, e.g. `http://www.isotc211.org/2005/gmd` for ISO 19139.",
    ),
    "constraint": Option(
        str, None, "A constraint in CQL text that limits the harvest, e.g. `dc:type = 'dataset'`."
    ),
    "modified": Option(
        str, None, "The queryable with the time of change, e.g. `dct:modified` or `apiso:Modified`."
    ),
    "sort": Option(
        str,
        None,
        "The sort order, e.g. `dc:identifier:A`; without it records may move between pages during a run.",
    ),
    "method": Option(
        str, "get", "The HTTP method: `get`, or `post` for services that accept XML requests only."
    ),
    "size": Option(int, 50, "The number of records per page."),
}

Item = Record[_Element] | InvalidRecord
_ABOUT = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"
_DCAT = tuple(
    f"{{http://www.w3.org/ns/dcat#}}{name}" for name in ("Dataset", "DataService", "DatasetSeries")
)
_CSW, _OGC = "http://www.opengis.net/cat/csw/2.0.2", "http://www.opengis.net/ogc"
_ACCEPT = "application/xml, text/xml"


class CswException(ParseError):
    """The service reports an exception."""


@dataclass(frozen=True, slots=True)
class CswCursor(ListCursorMethods):
    """Position in a list: the *next* record, counted from 1, and the page *size*, smaller after
    errors; the rest as in Page.
    """

    size: int
    next: int = 1
    total: int | None = None
    again: bool = False
    incomplete_reason: Reason | None = None
    faults: int = 0
    empty: int = 0


@dataclass(frozen=True, slots=True)
class CswResponse:
    """A page of results, the total, and the number of the next record; None if not declared."""

    reply: Reply
    items: tuple[Item, ...]
    total: int | None
    following: int | None


def check(source: Source) -> None:
    """Raise SourceDefinitionError for a page size below 1 or an unknown method."""
    check_choice(source, OPTIONS, "method", ("get", "post"))
    check_positive(source, OPTIONS, "size")


def is_incremental(source: Source) -> bool:
    """Return whether the source definition says how to ask for changes."""
    return bool(get_option(source, OPTIONS, "modified"))


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[_Element]:
    """Yield all records, or those changed since the day before *since* if the source definition has
    ``modified``.

    A page that cannot be read is requested in smaller parts, down to one record, which is then
    unreadable. Raises ParseError if a response is not CSW, reports an exception or repeats an
    earlier page.
    """
    parameters = _query_parameters(source, since)
    state = read_cursor(CswCursor, cursor) or CswCursor(
        get_option(source, OPTIONS, "size"), again=cursor is not None
    )
    loop_detector, ended = LoopDetector(source.name), False
    while not ended:
        items: tuple[Item, ...]
        position: SourcePosition | None = None
        again = state.again
        try:
            answer = _request(source, fetch, parameters, state.next, state.size)
        except CswException:
            raise
        except PAGE_ERRORS as error:
            smaller = _reduce_size(source, fetch, parameters, state, error)
            if smaller.size < state.size:
                state = smaller
                continue
            items, state, ended = _skip_record(source, smaller, error)
        else:
            items, position = answer.items, answer.reply.at
            loop_detector.check_page(answer.reply.url, items, answer.reply.content)
            state, ended = _advance(source, state, answer)
        yield state.page(items, has_next=not ended, total=state.total, at=position, again=again)


def _skip_record(
    source: Source, state: CswCursor, error: HarvestError
) -> tuple[tuple[Item, ...], CswCursor, bool]:
    """Return the one record that cannot be read, the cursor after it, and whether it is the last."""
    why = Reason("record_unreadable_at", {"position": state.next})
    item = InvalidRecord(
        None, Reason("listed_record", {"position": state.next, "error": error.reason})
    )
    state = state.mark_incomplete(why)
    ended = state.total is not None and state.next >= state.total
    after = replace(state, next=state.next + 1, size=_increase_size(source, state))
    return (item,), after, ended


def _advance(source: Source, state: CswCursor, answer: CswResponse) -> tuple[CswCursor, bool]:
    """Return the cursor after a page, and whether it was the last."""
    items = answer.items
    empty = count_empty_pages(source.name, answer.reply.url, state.empty, items)
    state = replace(
        state.mark_incomplete(total_changed(state.total, answer.total)),
        total=state.total if answer.total is None else answer.total,
    )
    following = answer.following if answer.following is not None else state.next + len(items)
    ended = (
        not items
        or following <= state.next
        or (state.total is not None and following > state.total)
    )
    state = state.mark_incomplete(_shortfall(state, len(items)) if ended else None)
    size = _increase_size(source, state)
    return replace(state, next=following, size=size, empty=empty, faults=0), ended


def _query_parameters(source: Source, since: datetime | None) -> Mapping[str, str]:
    parts = [get_option(source, OPTIONS, "constraint")]
    if since is not None and (name := get_option(source, OPTIONS, "modified")):
        day = in_utc(since) - timedelta(days=1)
        parts.append(f"{name} >= '{day:%Y-%m-%d}'")
    condition = " AND ".join(
        f"({part})" if len(parts) > 1 and parts[0] else part for part in parts if part
    )
    constraint = (
        {
            "constraintLanguage": "CQL_TEXT",
            "constraint_language_version": "1.1.0",
            "constraint": condition,
        }
        if condition
        else {}
    )
    sort = get_option(source, OPTIONS, "sort")
    return {
        "service": "CSW", "version": "2.0.2", "request": "GetRecords", "resultType": "results", "elementSetName": "full",
        "typeNames": get_option(source, OPTIONS, "types"), "outputSchema": get_option(source, OPTIONS, "schema"),
        **constraint, **({"sortby": sort} if sort else {}),
    }  # fmt: skip


def _request_document(parameters: Mapping[str, str]) -> bytes:
    """Return the request as XML (section 10.8.4.1), equivalent to the parameters; types use their
    usual prefixes.
    """
    names = {
        "csw": _CSW,
        "ogc": _OGC,
        "gmd": "http://www.isotc211.org/2005/gmd",
        "apiso": "http://www.opengis.net/cat/csw/apiso/1.0",
    }
    attributes = {
        name: parameters[name]
        for name in (
            "service",
            "version",
            "resultType",
            "outputSchema",
            "startPosition",
            "maxRecords",
        )
    }
    root = etree.Element(f"{{{_CSW}}}GetRecords", attributes, nsmap=names)
    query = etree.SubElement(root, f"{{{_CSW}}}Query", {"typeNames": parameters["typeNames"]})
    etree.SubElement(query, f"{{{_CSW}}}ElementSetName").text = parameters["elementSetName"]
    if "constraint" in parameters:
        constraint = etree.SubElement(
            query, f"{{{_CSW}}}Constraint", {"version": parameters["constraint_language_version"]}
        )
        etree.SubElement(constraint, f"{{{_CSW}}}CqlText").text = parameters["constraint"]
    if "sortby" in parameters:
        name, _, order = parameters["sortby"].rpartition(":")
        sort = etree.SubElement(
            etree.SubElement(query, f"{{{_OGC}}}SortBy"), f"{{{_OGC}}}SortProperty"
        )
        etree.SubElement(sort, f"{{{_OGC}}}PropertyName").text = name
        etree.SubElement(sort, f"{{{_OGC}}}SortOrder").text = (
            "DESC" if order.upper().startswith("D") else "ASC"
        )
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _request(
    source: Source, fetch: Fetch, base_parameters: Mapping[str, str], start: int, size: int
) -> CswResponse:
    parameters = {**base_parameters, "startPosition": str(start), "maxRecords": str(size)}
    if get_option(source, OPTIONS, "method") == "post":
        reply = fetch.post(source.url, _request_document(parameters), accept=_ACCEPT)
    else:
        reply = fetch.get(source.url, parameters, accept=_ACCEPT)
    root = parse_xml(reply)
    kind = etree.QName(root).localname
    if kind == "ExceptionReport":
        message = "; ".join(map(_exception_text, root.iterfind("{*}Exception")))
        values = {"source": source.name, "url": reply.url}
        raise CswException(
            Reason(
                "service_says",
                {**values, "message": message or "an exception without a message"},
            )
        )
    results = root.find("{*}SearchResults")
    if kind != "GetRecordsResponse" or results is None:
        raise ParseError(
            Reason("not_csw", {"source": source.name, "url": reply.url, "element": kind})
        )
    following = _number(results.get("nextRecord"))
    return CswResponse(
        reply,
        tuple(map(_parse_record, results.iterfind("*"))),
        _number(results.get("numberOfRecordsMatched")),
        following,
    )


def _exception_text(node: _Element) -> str:
    texts = [" ".join((text.text or "").split()) for text in node.iterfind("{*}ExceptionText")]
    return " ".join(filter(None, (node.get("exceptionCode"), node.get("locator"), *texts)))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


def _parse_record(node: _Element) -> Item:
    """Parse one record: Dublin Core by dc:identifier, ISO 19139 by fileIdentifier, DCAT by the
    identifier or the IRI of the resource.
    """
    resources = [node, *node.iter(*_DCAT)]
    names = ("fileIdentifier", "identifier")
    keys = [_text(resource, name) for name in names for resource in resources]
    keys += [resource.get(_ABOUT) or "" for resource in resources]
    key = next(filter(None, keys), None)
    if key is None:
        return InvalidRecord(
            None, f"a record without an identifier, <{etree.QName(node).localname}>"
        )
    stamps = (_text(each, name) for name in ("modified", "dateStamp") for each in resources)
    stamp = next(filter(None, stamps), None)
    return Record(key, node, etree.tostring(node, encoding="utf-8", with_tail=False), stamp)


def _text(node: _Element, name: str) -> str:
    element = node.find(f"{{*}}{name}")
    return "" if element is None else " ".join("".join(map(str, element.itertext())).split())


def _reduce_size(
    source: Source,
    fetch: Fetch,
    parameters: Mapping[str, str],
    state: CswCursor,
    error: HarvestError,
) -> CswCursor:
    """Return the cursor with half the page size. Raise *error* if the service cannot even return
    its first or second record.
    """
    faults = count_unreadable(source.name, state.faults, error, state.size)
    total = state.total
    for start in (1, 2):
        try:
            declared = _request(source, fetch, parameters, start, 1).total
            total = declared if total is None else total
            break
        except RECORD_ERRORS as probe_error:
            probe_failure = probe_error
    else:
        raise error from probe_failure
    return replace(state, size=max(1, state.size // 2), faults=faults, total=total)


def _increase_size(source: Source, state: CswCursor) -> int:
    most: int = get_option(source, OPTIONS, "size")
    return min(most, state.size * 2)


def _shortfall(state: CswCursor, count: int) -> Reason | None:
    """Return a reason if the list ended before its declared total."""
    reached = state.next + count - 1
    return (
        Reason("list_ended_early", {"fetched": reached, "total": state.total})
        if state.total is not None and reached < state.total
        else None
    )


PROTOCOL = Protocol(
    collect, Payload.XML, OPTIONS, incremental=True, check=check, is_incremental=is_incremental
)
