"""RDF documents in any syntax: the records of a document, of its next pages, and of the catalogues
that it links to.

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
from harvesters.protocols.cursor import read_cursor, write_cursor
from harvesters.protocols.error_recovery import (
    RECORD_ERRORS,
    LoopDetector,
    count_empty_pages,
    total_changed,
)
from harvesters.protocols.paged_document import MAX_RECORDS
from harvesters.protocols.rdf import reader
from harvesters.protocols.rdf.reader import (
    Item,
    RdfReader,
    build_reader,
    unassigned_errors,
    unidentified,
)
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    **reader.OPTIONS,
    "follow": Option(bool, True, "Read nested catalogues, and members that a document only names."),
    "elsewhere": Option(bool, False, "Follow links to other hosts too."),
}
check = reader.check

_MAX_CATALOGUES = 10_000  # more than any known catalogue of catalogues has
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RdfCursor:
    """Position in a crawl.

    *todo* are the documents to read, the current one first; *seen* are digests of all that were
    ever queued, so that catalogues that contain each other end. *last* is the last item read of the
    current document: a record by its key, or a member by its address. *total* is the total that the
    collection declares; the others are as in Page or count errors in a row.
    """

    todo: tuple[str, ...]
    seen: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    paged: bool = False
    below: bool = False
    total: int | None = None
    again: bool = False
    incomplete_reason: str | None = None
    empty: int = 0

    def mark_incomplete(self, why: str | None) -> RdfCursor:
        """Return the cursor with the reason why the full harvest may be incomplete; the first
        reason is kept.
        """
        return (
            self if self.incomplete_reason or why is None else replace(self, incomplete_reason=why)
        )


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Graph]:
    """Yield all records of a document, of its next pages and of its catalogues. Changes alone
    cannot be requested.

    A record's payload is a graph of its statements and of those about what it points to; its raw
    bytes are the same as sorted N-Triples. A document is split into pages of 1000 records; a member
    that is only named is requested by its address. A catalogue that was read is not read again.
    Raises ParseError if a response is not RDF, has no record, or pages do not end.
    """
    rdf_reader = build_reader(source, fetch)
    state = read_cursor(RdfCursor, cursor)
    yield from _read_documents(
        rdf_reader,
        state or RdfCursor((source.url,), (_digest(source.url),), again=cursor is not None),
        first=cursor is None,
    )


def _read_documents(rdf_reader: RdfReader, state: RdfCursor, *, first: bool) -> Pages[Graph]:
    loop_detector = LoopDetector(rdf_reader.source.name)
    while state.todo:
        address = state.todo[0]
        if not state.paged:
            loop_detector.reset()
            loop_detector.check_token("", address)
        try:
            reply = rdf_reader.fetch_document(address, conditional=first)
            if reply.not_modified:
                yield Page((), None, at=reply.at, unchanged=True)
                return
            broken: NodeErrors = {}
            with rdf_reader.open_store(reply, broken) as store:
                result, following = (
                    rdf_reader.find_records(store, page=_without_fragment(reply)),
                    record_discovery.find_next_page(store),
                )
                _check_content(rdf_reader, reply, store, result)
                state = _queue_catalogues(rdf_reader, state, result, reply)
                is_only = first and not following and not result.elsewhere and len(state.todo) == 1
                loop_detector.check_token(
                    reply.url, following and join_url(reply.url, following), "the next page"
                )
                start = state
                for page, after in _read_document(
                    rdf_reader, start, store, result, broken, reply, following
                ):
                    state = after
                    yield page
        except RECORD_ERRORS as error:
            if not state.below:
                raise
            state = _next_document(
                state.mark_incomplete(f"the catalogue {address} cannot be read: {error}"), None
            )
            lost = InvalidRecord(None, f"the catalogue {address}: {error}")
            yield Page(
                (lost,),
                write_cursor(state) if state.todo else None,
                again=state.again,
                incomplete_reason=state.incomplete_reason,
            )
            continue
        if not is_only:
            rdf_reader.fetch.seen.pop(
                address, None
            )  # a document may be unchanged while those it links to are not
        first = False


def _without_fragment(reply: Reply) -> str:
    return urldefrag(reply.url).url


def _digest(address: str) -> str:
    return blake2b(urldefrag(address).url.encode(), digest_size=8).hexdigest()


def _check_content(
    rdf_reader: RdfReader, reply: Reply, store: Store, result: DiscoveredRecords
) -> None:
    """Raise ParseError, with the classes found, if a document has no record, catalogue or page of
    one.
    """
    if any(
        (result.records, result.keyless, result.elsewhere, result.catalogues)
    ) or record_discovery.is_catalogue(store):
        return
    classes = ", ".join(record_discovery.frequent_classes(store)) or "no classes"
    raise ParseError(
        f"{rdf_reader.source.name}: {reply.url} has no record of a known class but {classes}; set the option 'types'"
    )


def _queue_catalogues(
    rdf_reader: RdfReader, state: RdfCursor, result: DiscoveredRecords, reply: Reply
) -> RdfCursor:
    """Queue the catalogues to which a document links, each once."""
    if not get_option(rdf_reader.source, OPTIONS, "follow"):
        return state
    for address in _allowed_links(rdf_reader, result.catalogues, reply):
        mark = _digest(address)
        if mark not in state.seen and mark != _digest(reply.url):
            if len(state.seen) >= _MAX_CATALOGUES:
                raise ParseError(
                    f"{rdf_reader.source.name}: {reply.url} links to more than {_MAX_CATALOGUES} catalogues; they do not end"
                )
            state = replace(state, todo=(*state.todo, address), seen=(*state.seen, mark))
    return state


def _allowed_links(rdf_reader: RdfReader, addresses: Iterable[str], reply: Reply) -> list[str]:
    """Return the links that may be followed: those to the same host, unless the source definition
    allows others.
    """
    if not get_option(rdf_reader.source, OPTIONS, "follow"):
        return []
    hosts = {urlsplit(rdf_reader.source.url).hostname, urlsplit(reply.url).hostname}
    allowed = [
        address
        for address in addresses
        if get_option(rdf_reader.source, OPTIONS, "elsewhere")
        or urlsplit(address).hostname in hosts
    ]
    if excluded := len(set(addresses)) - len(allowed):
        log.info(
            "links to other hosts not followed",
            source=rdf_reader.source.name,
            left=excluded,
            at=reply.url,
            action="set `elsewhere`",
        )
    return allowed


def _read_document(
    rdf_reader: RdfReader,
    state: RdfCursor,
    store: Store,
    result: DiscoveredRecords,
    broken: NodeErrors,
    reply: Reply,
    following: str | None,
) -> Iterator[tuple[Page[Graph], RdfCursor]]:
    """Yield the pages of one document: its records, then each member that it only names."""
    declared_total = record_discovery.find_total(store)
    state = replace(
        state.mark_incomplete(total_changed(state.total, declared_total) if state.paged else None),
        total=declared_total,
    )
    again = state.again
    records = [(key, node) for key, node in result.records if ("d", key) > state.last]
    members = [
        address
        for address in _allowed_links(rdf_reader, result.elsewhere, reply)
        if ("m", address) > state.last
    ]
    unassigned = unassigned_errors(result, broken)
    state = state.mark_incomplete(
        f"{reply.url} has parts that cannot be read: {next(iter(broken.values()))}"
        if broken
        else None
    )
    unreadable = [*map(unidentified, result.keyless), *unassigned] if state.last < ("m",) else []
    chunks = _chunks(records) or [[]]
    for number, chunk in enumerate(chunks, 1):
        items = (
            *(rdf_reader.parse_record(store, key, node, broken) for key, node in chunk),
            *(unreadable if number == len(chunks) else []),
        )
        more = number < len(chunks) or bool(members)
        empty = count_empty_pages(rdf_reader.source.name, reply.url, state.empty, items)
        state = replace(state, last=("d", chunk[-1][0]) if chunk else state.last, empty=empty)
        state = (
            state if more else _next_document(state, following and join_url(reply.url, following))
        )
        yield (
            Page(
                items,
                write_cursor(state) if state.todo else None,
                _collection_total(state, declared_total),
                reply.at,
                again=again,
                incomplete_reason=state.incomplete_reason,
            ),
            state,
        )
    for address in members:
        item, position = _fetch_member(rdf_reader, address)
        state = replace(state, last=("m", address))
        state = (
            state
            if address != members[-1]
            else _next_document(state, following and join_url(reply.url, following))
        )
        yield (
            Page(
                (item,),
                write_cursor(state) if state.todo else None,
                _collection_total(state, declared_total),
                position,
                again=again,
                incomplete_reason=state.incomplete_reason,
            ),
            state,
        )


def _collection_total(state: RdfCursor, total: int | None) -> int | None:
    """Return the total of a single collection. Totals of several catalogues cannot be added: a
    record may be in more than one.
    """
    return total if len(state.seen) == 1 else None


def _chunks(records: list[tuple[str, Node]]) -> list[list[tuple[str, Node]]]:
    left = iter(records)
    return list(iter(lambda: list(islice(left, MAX_RECORDS)), []))


def _next_document(state: RdfCursor, following: str | None) -> RdfCursor:
    """Return the cursor after a document: at its next page, else at the next one in the queue."""
    if following:
        return replace(state, todo=(following, *state.todo[1:]), last=(), paged=True)
    return replace(state, todo=state.todo[1:], last=(), paged=False, below=True, total=None)


def _fetch_member(rdf_reader: RdfReader, address: str) -> tuple[Item, SourcePosition | None]:
    """Request a member by its address; one that cannot be read does not stop the others while its
    catalogue can be read.
    """
    position = None
    try:
        reply = rdf_reader.fetch_document(address)
        position = reply.at
        with rdf_reader.open_store(reply) as store:
            if not record_discovery.is_described(store, NamedNode(address)):
                return InvalidRecord(address, f"{reply.url} has no statements about it"), position
            return rdf_reader.parse_record(store, address, NamedNode(address)), position
    except RECORD_ERRORS as error:
        if not isinstance(error, ForbiddenError | ParseError):
            _check_reachable(rdf_reader, error)
        return InvalidRecord(address, str(error)), position


def _check_reachable(rdf_reader: RdfReader, error: HarvestError) -> None:
    """Raise *error* if the source's own document can no longer be read either: the fault is then
    not a single member's.
    """
    try:
        rdf_reader.fetch_document(rdf_reader.source.url)
    except RECORD_ERRORS as probe_error:
        raise error from probe_error
