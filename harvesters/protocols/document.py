"""Read documents: one that holds many records, and those that lists name one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import structlog

from harvesters.errors import ForbiddenError, HarvestError, NotFoundError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.page_model import DeletedRecord, InvalidRecord, P, Page, Pages, Record
from harvesters.protocols.cursor import ListCursorMethods, read_cursor, write_cursor
from harvesters.protocols.error_recovery import RECORD_ERRORS, count_unreadable
from harvesters.reasons import Reason
from harvesters.source import Source
from harvesters.stored_response import SourcePosition

MAX_RECORDS = 500  # Records per page, each a checkpoint of about 3 MB.
MAX_BYTES = 8 * 1024 * 1024  # Of a page's records, to bound memory if records are large.

Items = tuple[Record[Any] | DeletedRecord | InvalidRecord, ...]

log = structlog.get_logger()


def read_document(
    source: Source,
    fetch: Fetch,
    cursor: str | None,
    accept: str,
    read_items: Callable[[Reply], Iterable[Record[P] | DeletedRecord | InvalidRecord] | None],
    *,
    on_disk: bool = False,
) -> Pages[P]:
    """Yield the records of the document at the source's url in pages, or one page that says that
    it is unchanged.

    *read_items* returns the records in an order that is always the same, or None if there is
    nothing to harvest. *on_disk* downloads the document into a file, which exists while pages are yielded.
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


@dataclass(frozen=True, slots=True)
class DocumentCursor:
    """Position in a document: the *mark* that identifies the document, and the number of items
    *passed*; *again* as in Page.
    """

    mark: str
    passed: int = 0
    again: bool = False


def paginate(
    items: Iterable[Record[P] | DeletedRecord | InvalidRecord],
    reply: Reply,
    cursor: str | None,
    reported_total: int | None = None,
) -> Pages[P]:
    """Yield a document's items in pages of MAX_RECORDS, or fewer if they are large.

    If the document has changed since the cursor was written, start again; its pages may then repeat
    records.
    """
    state = read_cursor(DocumentCursor, cursor)
    if state is None or state.mark != reply.digest:
        state = DocumentCursor(reply.digest, again=cursor is not None)
    left: Iterator[Record[P] | DeletedRecord | InvalidRecord] = islice(items, state.passed, None)
    page, has_next = take_page(left), True
    while has_next:
        following = take_page(left)
        has_next = bool(following)
        state = replace(state, passed=state.passed + len(page))
        after = write_cursor(state) if has_next else None
        yield Page(page, after, reported_total, reply.at, again=state.again)
        page = following


def take_page(
    left: Iterator[Record[P] | DeletedRecord | InvalidRecord],
) -> tuple[Record[P] | DeletedRecord | InvalidRecord, ...]:
    """Return the next page's items: at most MAX_RECORDS, and none after MAX_BYTES are reached."""
    page: list[Record[P] | DeletedRecord | InvalidRecord] = []
    size = 0
    for item in islice(left, MAX_RECORDS):
        page.append(item)
        size += len(item.raw) if isinstance(item, Record) else 0
        if size >= MAX_BYTES:
            break
    return tuple(page)


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document that a list names.

    *key* is that of its record, None if its records have their own; *modified* is its time of
    change as the list states it; *reply* is its content, where the list has it; *unreadable* is why
    the harvest is incomplete if it cannot be read, None if that concerns its record alone.
    """

    address: str
    key: str | None
    modified: str | None = None
    deleted: bool = False
    reply: Reply | None = None
    unreadable: Reason | None = None


@dataclass(frozen=True, slots=True)
class ListedCursor(ListCursorMethods):
    """Position in lists: after the document *last* of the list *list*; *faults* counts unreadable
    documents in a row, the others are as in Page.
    """

    list: str = ""
    last: str = ""
    again: bool = False
    incomplete_reason: Reason | None = None
    faults: int = 0


@dataclass(frozen=True, slots=True)
class DocumentReader:
    """How the documents of a source's lists are read: *accept* is their Accept header, *probe* that
    of the source's own document, which shows whether all is down. *parse* returns the records of a
    document, and why the harvest is incomplete, or None.
    """

    source: Source
    fetch: Fetch
    accept: str
    probe: str
    parse: Callable[[ListedDocument, Reply], tuple[Items, Reason | None]]

    def read(
        self, document: ListedDocument, faults: int
    ) -> tuple[Items, SourcePosition | None, int, Reason | None]:
        """Return the records of a document, its position, the number of unreadable documents in a
        row, and why the harvest is incomplete, or None.

        One that is listed and missing is gone; one that cannot be read does not stop the others
        while the source's own document can be read.
        """
        key, position = document.key, None
        gone = () if key is None else (DeletedRecord(key, document.modified),)
        if document.deleted:
            return gone, None, faults, None
        try:
            reply = document.reply or self.fetch.get(document.address, accept=self.accept)
            position = reply.at
            items, reason = self.parse(document, reply)
            return items, position, 0, reason
        except NotFoundError:
            log.info("listed document not found", source=self.source.name, address=document.address)
            return gone, position, 0, None
        except RECORD_ERRORS as error:
            faults = count_unreadable(self.source.name, faults, error)
            check_reachable(self.source, self.fetch, error, self.probe)
            return (InvalidRecord(key, error.reason),), position, faults, document.unreadable

    def read_lists(
        self,
        cursor: str | None,
        lists: Callable[[ListedCursor], Iterable[tuple[str, Iterable[ListedDocument | Reason]]]],
    ) -> Pages[Any]:
        """Yield a page for each document of *lists*: their names, and their documents sorted by
        address. A reason among these says why the list is incomplete.

        A list that the cursor names and that is no more makes all lists start again.
        """
        state = read_cursor(ListedCursor, cursor) or ListedCursor(again=cursor is not None)
        passed = not state.list
        for name, documents in lists(state):
            passed = passed or name == state.list
            for document in documents if passed else ():
                if isinstance(document, Reason):
                    state = state.mark_incomplete(document)
                elif name != state.list or document.address > state.last:
                    items, position, faults, reason = self.read(document, state.faults)
                    state = replace(state, list=name, last=document.address, faults=faults)
                    state = state.mark_incomplete(reason)
                    yield state.page(items, has_next=True, at=position, again=state.again)
        if passed:
            yield state.page((), has_next=False, again=state.again)
        else:
            start = ListedCursor(again=True, incomplete_reason=state.incomplete_reason)
            yield from self.read_lists(write_cursor(start), lists)


def check_reachable(source: Source, fetch: Fetch, error: HarvestError, accept: str) -> None:
    """Raise *error* if the source's own document can no longer be read either: the fault is then
    not a single document's. An answer that was refused or cannot be parsed is that document's.
    """
    if isinstance(error, ForbiddenError | ParseError):
        return
    try:
        fetch.get(source.url, accept=accept)
    except RECORD_ERRORS as probe_error:
        raise error from probe_error
