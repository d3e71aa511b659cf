"""RDF documents in any syntax: the records of a document, of its next pages, and of the catalogues
that it links to.

Source: https://www.w3.org/TR/vocab-dcat-3/, https://www.hydra-cg.com/spec/latest/core/#collections
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import blake2b
from urllib.parse import urldefrag, urlsplit

import structlog
from pydantic import Field
from pyoxigraph import NamedNode, Store

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.page_model import InvalidRecord, Item, Page, Pages, Payload
from harvesters.parsing import join_url
from harvesters.payloads.graph import Graph
from harvesters.payloads.rdf_parser import NodeErrors
from harvesters.protocols.document import (
    MAX_RECORDS,
    DocumentCursor,
    DocumentReader,
    ListedDocument,
)
from harvesters.protocols.lists import (
    RECORD_ERRORS,
    LoopDetector,
    count_empty_pages,
    total_changed,
)
from harvesters.protocols.protocol import Cursor, Items, Protocol, read_cursor
from harvesters.protocols.rdf_reader import (
    ACCEPT,
    DiscoveredRecords,
    RdfOptions,
    RdfReader,
    find_next_page,
    find_total,
    frequent_classes,
    is_catalogue,
    is_described,
    unreadable_parts,
)
from harvesters.reasons import Reason
from harvesters.source import Source


class CatalogueOptions(RdfOptions):
    """The options of a catalogue."""

    follow: bool = Field(
        True, description="Read nested catalogues, and members that a document only names."
    )
    elsewhere: bool = Field(False, description="Follow links to other hosts too.")


# A catalogue that links to more does not end; no known one has as many.
_MAX_CATALOGUES = 10_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RdfCursor(Cursor):
    """Position in a crawl.

    *todo* are the documents to read, the current one first; *seen* are digests of all that were
    ever queued, so that catalogues that contain each other end. *last* is the last item read of the
    current document: a record by its key, or a member by its address. *paged*: the current document
    is a next page. *below*: it is not the source's own. *total* is the total that the collection
    declares, *empty* the number of pages without records in a row.
    """

    todo: tuple[str, ...]
    seen: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    paged: bool = False
    below: bool = False
    total: int | None = None
    empty: int = 0


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Graph]:
    """Yield all records of a document, of its next pages and of its catalogues. Changes alone
    cannot be requested.

    A record's payload is a graph of its statements and of those about the nodes that it points to;
    its raw bytes are the same as sorted N-Triples. A member that is only named is requested by its
    address. A catalogue that was read is not read again. Raises ParseError if a response is not RDF, has no
    record, or pages do not end.
    """
    reader, first, loop_detector = (
        RdfReader(source, fetch),
        cursor is None,
        LoopDetector(source.name),
    )
    parse = partial(_parse_member, reader)
    members = DocumentReader(source, fetch, ACCEPT, ACCEPT, parse, is_missing_gone=False)
    state = read_cursor(RdfCursor, cursor)
    state = state or RdfCursor((source.url,), (_digest(source.url),), again=not first)
    while state.todo:
        address = state.todo[0]
        if not state.paged:
            loop_detector.reset()
            loop_detector.check_token("", address)
        try:
            reply = fetch.get(address, accept=ACCEPT, conditional=first)
            if reply.not_modified:
                yield Page((), None, at=reply.at, unchanged=True)
                return
            broken: NodeErrors = {}
            with reader.open_store(reply, broken) as store:
                result = reader.find_records(store, urldefrag(reply.url).url)
                _check_content(source, reply, store, result)
                state = _queue_catalogues(source, state, result, reply)
                following = find_next_page(store)
                following = join_url(reply.url, following) if following else None
                is_only = first and not following and not result.elsewhere and len(state.todo) == 1
                loop_detector.check_token(reply.url, following)
                pages = _read_document(
                    reader, members, state, reply, store, result, broken, following
                )
                for page, after in pages:
                    state = after
                    yield page
        except RECORD_ERRORS as error:
            if not state.below:
                raise
            why = Reason(
                "the catalogue %(url)s cannot be read: %(error)s", url=address, error=error.reason
            )
            state = _next_document(state.mark_incomplete(why), None)
            yield state.page((InvalidRecord(None, why),), bool(state.todo))
            continue
        if not is_only:  # A document may be unchanged while those it links to are not.
            fetch.forget(address)
        first = False


def _digest(address: str) -> str:
    return blake2b(urldefrag(address).url.encode(), digest_size=8).hexdigest()


def _check_content(source: Source, reply: Reply, store: Store, result: DiscoveredRecords) -> None:
    """Raise ParseError, with the classes found, if a document has no record, catalogue or page of
    one.
    """
    if result.records or result.keyless or result.elsewhere or result.catalogues:
        return
    if not is_catalogue(store):
        classes = ", ".join(frequent_classes(store)) or "no classes"
        raise ParseError(
            "%(source)s: %(url)s has no record of a known class but %(classes)s; set the option "
            "'types'",
            source=source.name,
            url=reply.url,
            classes=classes,
        )


def _queue_catalogues(
    source: Source, state: RdfCursor, result: DiscoveredRecords, reply: Reply
) -> RdfCursor:
    """Queue the catalogues to which a document links, each once."""
    for address in _allowed_links(source, result.catalogues, reply):
        mark = _digest(address)
        if mark not in state.seen and mark != _digest(reply.url):
            if len(state.seen) >= _MAX_CATALOGUES:
                raise ParseError(
                    "%(source)s: %(url)s links to more than %(limit)s catalogues; they do not end",
                    source=source.name,
                    url=reply.url,
                    limit=_MAX_CATALOGUES,
                )
            state = replace(state, todo=(*state.todo, address), seen=(*state.seen, mark))
    return state


def _allowed_links(source: Source, addresses: Iterable[str], reply: Reply) -> list[str]:
    """Return the links that may be followed: those to the same host, unless the source definition
    allows others.
    """
    options = CatalogueOptions.of(source)
    if not options.follow:
        return []
    if options.elsewhere:
        return [*addresses]
    hosts = {urlsplit(source.url).hostname, urlsplit(reply.url).hostname}
    allowed = [address for address in addresses if urlsplit(address).hostname in hosts]
    if excluded := len(set(addresses)) - len(allowed):
        log.info(
            "links to other hosts not followed",
            source=source.name,
            skipped=excluded,
            at=reply.url,
            action="set `elsewhere`",
        )
    return allowed


def _read_document(
    reader: RdfReader,
    documents: DocumentReader,
    state: RdfCursor,
    reply: Reply,
    store: Store,
    result: DiscoveredRecords,
    broken: NodeErrors,
    following: str | None,
) -> Iterator[tuple[Page[Graph], RdfCursor]]:
    """Yield the pages of one document, at least one: its records, what cannot be read, then each
    member that it only names.
    """
    total, again = find_total(store), state.again
    if state.paged:
        state = state.mark_incomplete(total_changed(state.total, total))
    if broken:
        state = state.mark_incomplete(
            Reason(
                "%(url)s has parts that cannot be read: %(error)s",
                url=reply.url,
                error=next(iter(broken.values())),
            )
        )
    # Totals of several catalogues cannot be added: a record may be in more than one.
    state, whole = replace(state, total=total), total if len(state.seen) == 1 else None
    linked = _allowed_links(reader.source, result.elsewhere, reply)
    members = [address for address in linked if ("m", address) > state.last]
    records = [(key, node) for key, node in result.records if ("d", key) > state.last]
    for start in range(0, len(records) or 1, MAX_RECORDS):
        chunk = records[start : start + MAX_RECORDS]
        items: list[Item[Graph]] = [reader.parse_record(store, *record, broken) for record in chunk]
        is_last = start + MAX_RECORDS >= len(records)
        if is_last and state.last < ("m",):
            items += unreadable_parts(result, broken)
        empty = count_empty_pages(reader.source.name, reply.url, state.empty, items)
        state = replace(state, last=("d", chunk[-1][0]) if chunk else state.last, empty=empty)
        if is_last and not members:
            state = _next_document(state, following)
        has_next = bool(state.todo)
        yield state.page((*items,), has_next, reply.at, reported_total=whole, again=again), state
    for address in members:
        ((member, _, at),) = documents.read(ListedDocument(address, address), DocumentCursor())
        state = replace(state, last=("m", address))
        if address == members[-1]:
            state = _next_document(state, following)
        has_next = bool(state.todo)
        yield state.page(member, has_next, at, reported_total=whole, again=again), state


def _next_document(state: RdfCursor, following: str | None) -> RdfCursor:
    """Return the cursor after a document: at its next page, else at the next one in the queue."""
    if following:
        return replace(state, todo=(following, *state.todo[1:]), last=(), paged=True)
    return replace(state, todo=state.todo[1:], last=(), paged=False, below=True, total=None)


def _parse_member(reader: RdfReader, member: ListedDocument, reply: Reply) -> Items:
    node, item = NamedNode(member.address), None
    with reader.open_store(reply) as store:
        if is_described(store, node):
            item = reader.parse_record(store, member.address, node)
    fault = Reason("%(url)s has no statements about it", url=reply.url)
    return (item or InvalidRecord(member.address, fault),)


PROTOCOL = Protocol(collect, Payload.GRAPH, CatalogueOptions, incremental=False)
