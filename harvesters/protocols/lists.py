"""Read a list that a registry sends page by page, and recover from all that can go wrong with it.

A paged protocol says how a page is requested and how a record is parsed. The reader alone knows
cursors, loops, empty pages, totals that change, pages that are read in pieces, records that are
skipped, and registries that end a list before its total.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeAlias

from harvesters.errors import (
    HarvestError,
    PaginationLoopError,
    ParseError,
    RepeatedPageError,
)
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.page_model import DeletedRecord, InvalidRecord, P, Pages, Record
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.error_recovery import (
    CURSOR_ERRORS,
    PAGE_ERRORS,
    RECORD_ERRORS,
    Kind,
    LoopDetector,
    count_empty_pages,
    count_unreadable,
    total_changed,
)
from harvesters.reasons import Reason
from harvesters.source import Source

# What bounds a part of a list is the protocol's: moments, keys, a set.
Window: TypeAlias = tuple[Any, ...]
Item: TypeAlias = Record[P] | DeletedRecord | InvalidRecord


class ServiceError(ParseError):
    """The registry itself reports an error, which no smaller page avoids."""


class EndedError(ParseError):
    """A list ended before its declared total."""


# Errors behind which a window may be read on in another way, and no smaller page helps.
_WINDOW_ERRORS: tuple[type[HarvestError], ...] = (
    *CURSOR_ERRORS, ServiceError, RepeatedPageError, PaginationLoopError
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """A page as the registry sent it, with its *records* not yet parsed.

    *total* is the declared number of records of the current window. *next* is the position of the
    next page, "" if this is the last; None if the next page follows by the number of records.
    *passed* is the number of places that the page takes if that is not the number of its records,
    *place* that of the first record of the next page as the registry counts, *doubt* a reason why
    the list may lack records.
    """

    reply: Reply | None
    records: Sequence[Any]
    total: int | None = None
    next: str | None = None
    passed: int | None = None
    place: int | None = None
    doubt: Reason | None = None


@dataclass(frozen=True, slots=True)
class ListCursor(ListCursorMethods):
    """Position in a list.

    *windows* are the parts that are still to be read, the current one first; it *is_part* of a list
    that was split. *position* is the next
    of the last page, *offset* the number of records before it in the window, *pages* that of whole
    pages; *sizes* are the sizes of the pieces in which an unreadable page is read. *newest* is the
    greatest value by which the list may be sorted: if *is_sorted* all came in order, in *steps*
    increases, the last *ties* records with that value. *total* is declared for the whole list;
    *cap* is the number of records behind which the registry ended a window, *reach* that behind
    which it was begun again. *faults* and *empty* count unreadable responses and empty pages in a
    row. *again* and *incomplete_reason* are as in Page.
    """

    windows: tuple[Window, ...]
    is_part: bool = False
    position: str = ""
    offset: int = 0
    pages: int = 0
    sizes: tuple[int, ...] = ()
    newest: str = ""
    is_sorted: bool = True
    steps: int = 0
    ties: int = 0
    place: int | None = None
    total: int | None = None
    cap: int = 0
    reach: int = 0
    again: bool = False
    incomplete_reason: Reason | None = None
    faults: int = 0
    empty: int = 0

    def restart(self, windows: tuple[Window, ...], reach: int = 0) -> ListCursor:
        """Return a cursor at the beginning of the first of *windows*, whose records may repeat."""
        return ListCursor(
            windows, self.is_part or windows != self.windows, total=self.total, cap=self.cap, reach=reach, again=True,
            incomplete_reason=self.incomplete_reason, faults=self.faults,
        )  # fmt: skip


class PagedProtocol(ABC, Generic[P]):
    """A list that is read page by page. *since* limits it to what changed, None to nothing.

    *windows* are the parts in which the list is read at first. *probes* are the offsets and sizes
    (0: a whole page) of small requests, one of which succeeds if the registry answers at all.
    *is_dated*: the list may be sorted by time. *is_exact*: a piece of a page must have the size that
    was requested. *kind* says what positions are, None if they cannot repeat; *moves* is
    as in Page.
    """

    windows: tuple[Window, ...] = (("",),)
    probes: tuple[tuple[int, int], ...] = ((0, 1), (1, 1))
    is_dated: ClassVar[bool] = True
    is_exact: ClassVar[bool] = False
    kind: ClassVar[Kind | None] = "the cursor"
    moves: ClassVar[bool] = True

    def __init__(self, source: Source, fetch: Fetch, since: datetime | None) -> None:
        self.source, self.fetch, self.since = source, fetch, since

    @classmethod
    def collect(
        cls, source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
    ) -> Pages[P]:
        """Yield the pages of the list from *cursor* on."""
        return cls(source, fetch, since).read(cursor)

    @abstractmethod
    def request(self, cursor: ListCursor, size: int) -> Batch:
        """Return the page at *cursor* with at most *size* records. Raise ServiceError if the
        registry reports an error, ParseError if the response cannot be read.
        """

    @abstractmethod
    def parse(self, record: Any) -> Item[P] | None:
        """Return a record of a batch; None if it is not one to harvest."""

    @abstractmethod
    def page_size(self, cursor: ListCursor) -> int:
        """Return the number of records of a whole page."""

    def start(self) -> ListCursor:
        """Return the cursor at the beginning of the list."""
        return ListCursor(self.windows)

    def order(self, record: Any) -> str | None:
        """Return by what the list may be sorted: "" if the record lacks it, None if it does not
        count.
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
        are smaller or begin later. None: nowhere.
        """
        return None

    def skip(self, cursor: ListCursor, error: HarvestError) -> tuple[InvalidRecord, ListCursor]:
        """Return the record at *cursor*, which cannot be read because of *error*, and the cursor
        with what is then in doubt.
        """
        position = cursor.offset + 1
        item = InvalidRecord(
            None,
            Reason(
                "the record at %(position)s of the list: %(error)s",
                position=position,
                error=error.reason,
            ),
        )
        why = Reason(
            "the record at %(position)s of the list cannot be read, and its key is unknown",
            position=position,
        )
        return item, cursor.mark_incomplete(why)

    def indivisible(self, error: HarvestError) -> HarvestError:
        """Return the error of a page that can be neither read nor divided."""
        return error

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
        """Yield page after page from *cursor* on."""
        state = read_cursor(ListCursor, cursor) or replace(self.start(), again=cursor is not None)
        is_single = len(self.windows) == 1
        detector = LoopDetector(self.source.name)
        detector.check_token("", state.position or None)
        while state.windows:
            before: ListCursor = state
            batch: Batch | None = None
            items: tuple[Item[P], ...] = ()
            size = state.sizes[0] if state.sizes else self.page_size(state)
            try:
                batch = self.request(state, size)
                parsed = map(self.parse, batch.records)
                items = tuple(item for item in parsed if item is not None)
                state = self._advance(detector, state, batch, items, size)
            except _WINDOW_ERRORS as error:
                items, batch, state = (), None, self._split(state, error)
            except PAGE_ERRORS as error:
                batch = None
                items, state = self._divide(state, size, error)
            if state.windows[:1] != before.windows[:1] or state.offset < before.offset:
                detector.reset()
            if items or batch or not state.windows:
                yield state.page(
                    items,
                    has_next=bool(state.windows),
                    total=(state.total or before.total) if is_single else None,
                    at=batch.reply.at if batch and batch.reply else None,
                    again=before.again,
                    moves=self.moves,
                )

    def _advance(
        self,
        detector: LoopDetector,
        state: ListCursor,
        batch: Batch,
        items: tuple[Item[P], ...],
        size: int,
    ) -> ListCursor:
        """Return the cursor after a page. Where the registry ended a window before, this one is
        split at once; so is one of more records, unless its total is that of the whole list, and
        may be wrong.
        """
        before, count, reply = state, len(batch.records), batch.reply
        url = reply.url if reply else self.source.url
        if self.kind:
            detector.check_page(url, items, reply.content if reply else b"")
            detector.check_token(url, batch.next or None, self.kind)
        passed = count if batch.passed is None else batch.passed
        is_short = self.is_exact and 0 < count < size and state.offset + count < (batch.total or 0)
        if state.sizes and (count > size or is_short):
            source = self.source.name
            raise ServiceError(
                Reason(
                    "%(source)s: %(url)s gave %(count)s records instead of %(size)s, so a page that "
                    "cannot be read cannot be read in pieces; correct the options 'limit' and 'size'",
                    source=source,
                    url=url,
                    count=count,
                    size=size,
                )
            )
        state = self._follow_order(state, batch).mark_incomplete(batch.doubt)
        total = batch.total
        if not state.is_part:
            state = state.mark_incomplete(total_changed(state.total, total))
            total = state.total if total is None else total
            state = replace(state, total=total)
        left: tuple[int, ...] = state.sizes[1:]
        if state.sizes and 0 < count < size:
            left = (size - count, *left)
        state = replace(
            state,
            position=batch.next or "",
            place=batch.place,
            offset=state.offset + passed,
            pages=state.pages if left else state.pages + 1,
            sizes=left,
            empty=count_empty_pages(self.source.name, url, state.empty, range(passed)),
            faults=0 if count else state.faults,
        )
        is_complete = total is not None and state.offset >= total
        if batch.next == "" or (batch.next is None and (is_complete or not count)):
            return self._finish(state, total)
        is_larger = not before.offset and 0 < before.cap < (total or 0) < (before.total or 0)
        if is_larger or (batch.next is None and 0 < state.cap <= state.offset):
            why = Reason(
                "the list ended after %(fetched)s of %(total)s records",
                fetched=before.cap,
                total=total or 0,
            )
            with suppress(*RECORD_ERRORS):
                return self._split(before if is_larger else state, EndedError(why))
        return state

    def _follow_order(self, state: ListCursor, batch: Batch) -> ListCursor:
        """Return the cursor with the greatest value by which the list may be sorted, and whether
        all came in order. Times that are written differently are in none.
        """
        newest, is_sorted = state.newest, state.is_sorted
        stamps = [stamp for stamp in map(self.order, batch.records) if stamp is not None]
        for stamp in stamps:
            is_alike = not self.is_dated or len(stamp) == len(newest or stamp)
            is_sorted = is_sorted and stamp != "" and stamp >= newest and is_alike
            newest = max(newest, stamp)
        return replace(
            state,
            newest=newest,
            is_sorted=is_sorted,
            steps=state.steps + len({stamp for stamp in stamps if stamp > state.newest}),
            ties=stamps.count(newest) + (state.ties if newest == state.newest else 0),
        )

    def _finish(self, state: ListCursor, total: int | None) -> ListCursor:
        """Return the cursor at the next window, or within this one if it ended before its *total*.

        A window that ends behind fewer records than an earlier one did was not cut by a limit of
        the registry: its total is wrong.
        """
        if total is not None and state.offset < total:
            why = Reason(
                "the list ended after %(fetched)s of %(total)s records",
                fetched=state.offset,
                total=total,
            )
            if state.offset and state.offset >= state.cap:
                with suppress(*RECORD_ERRORS):
                    return self._split(state, EndedError(why))
            state = state.mark_incomplete(why)
        after = state.restart(state.windows[1:])
        is_single = len(self.windows) == 1
        return replace(
            after,
            again=state.again,
            is_part=state.is_part and is_single,
            total=state.total if is_single else None,
        )

    def _split(self, state: ListCursor, error: HarvestError) -> ListCursor:
        """Return where to continue beyond what can be read. Raise *error* if that is nowhere."""
        is_read = not state.is_part and state.total is not None and state.offset >= state.total
        smaller = None if is_read else self.split(state, error)
        if smaller is None:
            raise error
        # A token that was rejected shows nothing of a limit.
        return replace(smaller, cap=max(state.cap, 0 if state.position else state.offset))

    def _divide(
        self, state: ListCursor, size: int, error: HarvestError
    ) -> tuple[tuple[Item[P], ...], ListCursor]:
        """Return the cursor at the pieces of a page that cannot be read; behind the record if it is
        a single one, which is returned.
        """
        faults = count_unreadable(self.source.name, state.faults, error, size)
        state = replace(state, faults=faults)
        total = self.probe(state, error)
        if not state.is_part and state.total is None:
            state = replace(state, total=total)
        left = None if total is None else total - state.offset
        if left is not None and left <= 0:
            raise error
        pieces: tuple[int, ...] = self.pieces(state, size, left) if size > 1 else ()
        if size > 1 and not pieces:
            return (), self._split(state, self.indivisible(error))
        if total is not None and not state.sizes and self._is_capped(state, size, total):
            return (), self._split(state, error)
        if pieces:
            return (), replace(state, sizes=(*pieces, *state.sizes[1:]))
        item, state = self.skip(state, error)
        pages = state.pages if state.sizes[1:] else state.pages + 1
        state = replace(state, offset=state.offset + 1, pages=pages, sizes=state.sizes[1:])
        return (item,), self._finish(state, total) if left == 1 else state

    def _is_capped(self, state: ListCursor, size: int, total: int) -> bool:
        """Return whether no record behind a page that cannot be read can be read either: the first
        of the next page, the last, and one between them.
        """
        following = state.offset + size
        places = {following, (following + total) // 2, total - 1}
        if not state.offset or following >= total:
            return False
        for place in sorted(places):
            try:
                if self.request(replace(state, offset=place, sizes=(1,)), 1).records:
                    return False
            except RECORD_ERRORS:
                continue
        return True
