"""Read documents: one that holds many records, and those that lists name one by one, also as files
of JSON, XML or RDF.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, starmap
from typing import Annotated, Any, NamedTuple

import structlog
from lxml import etree
from lxml.etree import _Element
from pydantic import Field

from harvesters.errors import ForbiddenError, HarvestError, NotFoundError, ParseError, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, dump_json, load_json, parse_xml
from harvesters.options import Options, one_of
from harvesters.page_model import (
    DeletedRecord,
    InvalidRecord,
    Item,
    P,
    Page,
    Pages,
    Payload,
    Record,
    Row,
    SourcePosition,
)
from harvesters.payloads.rdf_parser import NodeErrors, builtin_context
from harvesters.payloads.value_parsing import join_url
from harvesters.protocols.lists import RECORD_ERRORS, count_unreadable
from harvesters.protocols.protocol import Cursor, Items, read_cursor, write_cursor
from harvesters.protocols.rdf_reader import RdfReader, parse_rdf
from harvesters.reasons import Reason
from harvesters.source import Source

MAX_RECORDS = 500  # Records per page, each a checkpoint of about 3 MB.
MAX_BYTES = 8 * 1024 * 1024  # Bytes of a page's records: a bound on memory if they are large.

log = structlog.get_logger()


def read_document(
    source: Source,
    fetch: Fetch,
    cursor: str | None,
    accept: str,
    read_items: Callable[[Reply], Iterable[Item[P]] | None],
    *,
    on_disk: bool = False,
) -> Pages[P]:
    """Yield the records of the document at the source's url in pages, or one page that says that
    it is unchanged.

    *read_items* returns the records in an order that is always the same, or None if there is
    nothing to harvest. *on_disk* downloads the document into a file, which exists while pages are
    yielded.
    """
    with ExitStack() as stack:
        first = cursor is None
        reply = (
            stack.enter_context(fetch.download(source.url, accept=accept, conditional=first))
            if on_disk
            else fetch.get(source.url, accept=accept, conditional=first)
        )
        items = None if reply.not_modified else read_items(reply)
        # A document that was parsed need not stay in memory beside its records.
        reply = reply.without_content()
        if items is None:
            yield Page((), None, at=reply.at, unchanged=True)
        else:
            yield from paginate(items, reply, cursor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position(Cursor):
    """Position after the document or record *last* of those that are sorted."""

    last: str = ""


@dataclass(frozen=True, slots=True)
class DocumentCursor(Position):
    """Position in documents: after the document *last* of the list *list*. If *mark*, which
    identifies its content, is set, only *passed* items of it were read.
    """

    list: str = ""
    mark: str = ""
    passed: int = 0


def paginate(
    items: Iterable[Item[P]], reply: Reply, cursor: str | None, total: int | None = None
) -> Pages[P]:
    """Yield a document's items in pages; *total* is the number that it reports."""
    state = read_cursor(DocumentCursor, cursor) or DocumentCursor(again=cursor is not None)
    for page, after in _divide(items, reply, state):
        yield after.page(page, bool(after.mark), reply.at, reported_total=total)


def _divide(
    items: Iterable[Item[P]], reply: Reply, state: DocumentCursor
) -> Iterator[tuple[tuple[Item[P], ...], DocumentCursor]]:
    """Yield the items from *state* on in pages of MAX_RECORDS, or fewer if they are large, each with
    the cursor after it. Those before an error are yielded before it is raised.

    If the document has changed since the cursor was written, start again; its pages may then repeat
    records.
    """
    if state.mark != reply.digest:
        again = state.again or state.mark != ""
        state = replace(state, mark=reply.digest, passed=0, again=again)
    page, size = list[Item[P]](), 0
    try:
        for item in islice(items, state.passed, None):
            if len(page) == MAX_RECORDS or size >= MAX_BYTES:
                state = replace(state, passed=state.passed + len(page))
                yield tuple(page), state
                page, size = [], 0
            page.append(item)
            size += len(item.raw) if isinstance(item, Record) else 0
    except ParseError:
        if page:
            yield tuple(page), replace(state, passed=state.passed + len(page))
        raise
    yield tuple(page), replace(state, mark="", passed=0)


