"""RDF documents in any syntax: a document's records, those of its next pages, and of the catalogues that it leads to.

Source: https://www.w3.org/TR/vocab-dcat-3/, https://www.hydra-cg.com/spec/latest/core/#collections
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from itertools import islice
from urllib.parse import urldefrag, urlsplit

import structlog
from pyoxigraph import NamedNode, Store

from harvesters.errors import ForbiddenError, HarvestError, ParseError
from harvesters.network.fetch import Fetch, Reply
from harvesters.option_schema import Option, get_option
from harvesters.page_model import InvalidRecord, Page, Pages, SourcePosition
from harvesters.parsing import join_url
from harvesters.payloads import record_discovery
from harvesters.payloads.graph import Graph, Node
from harvesters.payloads.rdf_parser import NodeErrors
from harvesters.payloads.record_discovery import DiscoveredRecords
from harvesters.protocols.cursor import read, write
from harvesters.protocols.error_recovery import UNREAD, Repeats, changed, empties
from harvesters.protocols.paged_document import ROWS
from harvesters.protocols.rdf import reader
from harvesters.protocols.rdf.reader import Item, Reading, nameless, reading, unclaimed
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    **reader.OPTIONS,
    "follow": Option(bool, True, "Read the catalogues that a catalogue holds, and the members that it only names."),
    "elsewhere": Option(bool, False, "Follow to other hosts too."),
}
check = reader.check

_MOST = 10_000  # catalogues: more are in no catalogue of catalogues that is known
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a walk stands.

    *todo* are the documents to be read, the present one first; *seen* the marks of all that were ever in line, so that catalogues which
    hold each other end. of the present document *last* was read: a record by its key, or a member that it only names. *total*
    is what its collection claims, the others are as on a page or count what went wrong in a row.
    """

    todo: tuple[str, ...]
    seen: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    paged: bool = False
    below: bool = False
    total: int | None = None
    again: bool = False
    doubt: str | None = None
    empty: int = 0

    def doubted(self, why: str | None) -> _Spot:
        """Keep the first reason for doubt."""
        return self if self.doubt or why is None else replace(self, doubt=why)


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Graph]:
    """Collect all records of a document, of its next pages and of the catalogues that it holds; *since* cannot be asked for.

    A record's payload is what is said of it and of what it points to, its raw bytes are the same as sorted N-Triples. A document is
    cut into pages of 1000 records; a member that is only named is asked for by its address. A catalogue that is
    met again is not read again. Raises ParseError where an answer is no RDF, holds no record, or pages do not end.
    """
    told = reading(source, fetch)
    spot = read(_Spot, cursor)
    yield from _walk(told, spot or _Spot((source.url,), (_mark(source.url),), again=cursor is not None), first=cursor is None)


def _walk(told: Reading, spot: _Spot, *, first: bool) -> Pages[Graph]:
    repeats = Repeats(told.source.name)
    while spot.todo:
        address = spot.todo[0]
        if not spot.paged:
            repeats.forget()
            repeats.token("", address)
        try:
            reply = told.get(address, conditional=first)
            if reply.not_modified:
                yield Page((), None, at=reply.at, unchanged=True)
                return
            broken: NodeErrors = {}
            with told.store(reply, broken) as store:
                found, following = told.found(store, page=_page(reply)), record_discovery.find_next_page(store)
                _checked(told, reply, store, found)
                spot = _lined(told, spot, found, reply)
                alone = first and not following and not found.elsewhere and len(spot.todo) == 1
                repeats.token(reply.url, following and join_url(reply.url, following), "the next page")
                begun = spot
                for page, after in _document(told, begun, store, found, broken, reply, following):
                    spot = after
                    yield page
        except UNREAD as error:
            if not spot.below:
                raise
            spot = _ended(spot.doubted(f"the catalogue {address} cannot be read: {error}"), None)
            lost = InvalidRecord(None, f"the catalogue {address}: {error}")
            yield Page((lost,), write(spot) if spot.todo else None, again=spot.again, doubt=spot.doubt)
            continue
        if not alone:
            told.fetch.seen.pop(address, None)  # what leads on to other documents may be unchanged while they are not
        first = False


def _page(reply: Reply) -> str:
    return urldefrag(reply.url).url


def _mark(address: str) -> str:
    return blake2b(urldefrag(address).url.encode(), digest_size=8).hexdigest()


def _checked(told: Reading, reply: Reply, store: Store, found: DiscoveredRecords) -> None:
    """Refuse a document in which nothing is a record, a catalogue or a page of one; raises ParseError, which names its classes."""
    if any((found.records, found.keyless, found.elsewhere, found.catalogues)) or record_discovery.is_catalogue(store):
        return
    there = ", ".join(record_discovery.frequent_classes(store)) or "nothing with a class"
    raise ParseError(f"{told.source.name}: {reply.url} holds no record that we know as one but {there}; set the option 'types'")


