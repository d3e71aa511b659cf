"""RDF documents in any syntax: the records of a document, of its next pages, and of the catalogues
that it links to.

Source: https://www.w3.org/TR/vocab-dcat-3/, https://www.hydra-cg.com/spec/latest/core/#collections
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from itertools import islice
from urllib.parse import urldefrag, urlsplit

import structlog
from pyoxigraph import NamedNode, Store

from harvesters.errors import ForbiddenError, HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.option_schema import Option, get_option
from harvesters.page_model import InvalidRecord, Page, Pages, Payload
from harvesters.parsing import join_url
from harvesters.payloads import record_discovery
from harvesters.payloads.graph import Graph, Node
from harvesters.payloads.rdf_parser import NodeErrors
from harvesters.payloads.record_discovery import DiscoveredRecords
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.error_recovery import (
    RECORD_ERRORS,
    LoopDetector,
    count_empty_pages,
    total_changed,
)
from harvesters.protocols.paged_document import MAX_RECORDS
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.rdf import reader
from harvesters.protocols.rdf.reader import (
    Item,
    RdfReader,
    build_reader,
    unassigned_errors,
    unidentified,
)
from harvesters.reasons import Reason
from harvesters.source import Source
from harvesters.stored_response import SourcePosition

OPTIONS: Mapping[str, Option] = {
    **reader.OPTIONS,
    "follow": Option(bool, True, "Read nested catalogues, and members that a document only names."),
    "elsewhere": Option(bool, False, "Follow links to other hosts too."),
}
check = reader.check

_MAX_CATALOGUES = 10_000  # more than any known catalogue of catalogues has
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RdfCursor(ListCursorMethods):
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
    incomplete_reason: Reason | None = None
    empty: int = 0


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
            with _open_document(rdf_reader, reply) as document:
                state = _queue_catalogues(rdf_reader, state, document.result, reply)
                is_only = first and document.is_only and len(state.todo) == 1
                loop_detector.check_token(reply.url, document.following, "next_page")
                for page, after in _read_document(rdf_reader, state, document):
                    state = after
                    yield page
        except RECORD_ERRORS as error:
            if not state.below:
                raise
            why = Reason("catalogue_unreadable", {"url": address, "error": error.reason})
            state = _next_document(state.mark_incomplete(why), None)
            lost = InvalidRecord(None, why)
            yield state.page((lost,), has_next=bool(state.todo), again=state.again)
            continue
        if not is_only:  # a document may be unchanged while those it links to are not
            rdf_reader.fetch.forget(address)
        first = False


@dataclass(frozen=True, slots=True)
class _Document:
    """A parsed response: its records, the nodes that cannot be read, and the next page's address."""

    reply: Reply
    store: Store
    broken: NodeErrors
    result: DiscoveredRecords
    following: str | None

    @property
    def is_only(self) -> bool:
        """Return whether the document names no other that has to be read."""
        return not self.following and not self.result.elsewhere


@contextmanager
def _open_document(rdf_reader: RdfReader, reply: Reply) -> Iterator[_Document]:
    """Parse a response. Raise ParseError if it has no record, catalogue or page of one."""
    broken: NodeErrors = {}
    with rdf_reader.open_store(reply, broken) as store:
        result = rdf_reader.find_records(store, page=_without_fragment(reply))
        following = record_discovery.find_next_page(store)
        _check_content(rdf_reader, reply, store, result)
        address = join_url(reply.url, following) if following else None
        yield _Document(reply, store, broken, result, address)


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
        Reason(
            "no_known_class",
            {"source": rdf_reader.source.name, "url": reply.url, "classes": classes},
        )
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
                    Reason(
                        "too_many_catalogues",
                        {
                            "source": rdf_reader.source.name,
                            "url": reply.url,
                            "limit": _MAX_CATALOGUES,
                        },
                    )
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
            skipped=excluded,
            at=reply.url,
            action="set `elsewhere`",
        )
    return allowed


def _read_document(
    rdf_reader: RdfReader, state: RdfCursor, document: _Document
) -> Iterator[tuple[Page[Graph], RdfCursor]]:
    """Yield the pages of one document: its records, then each member that it only names."""
    reply, following = document.reply, document.following
    total = record_discovery.find_total(document.store)
    state = state.mark_incomplete(total_changed(state.total, total) if state.paged else None)
    if document.broken:
        first_error = next(iter(document.broken.values()))
        state = state.mark_incomplete(
            Reason("parts_unreadable", {"url": reply.url, "error": str(first_error)})
        )
    state, again = replace(state, total=total), state.again
    linked = _allowed_links(rdf_reader, document.result.elsewhere, reply)
    members = [address for address in linked if ("m", address) > state.last]
    for last, items, is_last in _record_pages(rdf_reader, state, document):
        empty = count_empty_pages(rdf_reader.source.name, reply.url, state.empty, items)
        state = replace(state, last=last, empty=empty)
        if is_last and not members:
            state = _next_document(state, following)
        yield _page(state, items, total, reply.at, again=again), state
    for address in members:
        item, position = _fetch_member(rdf_reader, address)
        state = replace(state, last=("m", address))
        if address == members[-1]:
            state = _next_document(state, following)
        yield _page(state, (item,), total, position, again=again), state


def _page(
    state: RdfCursor,
    items: tuple[Item, ...],
    total: int | None,
    at: SourcePosition | None,
    *,
    again: bool,
) -> Page[Graph]:
    """Return a page with the total of a single collection. Totals of several catalogues cannot be
    added: a record may be in more than one.
    """
    whole = total if len(state.seen) == 1 else None
    return state.page(items, has_next=bool(state.todo), total=whole, at=at, again=again)


def _record_pages(
    rdf_reader: RdfReader, state: RdfCursor, document: _Document
) -> Iterator[tuple[tuple[str, ...], tuple[Item, ...], bool]]:
    """Yield the records of a document in pages, at least one: the position after the page, its
    records, and whether it is the last, which has the records that cannot be read too.
    """
    records = [(key, node) for key, node in document.result.records if ("d", key) > state.last]
    unreadable: list[Item] = []
    if state.last < ("m",):
        unassigned = unassigned_errors(document.result, document.broken)
        unreadable = [*map(unidentified, document.result.keyless), *unassigned]
    chunks = _chunks(records) or [[]]
    for number, chunk in enumerate(chunks, 1):
        is_last = number == len(chunks)
        items = (
            *(
                rdf_reader.parse_record(document.store, key, node, document.broken)
                for key, node in chunk
            ),
            *(unreadable if is_last else []),
        )
        yield ("d", chunk[-1][0]) if chunk else state.last, items, is_last


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
                return InvalidRecord(
                    address, Reason("document_empty", {"url": reply.url})
                ), position
            return rdf_reader.parse_record(store, address, NamedNode(address)), position
    except RECORD_ERRORS as error:
        if not isinstance(error, ForbiddenError | ParseError):
            _check_reachable(rdf_reader, error)
        return InvalidRecord(address, error.reason), position


def _check_reachable(rdf_reader: RdfReader, error: HarvestError) -> None:
    """Raise *error* if the source's own document can no longer be read either: the fault is then
    not a single member's.
    """
    try:
        rdf_reader.fetch_document(rdf_reader.source.url)
    except RECORD_ERRORS as probe_error:
        raise error from probe_error


PROTOCOL = Protocol(collect, Payload.GRAPH, OPTIONS, incremental=False, check=check)