def stored_pages(
    file: sqlite3.Connection,
    table: str,
    state: Position,
    parse: Callable[..., Item[P] | None],
    total: int | None = None,
) -> Pages[P]:
    """Yield what *parse* returns for the rows of a table of *file* after the position *state*, in
    pages, sorted by its column ``key``, the first; None is left out.
    """
    query, has_next = f"SELECT * FROM {table} WHERE key > ? ORDER BY key LIMIT ?", True
    while has_next:
        rows = file.execute(query, (state.last, MAX_RECORDS)).fetchall()
        items = tuple(item for item in starmap(parse, rows) if item is not None)
        has_next = len(rows) == MAX_RECORDS
        state = replace(state, last=rows[-1][0] if rows else state.last)
        yield state.page(items, has_next, reported_total=total)


def row_record(
    key: str, row: Row, modified: str | None = None, stable: Row | None = None
) -> Record[Row] | InvalidRecord:
    """Return a record whose raw bytes are the JSON of *row*, or of its *stable* part."""
    try:
        return Record(key, row, dump_json(row if stable is None else stable), modified)
    except ValueError as error:
        key = key.encode("utf-8", "replace").decode()
        return InvalidRecord(
            key, Reason("a record that cannot be read: %(error)s", error=str(error))
        )


def no_object(value: object, key: str | None = None) -> InvalidRecord:
    """Return the record for *value*, which should be a JSON object."""
    text = repr(str(value)[:40])
    return InvalidRecord(key, Reason("a record that is not an object: %(text)s", text=text))


def sitemap_entries(root: _Element, base: str) -> Iterator[tuple[_Element, str, str]]:
    """Yield each entry of a sitemap, or of an index of sitemaps, with its address ("" if it has none)
    and its time of change as it is written.
    """
    for node in root.iterchildren("{*}url", "{*}sitemap"):
        texts = (node.findtext(f"{{*}}{name}") or "" for name in ("loc", "lastmod"))
        location, stamp = (" ".join(text.split()) for text in texts)
        yield node, location and join_url(base, location), stamp


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document that a list names.

    *key* is that of its record, None if its records have their own. *modified* is its time of change
    as the list states it. If its records may have keys that only the document has
    (*has_own_keys*), a harvest without it is incomplete.
    """

    address: str
    key: str | None
    modified: str | None = None
    deleted: bool = False
    has_own_keys: bool = False


@dataclass(slots=True)
class DocumentReader:
    """How the documents of a source's lists are read.

    *accept* is their Accept header, *probe* that of the source's own document, which shows whether
    the whole server is down; "" if the documents are on servers of others. *parse* returns the
    records of a document. A listed document that is missing is gone if *is_missing_gone*, else
    unreadable. *on_disk* downloads each into a file. *faults* counts unreadable documents in a row.
    """

    source: Source
    fetch: Fetch
    accept: str
    probe: str
    parse: Callable[[ListedDocument, Reply], Iterable[Item[Any]]]
    is_missing_gone: bool = True
    on_disk: bool = False
    faults: int = 0

    def read(
        self, document: ListedDocument, state: DocumentCursor
    ) -> Iterator[tuple[Items, DocumentCursor, SourcePosition | None]]:
        """Yield the records of a document in pages, each with the cursor after it and the position
        of the document.

        One that cannot be read does not stop the others while the source's own document can be
        read.
        """
        key, position = document.key, None
        gone = () if key is None else (DeletedRecord(key, document.modified),)
        if document.deleted:
            yield gone, state, None
            return
        try:
            with self._open(document) as reply:
                position = reply.at
                for items, after in _divide(self.parse(document, reply), reply, state):
                    state = after
                    yield items, state, position
            self.faults = 0
        except RECORD_ERRORS as error:
            state, lost = replace(state, mark="", passed=0), (InvalidRecord(key, error.reason),)
            is_gone = isinstance(error, NotFoundError) and self.is_missing_gone
            if is_gone:
                name = self.source.name
                log.info("listed document not found", source=name, address=document.address)
                self.faults = 0
            elif self.probe:
                self.faults = count_unreadable(self.source.name, self.faults, error)
                self._check_reachable(error)
            if document.has_own_keys and not is_gone:
                text = "the file %(file)s cannot be read, so the keys of its records are unknown"
                state = state.mark_incomplete(Reason(text, file=document.address))
            yield gone if is_gone else lost, state, position

    def _open(self, document: ListedDocument) -> AbstractContextManager[Reply]:
        if self.on_disk:
            return self.fetch.download(document.address, accept=self.accept)
        return nullcontext(self.fetch.get(document.address, accept=self.accept))

    def _check_reachable(self, error: HarvestError) -> None:
        """Raise *error* if the source's own document can no longer be read either: the fault is
        then not a single document's. An answer that was refused or cannot be parsed is that
        document's.
        """
        if isinstance(error, ForbiddenError | ParseError):
            return
        try:
            self.fetch.get(self.source.url, accept=self.probe)
        except RECORD_ERRORS as probe_error:
            raise error from probe_error

    def read_lists(
        self,
        cursor: str | None,
        lists: Callable[[DocumentCursor], Iterable[tuple[str, Iterable[ListedDocument | Reason]]]],
    ) -> Pages[Any]:
        """Yield the pages of each document of *lists*: their names, and their documents sorted by
        address. A reason among these says why the list is incomplete.

        All lists start again if the one that the cursor names does not exist any more.
        """
        state = read_cursor(DocumentCursor, cursor) or DocumentCursor(again=cursor is not None)
        passed = not state.list
        for name, documents in lists(state):
            passed = passed or name == state.list
            for document in documents if passed else ():
                if isinstance(document, Reason):
                    state = state.mark_incomplete(document)
                    continue
                if name != state.list or document.address > state.last:
                    state = replace(state, list=name, last=document.address, mark="", passed=0)
                elif not state.mark or document.address != state.last:
                    continue
                for items, after, position in self.read(document, state):
                    state = after
                    yield state.page(items, True, position)
        if passed:
            yield state.page((), False)
        else:
            start = DocumentCursor(again=True, incomplete_reason=state.incomplete_reason)
            yield from self.read_lists(write_cursor(start), lists)


class Format(NamedTuple):
    """A file format: its *payload* type, the *suffix* of file names (a regular expression), and the
    Accept header.
    """

    payload: Payload
    suffix: str
    accept: str


FORMATS: Mapping[str, Format] = {
    "json": Format(Payload.ROW, r"\.json\Z", "application/json"),
    "xml": Format(Payload.XML, r"\.xml\Z", "application/xml, text/xml;q=0.9"),
    "rdf": Format(
        Payload.GRAPH,
        r"\.(ttl|nt|nq|trig|rdf|owl|jsonld)\Z",
        "text/turtle, application/n-triples;q=0.9, application/rdf+xml;q=0.9, application/ld+json;q=0.8",
    ),
}


class FileOptions(Options):
    """The options of files."""

    format: Annotated[str, one_of(FORMATS)] = Field(
        "json", description="The format of the files: `json`, `xml` or `rdf`."
    )


def payload_type(source: Source) -> Payload:
    name = str(source.options.get("format"))
    return FORMATS[name].payload if name in FORMATS else Payload.ROW


def file_reader(source: Source, fetch: Fetch, probe: str) -> DocumentReader:
    """Return a reader of files in the source's format; *probe* as in DocumentReader."""
    accept = FORMATS[FileOptions.of(source).format].accept
    return DocumentReader(source, fetch, accept, probe, partial(_parse_file, source, fetch))


