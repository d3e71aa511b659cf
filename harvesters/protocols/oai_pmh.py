"""OAI-PMH 2.0: all of a repository's records, or those changed since, by ListRecords.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import orjson
from lxml import etree
from lxml.etree import _Element

from harvesters.answer import xml
from harvesters.errors import ParseError
from harvesters.fetch import Fetch, Reply
from harvesters.option import Option, names, value
from harvesters.record import Gone, Page, Pages, Record, Unreadable
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "prefix": Option(str, "oai_dc", "The metadataPrefix that is asked for."),
    "set": Option((str, list), None, "The set, or the list of sets, to which the harvest is kept; all records without it."),
}

_NS = "{http://www.openarchives.org/OAI/2.0/}"
_HEADER, _METADATA, _RECORD = f"{_NS}header", f"{_NS}metadata", f"{_NS}record"
_IDENTIFIER, _DATESTAMP, _SET = f"{_NS}identifier", f"{_NS}datestamp", f"{_NS}setSpec"


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a list stands: the set's number, the window's start, the next token, the newest datestamp, and whether they rose."""

    set: int = 0
    start: str | None = None
    token: str | None = None
    newest: str = ""
    rising: bool = True

    def text(self) -> str:
        """Write it as a cursor."""
        return orjson.dumps([self.set, self.start, self.token, self.newest, self.rising]).decode()


class _Expired(Exception):
    """The repository no longer knows a resumption token."""


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[_Element]:
    """Collect all records, or those changed since *since* less one step of the repository's granularity.

    A record's payload is the child of its ``<metadata>``, its raw bytes are that child's. With several sets, a record that
    is in more than one comes once. A token that has expired is followed by a list that starts at the newest datestamp,
    or, where datestamps did not rise, anew; records that come twice thereby are the ledger's to tell. Raises ParseError
    where an answer is no OAI-PMH, reports an error or repeats itself.
    """
    sets: tuple[str | None, ...] = names(source, OPTIONS, "set") or (None,)
    spot = _Spot(*orjson.loads(cursor)) if cursor else _Spot(start=_from(source, fetch, since))
    for number in range(spot.set, len(sets)):
        spot = replace(spot, set=number) if number == spot.set else _Spot(number, spot.start)
        yield from _walk(source, fetch, sets, spot)


def _walk(source: Source, fetch: Fetch, sets: tuple[str | None, ...], spot: _Spot) -> Pages[_Element]:
    """Go through one set's list; ``origin`` is where the window of the whole run began."""
    origin, restarts, tokens, pages = spot.start, set[str](), set[str](), set[int]()
    while True:
        try:
            reply, root = _ask(source, fetch, sets[spot.set], spot)
        except _Expired as error:
            start = spot.newest if spot.rising and spot.newest else origin
            if (start or "") in restarts:
                raise ParseError(f"{source.name}: {error}; its list cannot be read to the end") from error
            restarts.add(start or "")
            spot, tokens, pages = _Spot(spot.set, start), set(), set()
            continue
        items = tuple(_items(root, sets[: spot.set]))
        spot = _step(root, spot)
        _once(source, reply, root, spot, tokens, pages)
        last = spot.token is None and spot.set + 1 == len(sets)
        following = spot if spot.token else _Spot(spot.set + 1, origin)
        yield Page(items, None if last else following.text(), _claimed(root) if len(sets) == 1 else None, reply.at)
        if spot.token is None:
            return


def _ask(source: Source, fetch: Fetch, group: str | None, spot: _Spot) -> tuple[Reply, _Element]:
    if spot.token is not None:
        asked = {"verb": "ListRecords", "resumptionToken": spot.token}
    else:
        wanted = {"verb": "ListRecords", "metadataPrefix": value(source, OPTIONS, "prefix"), "set": group, "from": spot.start}
        asked = {name: text for name, text in wanted.items() if text}
    reply = fetch.get(source.url, asked, accept="text/xml, application/xml")
    root = xml(reply)
    if root.tag != f"{_NS}OAI-PMH":
        raise ParseError(f"{source.name}: {reply.url} is no OAI-PMH answer but <{etree.QName(root).localname}>; correct the card's url")
    _check(source, reply, root)
    return reply, root


