"""Page through CKAN's package_search, and recover from a page that cannot be read or an offset that
is rejected.

Source: https://docs.ckan.org/en/latest/api/#ckan.logic.action.get.package_search
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import load_json
from harvesters.page_model import DeletedRecord, InvalidRecord, Pages, Record, Row
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.error_recovery import (
    CURSOR_ERRORS,
    PAGE_ERRORS,
    RECORD_ERRORS,
    LoopDetector,
    count_empty_pages,
    count_unreadable,
    total_changed,
)
from harvesters.reasons import Reason
from harvesters.source import Source
from harvesters.stored_response import SourcePosition

Item = Record[Row] | DeletedRecord | InvalidRecord


@dataclass(frozen=True, slots=True)
class Search:
    """A search: its parameters *terms* without the filter, the filter query *filters*, *rows* per
    page, and the parser of packages.
    """

    source: Source
    fetch: Fetch
    url: str
    terms: Mapping[str, str]
    filters: str
    rows: int
    items: Callable[[list[Any]], Iterable[Item]]

    def request(
        self, start: int, rows: int, base: str | None, **more: str
    ) -> tuple[Reply, list[Any], int | None]:
        """Request *rows* packages from *start* among those with ids from *base* on. Return the
        reply, the packages and the total.
        """
        parts = [self.filters, f'id:["{base}" TO *]' if base is not None else ""]
        filter_query = " AND ".join(f"({part})" if all(parts) else part for part in parts if part)
        terms = {
            **self.terms,
            "rows": str(rows),
            **({"fq": filter_query} if filter_query else {}),
            "start": str(start),
            **more,
        }
        reply = self.fetch.get(self.url, terms, accept="application/json")
        result = unwrap_result(self.source, reply)
        if not isinstance(result, dict) or not isinstance(result.get("results"), list):
            raise ParseError(
                Reason("not_ckan_search", {"source": self.source.name, "url": reply.url})
            )
        count = result.get("count")
        return (
            reply,
            result["results"],
            count if isinstance(count, int) and not isinstance(count, bool) else None,
        )


@dataclass(frozen=True, slots=True)
class CkanCursor(ListCursorMethods):
    """Position in a search: *start* among the ids from *base* on; *sizes* are the pieces in which
    an unreadable page is read.

    *last* is the last id received, *is_sorted* whether all ids came in order, *total* the first
    declared count; the others are as in Page or count errors in a row.
    """

    start: int = 0
    base: str | None = None
    sizes: tuple[int, ...] = ()
    last: str = ""
    is_sorted: bool = True
    total: int | None = None
    again: bool = False
    incomplete_reason: Reason | None = None
    faults: int = 0
    empty: int = 0

    def advance(self, count: int, size: int) -> CkanCursor:
        """Return the cursor after *count* records of the *size* that was requested."""
        left = (
            (size - count, *self.sizes[1:]) if self.sizes and 0 < count < size else self.sizes[1:]
        )
        return replace(self, start=self.start + count, sizes=left)


def unwrap_result(source: Source, reply: Reply) -> Any:
    """Return the result in CKAN's envelope; a document without an envelope is its own result. Raise
    ParseError if CKAN reports an error.
    """
    document = load_json(reply)
    if not isinstance(document, dict) or not ("success" in document or "result" in document):
        return document
    if document.get("success") is False:
        error = document.get("error")
        message = (
            error.get("message") or error.get("__type") or error
            if isinstance(error, dict)
            else error
        )
        raise ParseError(
            Reason(
                "service_error",
                {"source": source.name, "url": reply.url, "message": str(message)[:300]},
            )
        )
    return document.get("result")


def search_pages(search: Search, cursor: str | None) -> Pages[Row]:
    """Yield the pages of the search from *cursor* on."""
    state = read_cursor(CkanCursor, cursor) or CkanCursor(again=cursor is not None)
    loop_detector = LoopDetector(search.source.name)
    while True:
        size = state.sizes[0] if state.sizes else search.rows
        again = state.again
        items: tuple[Item, ...]
        position: SourcePosition | None = None
        ended = False
        try:
            reply, packages, count = search.request(state.start, size, state.base)
        except CURSOR_ERRORS as error:
            state = _continue_by_id(search, state, error)
            loop_detector.reset()
            continue
        except PAGE_ERRORS as error:
            state = _split_page(search, state, size, error)
            if state.sizes[0] < size:
                continue
            items, state = _skip_record(search, state, error)
        else:
            items, position = tuple(search.items(packages)), reply.at
            loop_detector.check_page(reply.url, items, reply.content)
            state, ended = _advance(search, state, size, reply, items, count)
        yield state.page(
            items, has_next=not ended, total=state.total, at=position, again=again, moves=True
        )
        if ended:
            return


def _advance(
    search: Search,
    state: CkanCursor,
    size: int,
    reply: Reply,
    items: tuple[Item, ...],
    count: int | None,
) -> tuple[CkanCursor, bool]:
    """Return the cursor after a page, and whether it was the last."""
    keys = [item.key for item in items if item.key is not None]
    is_sorted = state.is_sorted and [state.last, *keys] == sorted([state.last, *keys])
    if state.base is None:
        state = replace(
            state.mark_incomplete(total_changed(state.total, count)),
            total=count if count is not None else state.total,
        )
    empty = count_empty_pages(search.source.name, reply.url, state.empty, items)
    state = replace(
        state.advance(len(items), size),
        last=keys[-1] if keys else state.last,
        is_sorted=is_sorted,
        empty=empty,
        faults=0,
    )
    return state, not items or (count is not None and state.start >= count)


def _split_page(search: Search, state: CkanCursor, size: int, error: HarvestError) -> CkanCursor:
    """Return the cursor with the pieces of a page that cannot be read. Raise *error* if the portal
    answers no search at all.
    """
    faults = count_unreadable(search.source.name, state.faults, error, size)
    try:
        _, _, count = search.request(0, 0, state.base)
    except RECORD_ERRORS as probe_error:
        raise error from probe_error
    if count is not None and state.start >= count:
        raise error
    size = size if count is None else min(size, count - state.start)
    total = count if state.base is None and state.total is None else state.total
    halves = (size // 2, size - size // 2) if size > 1 else (1,)
    return replace(state, sizes=(*halves, *state.sizes[1:]), total=total, faults=faults)


def _skip_record(
    search: Search, state: CkanCursor, error: HarvestError
) -> tuple[tuple[Item, ...], CkanCursor]:
    """Return the one record that cannot be read, with the id that a search for the field `id` alone
    returns.
    """
    key = None
    try:
        _, packages, _ = search.request(state.start, 1, state.base, fl="id")
        key = packages[0].get("id") if packages and isinstance(packages[0], dict) else None
    except RECORD_ERRORS:
        pass
    if not isinstance(key, str) or not key:
        state = state.mark_incomplete(Reason("package_unreadable", {"position": state.start}))
        key = None
    return (InvalidRecord(key, error.reason),), state.advance(1, 1)


def _continue_by_id(search: Search, state: CkanCursor, error: HarvestError) -> CkanCursor:
    """Continue after the last id when the portal rejects an offset. Raise *error* if ids were not
    sorted or nothing is gained.
    """
    if (
        not state.start
        or not state.is_sorted
        or not state.last
        or state.last == state.base
        or '"' in state.last
    ):
        raise error
    try:
        search.request(0, 0, state.last)
    except RECORD_ERRORS as probe_error:
        raise error from probe_error
    return replace(state, start=0, base=state.last, sizes=(), again=True)