def _parse_file(source: Source, fetch: Fetch, document: ListedDocument, reply: Reply) -> Items:
    """Return the record of a file under its key; those of an RDF file without a key, or with
    several records, under their own.

    Raises ParseError if the file is not what the source definition says.
    """
    key, kind = document.key, FileOptions.of(source).format
    if kind == "rdf":
        return _parse_rdf_file(source, fetch, key, reply)
    assert key is not None
    if kind == "xml":
        root = parse_xml(reply)
        raw = etree.tostring(root, encoding="utf-8", with_tail=False)
        return (Record(key, root, raw, document.modified),)
    match row := load_json(reply):
        # A code host wraps the content of a file in a JSON object.
        case {"encoding": "base64", "content": str(text)}:
            with parser_errors(f"{reply.url}: its content is not base64"):
                content = base64.b64decode(text)
            row = load_json(replace(reply, content=content))
    if not isinstance(row, dict):
        text = "%(url)s: expected a JSON object, not a %(kind)s"
        raise ParseError(text, url=reply.url, kind=type(row).__name__)
    return (row_record(key, row, document.modified),)


def _parse_rdf_file(source: Source, fetch: Fetch, key: str | None, reply: Reply) -> Items:
    reader, broken = RdfReader(source, fetch), NodeErrors()
    with parse_rdf(reply, builtin_context, broken=broken) as store:
        items = reader.parse_records(store, reader.find_records(store, reply.url), broken)
    if not items:
        raise ParseError("%(url)s: has no record of a known class", url=reply.url)
    if key is not None and len(items) == 1:
        return (replace(items[0], key=key),)
    return tuple(items)