def _lined(told: Reading, spot: _Spot, found: DiscoveredRecords, reply: Reply) -> _Spot:
    """Put the catalogues that a document leads to in line, each once; one that is met again is a loop, or listed twice."""
    if not get_option(told.source, OPTIONS, "follow"):
        return spot
    for address in _near(told, found.catalogues, reply):
        mark = _mark(address)
        if mark not in spot.seen and mark != _mark(reply.url):
            if len(spot.seen) >= _MOST:
                raise ParseError(f"{told.source.name}: {reply.url} leads to more than {_MOST} catalogues; its catalogues do not end")
            spot = replace(spot, todo=(*spot.todo, address), seen=(*spot.seen, mark))
    return spot


def _near(told: Reading, addresses: Iterable[str], reply: Reply) -> list[str]:
    """Keep what may be followed: what lies on the same host, unless the card lets us go elsewhere."""
    if not get_option(told.source, OPTIONS, "follow"):
        return []
    hosts = {urlsplit(told.source.url).hostname, urlsplit(reply.url).hostname}
    kept = [it for it in addresses if get_option(told.source, OPTIONS, "elsewhere") or urlsplit(it).hostname in hosts]
    if left := len(set(addresses)) - len(kept):
        log.info("links to other hosts not followed", source=told.source.name, left=left, at=reply.url, cure="set `elsewhere`")
    return kept


def _document(
    told: Reading, spot: _Spot, store: Store, found: DiscoveredRecords, broken: NodeErrors, reply: Reply, following: str | None
) -> Iterator[tuple[Page[Graph], _Spot]]:
    """Read one document: its records in pages, then each member that it only names."""
    told_total = record_discovery.find_total(store)
    spot = replace(spot.doubted(changed(spot.total, told_total) if spot.paged else None), total=told_total)
    again = spot.again
    records = [(key, node) for key, node in found.records if ("d", key) > spot.last]
    members = [it for it in _near(told, found.elsewhere, reply) if ("m", it) > spot.last]
    lost = unclaimed(found, broken)
    spot = spot.doubted(f"{reply.url} has parts that cannot be read: {next(iter(broken.values()))}" if broken else None)
    bad = [*map(nameless, found.keyless), *lost] if spot.last < ("m",) else []
    chunks = _chunked(records) or [[]]
    for number, chunk in enumerate(chunks, 1):
        items = (*(told.item(store, key, node, broken) for key, node in chunk), *(bad if number == len(chunks) else []))
        more = number < len(chunks) or bool(members)
        empty = empties(told.source.name, reply.url, spot.empty, items)
        spot = replace(spot, last=("d", chunk[-1][0]) if chunk else spot.last, empty=empty)
        spot = spot if more else _ended(spot, following and join_url(reply.url, following))
        yield Page(items, write(spot) if spot.todo else None, _claimed(spot, told_total), reply.at, again=again, doubt=spot.doubt), spot
    for address in members:
        item, at = _member(told, address)
        spot = replace(spot, last=("m", address))
        spot = spot if address != members[-1] else _ended(spot, following and join_url(reply.url, following))
        yield Page((item,), write(spot) if spot.todo else None, _claimed(spot, told_total), at, again=again, doubt=spot.doubt), spot


def _claimed(spot: _Spot, total: int | None) -> int | None:
    """Give what the one collection claims; the numbers of several catalogues cannot be added, since records are in more than one."""
    return total if len(spot.seen) == 1 else None


def _chunked(records: list[tuple[str, Node]]) -> list[list[tuple[str, Node]]]:
    left = iter(records)
    return list(iter(lambda: list(islice(left, ROWS)), []))


def _ended(spot: _Spot, following: str | None) -> _Spot:
    """Go on after a document: with its next page, else with the next one in line."""
    if following:
        return replace(spot, todo=(following, *spot.todo[1:]), last=(), paged=True)
    return replace(spot, todo=spot.todo[1:], last=(), paged=False, below=True, total=None)


def _member(told: Reading, address: str) -> tuple[Item, SourcePosition | None]:
    """Ask for a member by its address; one that cannot be read stops nothing while its catalogue can be."""
    at = None
    try:
        reply = told.get(address)
        at = reply.at
        with told.store(reply) as store:
            if not record_discovery.is_described(store, NamedNode(address)):
                return InvalidRecord(address, f"{reply.url} says nothing of it"), at
            return told.item(store, address, NamedNode(address)), at
    except UNREAD as error:
        if not isinstance(error, ForbiddenError | ParseError):
            _alive(told, error)
        return InvalidRecord(address, str(error)), at


def _alive(told: Reading, error: HarvestError) -> None:
    """Raise *error* where the card's own document can no longer be read either: it is then more than one member's."""
    try:
        told.get(told.source.url)
    except UNREAD as unwell:
        raise error from unwell
