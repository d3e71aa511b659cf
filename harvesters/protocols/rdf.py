"""RDF documents in any syntax: the records of a document, of its next pages, and of the catalogues
that it links to.

Source: https://www.w3.org/TR/vocab-dcat-3/, https://www.hydra-cg.com/spec/latest/core/#collections
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import urldefrag, urlsplit

import structlog
from pyoxigraph import NamedNode, Store

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.page_model import InvalidRecord, Item, Pages, Payload
from harvesters.payloads.graph import Graph, Node
from harvesters.payloads.rdf_parser import NodeErrors
from harvesters.protocols.document import (
    MAX_RECORDS,
    DocumentCursor,
    DocumentReader,
    ListedDocument,
)
from harvesters.protocols.lists import (
    RECORD_ERRORS,
    Batch,
    ListCursor,
    PagedProtocol,
)
from harvesters.protocols.protocol import Items, Protocol
from harvesters.protocols.rdf_reader import (
    ACCEPT,
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

log = structlog.get_logger()


class _Document(NamedTuple):
    """A document that was requested: its *entries* are the records by key ("d" and the key), what
    cannot be read ("l"), and the members that it only names ("m" and the address), sorted, each with
    a function that reads it.
    """

    address: str
    reply: Reply
    entries: Sequence[tuple[str, Callable[[], Iterable[Item[Graph]]]]] = ()
    catalogues: Sequence[str] = ()
    total: int | None = None
    following: str = ""
    doubt: Reason | None = None


class Rdf(PagedProtocol[Graph]):
    """The records of a document, of its next pages and of the catalogues that it links to. Changes
    alone cannot be requested.

    A record's payload is a graph of its statements and of those about the nodes that it points to;
    its raw bytes are the same as sorted N-Triples. A member that is only named is requested by its
    address. A catalogue that was read is not read again.

    A window is the documents to read, the current one first, and digests of all that were ever
    queued, so that catalogues that contain each other end. The position is the address of a page of
    the current one, after the last of its entries that were read if some are left.
    """

    is_linked = True
    moves = False

    def __init__(self, source: Source, fetch: Fetch, since: datetime | None) -> None:
        super().__init__(source, fetch, since)
        self.reader, self.stack = RdfReader(source, fetch), ExitStack()
        parse = partial(_parse_member, self.reader)
        self.members = DocumentReader(source, fetch, ACCEPT, ACCEPT, parse, is_missing_gone=False)
        self.windows = (((source.url,), (_digest(source.url),)),)
        self.opened: _Document | None = None

    def read(self, cursor: str | None) -> Pages[Graph]:
        with self.stack:
            yield from super().read(cursor)

    def request(self, cursor: ListCursor, size: int) -> Batch:
        """Return the next records of a document, or a member. Raise ParseError if a response is not
        RDF, or has no record.
        """
        todo, seen = cursor.windows[0]
        last, _, address = cursor.position.rpartition(" ")
        address = address or todo[0]
        try:
            document = self._open(address, cursor.is_first)
            left = [entry for entry in document.entries if entry[0] > last]
            part = [entry for entry in left[:MAX_RECORDS] if entry[0] < "m"] or left[:1]
            self.position = document.reply.at
            items = [item for _, read in part for item in read()]
        except RECORD_ERRORS as error:
            if todo[0] == self.source.url:
                raise
            text = "the catalogue %(url)s cannot be read: %(error)s"
            why = Reason(text, url=address, error=error.reason)
            lost, window = InvalidRecord(None, why), (todo[1:], seen)
            return Batch(None, (lost,), next="".join(todo[1:2]), doubt=why, window=window)
        new = {_digest(link): link for link in document.catalogues}
        new = {mark: link for mark, link in new.items() if mark not in seen}
        todo, seen = (*todo, *new.values()), (*seen, *new)
        following = document.following
        if len(left) > len(part):
            following = f"{part[-1][0]} {address}"
        elif not following:
            todo, following = todo[1:], "".join(todo[1:2])
        # Totals of several catalogues cannot be added: a record may be in more than one.
        total = document.total if len(seen) == 1 else None
        return Batch(
            replace(document.reply, at=self.position),
            items,
            total,
            following,
            doubt=document.doubt,
            window=(todo, seen),
        )

    def _open(self, address: str, is_first: bool) -> _Document:
        """Return a document, whose store exists until another one is opened."""
        if self.opened and self.opened.address == address:
            return self.opened
        self.stack.close()
        reply = self.fetch.get(address, accept=ACCEPT, conditional=is_first)
        self.opened = _Document(address, reply)
        if reply.not_modified:
            return self.opened
        broken: NodeErrors = {}
        store = self.stack.enter_context(self.reader.open_store(reply, broken))
        read = partial(self._read_record, store, broken)
        result = self.reader.find_records(store, urldefrag(reply.url).url)
        if not any(result) and not is_catalogue(store):
            raise ParseError(
                "%(source)s: %(url)s has no record of a known class but %(classes)s; set the option "
                "'types'",
                source=self.source.name,
                url=reply.url,
                classes=", ".join(frequent_classes(store)) or "no classes",
            )
        catalogues, members = (
            _allowed_links(self.source, links, reply)
            for links in (result.catalogues, result.elsewhere)
        )
        lost = tuple(unreadable_parts(result, broken))
        entries: list[tuple[str, Callable[[], Iterable[Item[Graph]]]]] = [
            *((f"d{key}", partial(read, key, node)) for key, node in result.records),
            *(("l", partial(tuple, lost)) for _ in lost[:1]),
            *((f"m{member}", partial(self._read_member, member)) for member in members),
        ]
        following = find_next_page(store) or ""
        # A document may be unchanged while those it links to are not.
        if following or result.elsewhere or result.catalogues or not is_first:
            self.fetch.forget(address)
        fault, text = (
            next(iter(broken.values()), None),
            "%(url)s has parts that cannot be read: %(error)s",
        )
        doubt = Reason(text, url=reply.url, error=fault) if fault else None
        self.opened = _Document(
            address, reply, entries, catalogues, find_total(store), following, doubt
        )
        return self.opened

    def _read_record(self, store: Store, broken: NodeErrors, key: str, node: Node) -> Items:
        return (self.reader.parse_record(store, key, node, broken),)

    def _read_member(self, address: str) -> Items:
        member = ListedDocument(address, address)
        ((items, _, self.position),) = self.members.read(member, DocumentCursor())
        return items


def _digest(address: str) -> str:
    return blake2b(urldefrag(address).url.encode(), digest_size=8).hexdigest()


def _allowed_links(source: Source, addresses: Iterable[str], reply: Reply) -> list[str]:
    """Return the links that are followed: those to the same host."""
    hosts = {urlsplit(source.url).hostname, urlsplit(reply.url).hostname}
    allowed = [address for address in addresses if urlsplit(address).hostname in hosts]
    if excluded := len(set(addresses)) - len(allowed):
        log.info(
            "links to other hosts not followed", source=source.name, skipped=excluded, at=reply.url
        )
    return allowed


def _parse_member(reader: RdfReader, member: ListedDocument, reply: Reply) -> Items:
    node = NamedNode(member.address)
    with reader.open_store(reply) as store:
        if not is_described(store, node):
            raise ParseError("%(url)s has no statements about it", url=reply.url)
        return (reader.parse_record(store, member.address, node),)


PROTOCOL = Protocol(Rdf.collect, Payload.GRAPH, RdfOptions, incremental=False)
