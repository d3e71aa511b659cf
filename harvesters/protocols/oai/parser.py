"""Parse OAI-PMH responses to ListRecords, ListIdentifiers, GetRecord, ListSets, ListMetadataFormats
and Identify.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lxml import etree
from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import parse_xml
from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.protocols.datestamps import parse_timestamp
from harvesters.protocols.oai.provenance import drop_repeated, parse_chain
from harvesters.protocols.oai.window import GRANULARITIES, Calendar
from harvesters.reasons import Reason
from harvesters.source import Source

_NS = "{http://www.openarchives.org/OAI/2.0/}"
_HEADER = f"{_NS}header"
_METADATA = f"{_NS}metadata"
_RECORD = f"{_NS}record"
_TOKEN = f"{_NS}resumptionToken"
_IDENTIFIER, _DATESTAMP, _SET = f"{_NS}identifier", f"{_NS}datestamp", f"{_NS}setSpec"

Item = Record[_Element] | DeletedRecord | InvalidRecord


class OaiError(ParseError):
    """The repository reports an OAI-PMH error; *codes* are its error codes."""

    def __init__(self, message: Reason, codes: frozenset[str]) -> None:
        super().__init__(message)
        self.codes = codes


@dataclass(frozen=True, slots=True)
class Header:
    """A record's header: identifier, datestamp, sets, and whether the record is deleted."""

    key: str
    datestamp: str
    sets: tuple[str, ...]
    deleted: bool

    def in_sets(self, groups: tuple[str | None, ...]) -> bool:
        """Return whether the record is in one of *groups* or in a subset (setSpecs are
        hierarchical, separated by colons).
        """
        return any(
            spec == name or spec.startswith(f"{name}:") for spec in self.sets for name in groups
        )


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list: records with their headers (None if a header is missing), and the
    resumption token's attributes.

    *size*, *offset* and *expires* are completeListSize, cursor and expirationDate, None if not
    given; *no_match*: the repository answered noRecordsMatch.
    """

    reply: Reply
    headers: tuple[Header | None, ...]
    items: tuple[Item, ...]
    token: str | None
    size: int | None
    offset: int | None
    expires: str | None
    no_match: bool


def parse_list(source: Source, reply: Reply, verb: str) -> ListPage:
    """Parse one page of a list. Raise OaiError if the repository reports an error, ParseError if it
    is not such a list.
    """
    root, no_match = _check_response(source, reply, verb)
    container = root.find(f"{_NS}{verb}")
    nodes = (
        []
        if container is None
        else container.findall(_RECORD if verb == "ListRecords" else _HEADER)
    )
    pairs = [
        (_find_header(node), _parse_item(node))
        if verb == "ListRecords"
        else (_parse_header(node), InvalidRecord(None, "a header"))
        for node in nodes
    ]
    token = None if container is None else container.find(_TOKEN)
    return ListPage(
        reply=reply,
        headers=tuple(head for head, _ in pairs),
        items=_with_chains(nodes, [item for _, item in pairs]) if verb == "ListRecords" else (),
        token=None if token is None else (token.text or "").strip() or None,
        size=_number(token, "completeListSize"),
        offset=_number(token, "cursor"),
        expires=None if token is None else token.get("expirationDate"),
        no_match=no_match,
    )


def parse_record(source: Source, reply: Reply) -> Item:
    """Parse the response to GetRecord. Raises the same errors as ``parse_list``."""
    root, _ = _check_response(source, reply, "GetRecord")
    record = root.find(f"{_NS}GetRecord/{_RECORD}")
    if record is None:
        raise ParseError(Reason("no_oai_record", {"source": source.name, "url": reply.url}))
    return _with_chains([record], [_parse_item(record)])[0]


def parse_names(
    source: Source, reply: Reply, verb: str, part: str, name: str
) -> tuple[list[str], str | None]:
    """Return the names in a response to ListSets or ListMetadataFormats, and the resumption token.
    Raises like ``parse_list``.
    """
    root, _ = _check_response(source, reply, verb)
    container = root.find(f"{_NS}{verb}")
    if container is None:
        return [], None
    texts = [
        text for node in container.iterfind(f"{_NS}{part}") if (text := _text(node, f"{_NS}{name}"))
    ]
    return texts, _text(container, _TOKEN) or None


def parse_calendar(source: Source, reply: Reply) -> Calendar:
    """Parse the date format in the response to Identify. Raise ParseError if the granularity is not
    one of OAI-PMH's two.
    """
    root = parse_xml(reply)
    granularity = (root.findtext(f"{_NS}Identify/{_NS}granularity") or "").strip()
    if granularity not in GRANULARITIES:
        raise ParseError(
            Reason(
                "unknown_granularity",
                {"source": source.name, "url": reply.url, "granularity": granularity},
            )
        )
    earliest = parse_timestamp(root.findtext(f"{_NS}Identify/{_NS}earliestDatestamp") or "")
    return Calendar(
        *GRANULARITIES[granularity],
        earliest,
        parse_timestamp(root.findtext(f"{_NS}responseDate") or ""),
    )


def _check_response(source: Source, reply: Reply, verb: str) -> tuple[_Element, bool]:
    """Return the root element and whether the response is noRecordsMatch."""
    root = parse_xml(reply)
    if root.tag != f"{_NS}OAI-PMH":
        raise ParseError(
            Reason(
                "not_oai",
                {"source": source.name, "url": reply.url, "element": etree.QName(root).localname},
            )
        )
    errors = [
        (node.get("code") or "no code", " ".join((node.text or "").split()))
        for node in root.iterfind(f"{_NS}error")
    ]
    codes = frozenset(code for code, _ in errors)
    if errors and codes != {"noRecordsMatch"}:
        message = "; ".join(f"{code}: {text}" if text else code for code, text in errors)
        raise OaiError(
            Reason("service_says", {"source": source.name, "url": reply.url, "message": message}),
            codes,
        )
    if not errors and root.find(f"{_NS}{verb}") is None:
        raise ParseError(Reason("no_verb", {"source": source.name, "url": reply.url, "verb": verb}))
    return root, bool(errors)


def _with_chains(nodes: Sequence[_Element], items: Sequence[Item]) -> tuple[Item, ...]:
    """Return the items of a page with the addresses at which they were harvested before."""
    chains = drop_repeated(list(map(parse_chain, nodes)))
    pairs = zip(items, chains, strict=True)
    return tuple(
        replace(item, lineage=chain) if chain and isinstance(item, Record) else item
        for item, chain in pairs
    )


def _find_header(record: _Element) -> Header | None:
    header = record.find(_HEADER)
    return None if header is None else _parse_header(header)


def _parse_header(header: _Element) -> Header:
    return Header(
        key=_text(header, _IDENTIFIER),
        datestamp=_text(header, _DATESTAMP),
        sets=tuple((node.text or "").strip() for node in header.iterfind(_SET)),
        deleted=header.get("status") == "deleted",
    )


def _text(node: _Element, tag: str) -> str:
    return (node.findtext(tag) or "").strip()


def _parse_item(record: _Element) -> Item:
    head = _find_header(record)
    if head is None:
        return InvalidRecord(None, Reason("no_oai_header"))
    if not head.key:
        return InvalidRecord(None, Reason("no_oai_identifier"))
    if head.deleted:
        return DeletedRecord(head.key, head.datestamp or None)
    metadata = record.find(_METADATA)
    if metadata is None or not len(metadata):
        return InvalidRecord(head.key, Reason("no_oai_metadata"))
    payload = metadata[0]
    return Record(
        head.key,
        payload,
        etree.tostring(payload, encoding="utf-8", with_tail=False),
        head.datestamp or None,
    )


def _number(token: _Element | None, name: str) -> int | None:
    text = (token.get(name) or "").strip() if token is not None else ""
    return int(text) if text.isascii() and text.isdigit() else None