def _check(source: Source, reply: Reply, root: _Element) -> None:
    errors = [(node.get("code") or "no code", " ".join((node.text or "").split())) for node in root.iterfind(f"{_NS}error")]
    codes = {code for code, _ in errors}
    if not errors or codes == {"noRecordsMatch"}:
        if not errors and root.find(f"{_NS}ListRecords") is None:
            raise ParseError(f"{source.name}: {reply.url} holds no ListRecords")
        return
    told = "; ".join(f"{code}: {text}" if text else code for code, text in errors)
    if "badResumptionToken" in codes:
        raise _Expired(f"{reply.url} says {told}")
    raise ParseError(f"{source.name}: {reply.url} says {told}")


def _items(root: _Element, earlier: tuple[str | None, ...]) -> Iterator[Record[_Element] | Gone | Unreadable]:
    for record in root.iterfind(f"{_NS}ListRecords/{_RECORD}"):
        header = record.find(_HEADER)
        if header is None:
            yield Unreadable(None, "a record without a header")
            continue
        if not earlier or not _within(header, earlier):
            yield _item(record, header)


def _item(record: _Element, header: _Element) -> Record[_Element] | Gone | Unreadable:
    key = (header.findtext(_IDENTIFIER) or "").strip()
    stamp = (header.findtext(_DATESTAMP) or "").strip() or None
    if not key:
        return Unreadable(None, "a record without an identifier")
    if header.get("status") == "deleted":
        return Gone(key, stamp)
    metadata = record.find(_METADATA)
    if metadata is None or not len(metadata):
        return Unreadable(key, "a record without metadata")
    payload = metadata[0]
    return Record(key, payload, etree.tostring(payload, encoding="utf-8", with_tail=False), stamp)


def _within(header: _Element, sets: tuple[str | None, ...]) -> bool:
    """Tell whether a record is in one of *sets* or below it (a set's parts are parted by colons)."""
    specs = [(node.text or "").strip() for node in header.iterfind(_SET)]
    return any(spec == name or spec.startswith(f"{name}:") for spec in specs for name in sets)


def _step(root: _Element, spot: _Spot) -> _Spot:
    """Give the spot after this page."""
    rising, newest = spot.rising, spot.newest
    for node in root.iterfind(f"{_NS}ListRecords/{_RECORD}/{_HEADER}/{_DATESTAMP}"):
        stamp = (node.text or "").strip()
        rising = rising and stamp >= newest
        newest = max(newest, stamp)
    token = (root.findtext(f"{_NS}ListRecords/{_NS}resumptionToken") or "").strip() or None
    return _Spot(spot.set, spot.start, token, newest, rising)


def _once(source: Source, reply: Reply, root: _Element, spot: _Spot, tokens: set[str], pages: set[int]) -> None:
    """Refuse a token or a page that came before, which would go on for ever."""
    headers = root.iterfind(f"{_NS}ListRecords/{_RECORD}/{_HEADER}")
    page = hash(tuple((node.findtext(_IDENTIFIER), node.findtext(_DATESTAMP)) for node in headers))
    if spot.token is not None and spot.token in tokens:
        raise ParseError(f"{source.name}: {reply.url} repeats the resumption token {spot.token!r}")
    if page in pages and root.find(f"{_NS}ListRecords/{_RECORD}") is not None:
        raise ParseError(f"{source.name}: {reply.url} repeats the records of an earlier page")
    tokens.add(spot.token or "")
    pages.add(page)


def _claimed(root: _Element) -> int | None:
    token = root.find(f"{_NS}ListRecords/{_NS}resumptionToken")
    size = (token.get("completeListSize") or "") if token is not None else ""
    return int(size) if size.isascii() and size.isdigit() else None


def _from(source: Source, fetch: Fetch, since: datetime | None) -> str | None:
    """Write *since*, less one step, in the granularity that the repository declares."""
    if since is None:
        return None
    reply = fetch.get(source.url, {"verb": "Identify"}, accept="text/xml, application/xml")
    granularity = (xml(reply).findtext(f"{_NS}Identify/{_NS}granularity") or "").strip()
    utc = since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)
    if granularity == "YYYY-MM-DD":
        return f"{utc - timedelta(days=1):%Y-%m-%d}"
    if granularity == "YYYY-MM-DDThh:mm:ssZ":
        return f"{utc - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    raise ParseError(f"{source.name}: {reply.url} declares the granularity {granularity!r}, which is none of OAI-PMH's two")
