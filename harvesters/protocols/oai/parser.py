"""OAI-PMH answers: what a repository said to ListRecords, ListIdentifiers, GetRecord and Identify.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree
from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.network.fetch import Reply
from harvesters.network.response_parsing import parse_xml
from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.protocols.datestamps import read_stamp
from harvesters.protocols.oai.window import FORMS, Calendar
from harvesters.source import Source

_NS = "{http://www.openarchives.org/OAI/2.0/}"
_HEADER, _METADATA, _RECORD, _TOKEN = f"{_NS}header", f"{_NS}metadata", f"{_NS}record", f"{_NS}resumptionToken"
_IDENTIFIER, _DATESTAMP, _SET = f"{_NS}identifier", f"{_NS}datestamp", f"{_NS}setSpec"

Item = Record[_Element] | DeletedRecord | InvalidRecord


class Told(ParseError):
    """The repository reports an error of the protocol, by its *codes*."""

    def __init__(self, message: str, codes: frozenset[str]) -> None:
        super().__init__(message)
        self.codes = codes


@dataclass(frozen=True, slots=True)
class Head:
    """A record's header: identifier, datestamp, the sets that it is in, and whether the record is deleted."""

    key: str
    stamp: str
    sets: tuple[str, ...]
    deleted: bool

    def within(self, groups: tuple[str | None, ...]) -> bool:
        """Tell whether the record is in one of *groups* or below it (a set's parts are parted by colons)."""
        return any(spec == name or spec.startswith(f"{name}:") for spec in self.sets for name in groups)


@dataclass(frozen=True, slots=True)
class Listed:
    """A part of a list: records with their headers (None where one has none), and what its resumption token says.

    *size* and *place* are completeListSize and cursor, *expires* is expirationDate, each None where it is not told; *none*
    tells that the repository said noRecordsMatch.
    """

    reply: Reply
    heads: tuple[Head | None, ...]
    items: tuple[Item, ...]
    token: str | None
    size: int | None
    place: int | None
    expires: str | None
    none: bool


def listed(source: Source, reply: Reply, verb: str) -> Listed:
    """Read a part of a list; raises Told where the repository reports an error, ParseError where it is no such list."""
    root, none = _checked(source, reply, verb)
    found = root.find(f"{_NS}{verb}")
    nodes = [] if found is None else found.findall(_RECORD if verb == "ListRecords" else _HEADER)
    pairs = [(_head(node), _item(node)) if verb == "ListRecords" else (_header(node), InvalidRecord(None, "a header")) for node in nodes]
    token = None if found is None else found.find(_TOKEN)
    return Listed(
        reply=reply,
        heads=tuple(head for head, _ in pairs),
        items=tuple(item for _, item in pairs) if verb == "ListRecords" else (),
        token=None if token is None else (token.text or "").strip() or None,
        size=_number(token, "completeListSize"),
        place=_number(token, "cursor"),
        expires=None if token is None else token.get("expirationDate"),
        none=none,
    )


def single(source: Source, reply: Reply) -> Item:
    """Read the answer to GetRecord; raises like ``listed``."""
    root, _ = _checked(source, reply, "GetRecord")
    record = root.find(f"{_NS}GetRecord/{_RECORD}")
    if record is None:
        raise ParseError(f"{source.name}: {reply.url} holds no record")
    return _item(record)


def named(source: Source, reply: Reply, verb: str, part: str, name: str) -> tuple[list[str], str | None]:
    """Read what ListSets or ListMetadataFormats names, and the resumption token; raises like ``listed``."""
    root, _ = _checked(source, reply, verb)
    found = root.find(f"{_NS}{verb}")
    if found is None:
        return [], None
    texts = [text for node in found.iterfind(f"{_NS}{part}") if (text := _text(node, f"{_NS}{name}"))]
    return texts, _text(found, _TOKEN) or None


def calendar(source: Source, reply: Reply) -> Calendar:
    """Read from the answer to Identify how the repository writes time; raises ParseError at no granularity of OAI-PMH's."""
    root = parse_xml(reply)
    granularity = (root.findtext(f"{_NS}Identify/{_NS}granularity") or "").strip()
    if granularity not in FORMS:
        raise ParseError(f"{source.name}: {reply.url} declares the granularity {granularity!r}, which is none of OAI-PMH's two")
    earliest = read_stamp(root.findtext(f"{_NS}Identify/{_NS}earliestDatestamp") or "")
    return Calendar(*FORMS[granularity], earliest, read_stamp(root.findtext(f"{_NS}responseDate") or ""))


def _checked(source: Source, reply: Reply, verb: str) -> tuple[_Element, bool]:
    """Give the answer's root, and whether it says noRecordsMatch."""
    root = parse_xml(reply)
    if root.tag != f"{_NS}OAI-PMH":
        raise ParseError(f"{source.name}: {reply.url} is no OAI-PMH answer but <{etree.QName(root).localname}>; correct the source's url")
    errors = [(node.get("code") or "no code", " ".join((node.text or "").split())) for node in root.iterfind(f"{_NS}error")]
    codes = frozenset(code for code, _ in errors)
    if errors and codes != {"noRecordsMatch"}:
        told = "; ".join(f"{code}: {text}" if text else code for code, text in errors)
        raise Told(f"{source.name}: {reply.url} says {told}", codes)
    if not errors and root.find(f"{_NS}{verb}") is None:
        raise ParseError(f"{source.name}: {reply.url} holds no {verb}")
    return root, bool(errors)


def _head(record: _Element) -> Head | None:
    header = record.find(_HEADER)
    return None if header is None else _header(header)


def _header(header: _Element) -> Head:
    return Head(
        key=_text(header, _IDENTIFIER),
        stamp=_text(header, _DATESTAMP),
        sets=tuple((node.text or "").strip() for node in header.iterfind(_SET)),
        deleted=header.get("status") == "deleted",
    )


def _text(node: _Element, tag: str) -> str:
    return (node.findtext(tag) or "").strip()


def _item(record: _Element) -> Item:
    head = _head(record)
    if head is None:
        return InvalidRecord(None, "a record without a header")
    if not head.key:
        return InvalidRecord(None, "a record without an identifier")
    if head.deleted:
        return DeletedRecord(head.key, head.stamp or None)
    metadata = record.find(_METADATA)
    if metadata is None or not len(metadata):
        return InvalidRecord(head.key, "a record without metadata")
    payload = metadata[0]
    return Record(head.key, payload, etree.tostring(payload, encoding="utf-8", with_tail=False), head.stamp or None)


def _number(token: _Element | None, name: str) -> int | None:
    text = (token.get(name) or "").strip() if token is not None else ""
    return int(text) if text.isascii() and text.isdigit() else None
