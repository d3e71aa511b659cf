"""Read a list that a registry sends page by page, and recover from all that can go wrong with it.

A paged protocol says how a page is requested and how a record is parsed. The reader alone knows
cursors, loops, empty pages, totals that change, pages that are read in pieces, records that are
skipped, and registries that end a list before its total.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, ClassVar, Generic, TypeAlias

from harvesters.errors import (
    ForbiddenError,
    HarvestError,
    NotFoundError,
    PaginationLoopError,
    ParseError,
    RepeatedPageError,
    TemporaryFetchError,
    TooLargeError,
    TransferError,
    UnavailableError,
    UnexpectedStatusError,
)
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.page_model import InvalidRecord, Item, P, Page, Pages
from harvesters.payloads.value_parsing import in_utc
from harvesters.protocols.protocol import Cursor, Items, read_cursor
from harvesters.reasons import Reason
from harvesters.source import Source


class EndedError(ParseError):
    """A list ended before its declared total."""


class ServiceError(ParseError):
    """The registry itself reports an error, which no smaller page avoids."""


class ExpiredError(ServiceError):
    """The registry no longer knows a token that it sent."""


# Errors that a single record can cause in its page. A probe request shows whether the whole
# registry fails.
PAGE_ERRORS: tuple[type[HarvestError], ...] = (
    ParseError, TooLargeError, UnavailableError, TransferError
)  # fmt: skip
# Errors by which servers reject a token or a cursor.
CURSOR_ERRORS: tuple[type[HarvestError], ...] = (
    NotFoundError, UnexpectedStatusError, ExpiredError
)  # fmt: skip
# Errors that can concern a single record; a probe shows whether more is wrong. A bot wall, a 429,
# quiet hours and a full disk are not among them: they end the run with their own errors.
RECORD_ERRORS: tuple[type[HarvestError], ...] = (*PAGE_ERRORS, *CURSOR_ERRORS, ForbiddenError)

MAX_UNREADABLE = 300  # Responses in a row: a page of 100 broken records causes about 130.
MAX_FAILURES = 3  # Failures of the server in a row for neighbouring records: it fails for all.
MAX_EMPTY_PAGES = 100  # Pages in a row: repositories that filter after paging send some.

# Each protocol decides how a part of a list is bounded: by moments, keys or a set.
Window: TypeAlias = tuple[Any, ...]


# Errors after which a smaller page does not help, but another window may.
_WINDOW_ERRORS: tuple[type[HarvestError], ...] = (
    *CURSOR_ERRORS, ServiceError, RepeatedPageError, PaginationLoopError
)  # fmt: skip


@dataclass(slots=True)
class LoopDetector:
    """The tokens and record keys of a list's pages that this process has read; *name* is the
    source's.
    """

    name: str
    tokens: set[str] = field(default_factory=set)
    pages: set[bytes] = field(default_factory=set)

    def check_token(self, url: str, token: str | None) -> None:
        """Raise PaginationLoopError if *token* was seen before: following it would never end."""
        if token is not None and token in self.tokens:
            text = "%(source)s: %(url)s repeats '%(token)s'"
            raise PaginationLoopError(text, source=self.name, url=url, token=token)
        self.tokens.add(token or "")

    def check_page(self, url: str, items: Items, content: bytes) -> None:
        """Raise RepeatedPageError if an earlier page had the same keys or, without keys, the same
        *content*.
        """
        keys = "\x1f".join(sorted(item.key for item in items if item.key is not None))
        mark = blake2b(keys.encode("utf-8", "replace") or content, digest_size=16).digest()
        if items and mark in self.pages:
            text = "%(source)s: %(url)s repeats the records of an earlier page"
            raise RepeatedPageError(text, source=self.name, url=url)
        self.pages.add(mark)


def count_unreadable(name: str, before: int, error: HarvestError, size: int = 1) -> int:
    """Return the number of unreadable responses in a row. Raise ParseError if there are too many
    for a few broken records: three where the server itself fails.

    A request of more than one record (*size*) is divided, so a failure of the server counts only
    for its parts.
    """
    is_server_failure = isinstance(error, TemporaryFetchError)
    if is_server_failure and size > 1:
        return before
    if before >= (MAX_FAILURES - 1 if is_server_failure else MAX_UNREADABLE):
        text = "%(source)s: %(number)s responses in a row cannot be read, the last: %(error)s"
        raise ParseError(text, source=name, number=before + 1, error=error.reason) from error
    return before + 1


@dataclass(frozen=True, slots=True)
class Batch:
    """A page as the registry sent it, with its *records* not yet parsed.

    *total* is the declared number of records of the current window. *next* is the position of the
    next page, "" if this is the last; None if the next page follows by the number of records.
    *passed* is the number of places that the page takes if that is not the number of its records.
    *doubt* is a reason why the list may lack records, *window* the rest of the current window.
    """

    reply: Reply | None
    records: Sequence[Any]
    total: int | None = None
    next: str | None = None
    passed: int | None = None
    doubt: Reason | None = None
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class ListCursor(Cursor):
    """Position in a list.

    *windows* are the parts that are still to be read, the current one first; it *is_part* of a list
    that was split. *position* is the ``next`` of the last batch; *offset* records and *pages* whole
    pages are before it in the window. *sizes* are the sizes of the pieces in which an unreadable
    page is read.

    *newest* is the greatest value by which the list may be sorted. If *is_sorted*, all records came
    in its order, and the last *ties* records have that value. *total* is declared for the whole
    list. *cap* is the number of records after which the registry ended a window, *reach* the number
    after which a window was restarted. *faults* and *empty* count
    unreadable responses and empty pages in a row.
    """

    windows: tuple[Window, ...]
    is_part: bool = False
    position: str = ""
    offset: int = 0
    pages: int = 0
    sizes: tuple[int, ...] = ()
    newest: str = ""
    is_sorted: bool = True
    ties: int = 0
    total: int | None = None
    cap: int = 0
    reach: int = 0
    faults: int = 0
    empty: int = 0

    @property
    def is_first(self) -> bool:
        """Return whether nothing of the list was read in this run."""
        return not (self.again or self.is_part or self.pages or self.position)

    def restart(self, windows: tuple[Window, ...], reach: int = 0) -> ListCursor:
        return ListCursor(
            windows, self.is_part or windows != self.windows, total=self.total, cap=self.cap, reach=reach, again=True,
            incomplete_reason=self.incomplete_reason, faults=self.faults,
        )  # fmt: skip


class PagedProtocol(ABC, Generic[P]):
    """A list that is read page by page. *since*, in UTC, limits it to the records that have changed;
    None: all records. It is earlier by *overlap* than the last harvest.

    *windows* are the parts in which the list is read at first. *probes* are the offsets and sizes
    (0: a whole page) of small requests, one of which succeeds if the registry answers at all.
    *is_exact*: a piece of a page must have the size that was requested. *is_linked*: only the page
    before names a page, so that none can be skipped. *moves* is ``unstable_list`` of the pages; if
    the list *repeats*, all its pages have ``again``.
    """

    windows: tuple[Window, ...] = (("",),)
    probes: tuple[tuple[int, int], ...] = ((0, 1), (1, 1))
    is_exact: ClassVar[bool] = False
    is_linked: ClassVar[bool] = False
    moves: ClassVar[bool] = True
    repeats: bool = False
    overlap: ClassVar[timedelta] = timedelta()

    def __init__(self, source: Source, fetch: Fetch, since: datetime | None) -> None:
        self.source, self.fetch = source, fetch
        self.since = in_utc(since) - self.overlap if since else None
        self.detector = LoopDetector(source.name)

    @classmethod
    def collect(
        cls, source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
    ) -> Pages[P]:
        return cls(source, fetch, since).read(cursor)

    @abstractmethod
    def request(self, cursor: ListCursor, size: int) -> Batch:
        """Return the page at *cursor* with at most *size* records. Raise ServiceError if the
        registry reports an error, ParseError if the response cannot be read.
        """

    def parse(self, record: Any) -> Item[P] | None:
        """Return a record of a batch; None if it is not one to harvest."""
        item: Item[P] = record
        return item

    def page_size(self, cursor: ListCursor) -> int:
        """Return the number of records of a whole page."""
        return 1

    def start(self) -> ListCursor:
        return ListCursor(self.windows)

    def order(self, record: Any) -> str | None:
        """Return the value of a record by which the list may be sorted: "" if the record lacks it,
        None if the record says nothing about the order.
        """
        return None

    def pieces(self, cursor: ListCursor, size: int, left: int | None) -> tuple[int, ...]:
        """Return the sizes of the pieces of a page, at whose beginning *left* records remain; empty
        if no smaller page can be requested.
        """
        size = size if left is None else min(size, left)
        return (size // 2, size - size // 2) if size > 1 else (1,)

    def split(self, cursor: ListCursor, error: HarvestError) -> ListCursor | None:
        """Return where to continue if the window cannot be read beyond *cursor*: at windows that
        are smaller or begin later. None if there is no such place.
        """
        return None

    def skip(self, cursor: ListCursor, error: HarvestError) -> tuple[InvalidRecord, ListCursor]:
        """Return the record at *cursor*, which cannot be read because of *error*, and the cursor
        with what is then in doubt.
        """
        position = cursor.offset + 1
        fault = Reason(
            "the record at %(position)s of the list: %(error)s",
            position=position,
            error=error.reason,
        )
        doubt = Reason(
            "the record at %(position)s of the list cannot be read, and its key is unknown",
            position=position,
        )
        return InvalidRecord(None, fault), cursor.mark_incomplete(doubt)

    def probe(self, cursor: ListCursor, error: HarvestError) -> int | None:
        """Return the total of the window. Raise *error* if the registry answers nothing at all."""
        failure: HarvestError = error
        for offset, size in self.probes:
            start = ListCursor(cursor.windows, offset=offset, sizes=(size,) if size else ())
            try:
                return self.request(start, size).total
            except RECORD_ERRORS as probe_error:
                failure = probe_error
        raise error from failure

    def read(self, cursor: str | None) -> Pages[P]:
        """Yield page after page from *cursor* on, or one that says that nothing has changed."""
        again = self.repeats or cursor is not None
        state = read_cursor(ListCursor, cursor) or replace(self.start(), again=again)
        is_single = len(self.windows) == 1
        self.detector.check_token("", state.position or self.source.url)
        while state.windows:
            before, batch, items = state, None, Items()
            size = state.sizes[0] if state.sizes else self.page_size(state)
            try:
                batch = self.request(state, size)
                if batch.reply and batch.reply.not_modified:
                    yield Page((), None, at=batch.reply.at, unchanged=True)
                    return
                items = tuple(item for item in map(self.parse, batch.records) if item is not None)
                state = self._advance(state, batch, items, size)
            except _WINDOW_ERRORS as error:
                items, batch, state = (), None, self._split(state, error)
            except PAGE_ERRORS as error:
                batch = None
                items, state = self._divide(state, size, error)
            if state.windows[:1] != before.windows[:1] or state.offset < before.offset:
                self.detector = LoopDetector(self.source.name)
            if items or batch or not state.windows:
                yield state.page(
                    items,
                    bool(state.windows),
                    batch.reply.at if batch and batch.reply else None,
                    reported_total=(state.total or before.total) if is_single else None,
                    again=before.again,
                    unstable_list=self.moves,
                )

    def _advance(self, state: ListCursor, batch: Batch, items: Items, size: int) -> ListCursor:
        """Return the cursor after a page. If the registry ended an earlier window at a cap, this one
        is split there, or at once if its own total is greater. A total of the whole list may be
        wrong, and splits nothing.
        """
        before, count, total = state, len(batch.records), batch.total
        url = batch.reply.url if batch.reply else self.source.url
        self.detector.check_page(url, items, batch.reply.content if batch.reply else b"")
        self.detector.check_token(url, batch.next or None)
        passed = count if batch.passed is None else batch.passed
        is_short = self.is_exact and 0 < count < size and state.offset + count < (total or 0)
        if state.sizes and (count > size or is_short):
            raise ServiceError(
                "%(source)s: %(url)s returned %(count)s records instead of %(size)s, so an "
                "unreadable page cannot be read in pieces; correct the options 'limit' and 'size'",
                source=self.source.name,
                url=url,
                count=count,
                size=size,
            )
        state = self._follow_order(state, batch).mark_incomplete(batch.doubt)
        if not state.is_part:
            if None not in (state.total, total) and state.total != total:
                text = (
                    "the total shrank from %(before)s to %(now)s during the run, so records may be missing"
                    if (total or 0) < (state.total or 0)
                    else "the total grew from %(before)s to %(now)s during the run, so records may be missing"
                )
                changed = Reason(text, before=state.total or 0, now=total or 0)
                state = state.mark_incomplete(changed)
            total = state.total if total is None else total
            state = replace(state, total=total)
        left: tuple[int, ...] = state.sizes[1:]
        if state.sizes and 0 < count < size:
            left = (size - count, *left)
        state = replace(
            state,
            windows=(batch.window or state.windows[0], *state.windows[1:]),
            position=batch.next or "",
            offset=state.offset + passed,
            pages=state.pages if left else state.pages + 1,
            sizes=left,
            empty=0 if passed else state.empty + 1,
            faults=0 if count else state.faults,
        )
        if state.empty > MAX_EMPTY_PAGES:
            text = "%(source)s: %(url)s is page %(number)s in a row without a record; its list does not end"
            raise PaginationLoopError(text, source=self.source.name, url=url, number=state.empty)
        is_complete = total is not None and state.offset >= total
        if batch.next == "" or (batch.next is None and (is_complete or not count)):
            return self._finish(state, total)
        is_larger = not before.offset and 0 < before.cap < (total or 0) < (before.total or 0)
        if is_larger or (batch.next is None and 0 < state.cap <= state.offset):
            with suppress(*RECORD_ERRORS):
                return self._split(before if is_larger else state, _ended(before.cap, total or 0))
        return state

    def _follow_order(self, state: ListCursor, batch: Batch) -> ListCursor:
        """Return the cursor with the greatest value by which the list may be sorted, and whether
        all came in order.
        """
        newest, is_sorted = state.newest, state.is_sorted
        stamps = [stamp for stamp in map(self.order, batch.records) if stamp is not None]
        for stamp in stamps:
            is_sorted = is_sorted and stamp != "" and stamp >= newest
            newest = max(newest, stamp)
        return replace(
            state,
            newest=newest,
            is_sorted=is_sorted,
            ties=stamps.count(newest) + (state.ties if newest == state.newest else 0),
        )

    def _finish(self, state: ListCursor, total: int | None) -> ListCursor:
        """Return the cursor at the next window, or within this one if it ended before its *total*.

        A window that ends after fewer records than an earlier one was not cut by a limit of the
        registry: its total is wrong.
        """
        if total is not None and state.offset < total:
            ended = _ended(state.offset, total)
            if state.offset and state.offset >= state.cap:
                with suppress(*RECORD_ERRORS):
                    return self._split(state, ended)
            state = state.mark_incomplete(ended.reason)
        is_single = len(self.windows) == 1
        return replace(
            state.restart(state.windows[1:]),
            again=state.again,
            is_part=state.is_part and is_single,
            total=state.total if is_single else None,
        )

    def _split(self, state: ListCursor, error: HarvestError) -> ListCursor:
        """Return where to continue after what can be read. Raise *error* if there is no such place."""
        is_read = not state.is_part and state.total is not None and state.offset >= state.total
        smaller = None if is_read else self.split(state, error)
        if smaller is None:
            raise error
        # A token that was rejected shows nothing of a limit.
        return replace(smaller, cap=max(state.cap, 0 if state.position else state.offset))

    def _divide(
        self, state: ListCursor, size: int, error: HarvestError
    ) -> tuple[Items, ListCursor]:
        """Return the cursor at the pieces of an unreadable page. If the page is a single record,
        return it, and the cursor after it.
        """
        if self.is_linked:
            raise error
        state = replace(state, faults=count_unreadable(self.source.name, state.faults, error, size))
        total = self.probe(state, error)
        if not state.is_part and state.total is None:
            state = replace(state, total=total)
        left = None if total is None else total - state.offset
        if left is not None and left <= 0:
            raise error
        pieces: tuple[int, ...] = self.pieces(state, size, left) if size > 1 else ()
        if size > 1 and not pieces:
            return (), self._split(state, error)
        if total is not None and not state.sizes and self._is_capped(state, size, total):
            return (), self._split(state, error)
        if pieces:
            return (), replace(state, sizes=(*pieces, *state.sizes[1:]))
        item, state = self.skip(state, error)
        pages = state.pages if state.sizes[1:] else state.pages + 1
        state = replace(state, offset=state.offset + 1, pages=pages, sizes=state.sizes[1:])
        return (item,), self._finish(state, total) if left == 1 else state

    def _is_capped(self, state: ListCursor, size: int, total: int) -> bool:
        """Return whether no record after an unreadable page can be read either: the first of the
        next page, the last one, and one between them are requested.
        """
        following = state.offset + size
        if not state.offset or following >= total:
            return False
        for place in sorted({following, (following + total) // 2, total - 1}):
            with suppress(*RECORD_ERRORS):
                if self.request(replace(state, offset=place, sizes=(1,)), 1).records:
                    return False
        return True


def _ended(fetched: int, total: int) -> EndedError:
    text = "the list ended after %(fetched)s of %(total)s records"
    return EndedError(text, fetched=fetched, total=total)
