"""Page through a JSON API, and recover from a page that cannot be read or a cursor that is
rejected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import load_json
from harvesters.page_model import InvalidRecord, Pages, Record, Row
from harvesters.parsing import join_url
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.datestamps import max_if_sorted, parse_timestamp
from harvesters.protocols.error_recovery import (
    CURSOR_ERRORS,
    PAGE_ERRORS,
    RECORD_ERRORS,
    LoopDetector,
    count_empty_pages,
    count_unreadable,
    total_changed,
)
from harvesters.protocols.json_api.parser import (
    PAGING_OPTIONS,
    Item,
    PagingPlan,
    format_since,
    parse_records,
    parse_total,
)
from harvesters.reasons import Reason
from harvesters.stored_response import SourcePosition

# a link in a Link header, with its parameters (RFC 8288)
_LINK = re.compile(r"<([^<>]*+)>\s*+;([^<]*+)")
_RELATIONS = re.compile(r"\brel\s*+=\s*+\"?([^\",;]*+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JsonCursor(ListCursorMethods):
    """Position in a list.

    *next* is the position of the next request (a page number, offset, cursor or address; empty: the
    first), *received* the number of records before it, *sizes* the sizes of the parts in which an
    unreadable page is read. *newest* is the latest time of a change and *is_sorted* whether they
    were sorted; *since* is the time at which a list with a rejected cursor resumed, *reach* the
    number of records received by then. *total* is the first one declared; the others are as in Page
    or count errors in a row.
    """

    next: str = ""
    received: int = 0
    sizes: tuple[int, ...] = ()
    newest: str = ""
    is_sorted: bool = True
    since: str = ""
    reach: int = 0
    total: int | None = None
    again: bool = False
    incomplete_reason: Reason | None = None
    faults: int = 0
    empty: int = 0


@dataclass(frozen=True, slots=True)
class JsonResponse:
    """A page with its document, records and total (None if not declared)."""

    reply: Reply
    document: Any
    items: tuple[Item, ...]
    total: int | None


def read_pages(plan: PagingPlan, fetch: Fetch, cursor: str | None) -> Pages[Row]:
    """Yield page after page from *cursor* on. Raise ParseError if they repeat or do not end."""
    state = read_cursor(JsonCursor, cursor) or JsonCursor(
        _first_position(plan), again=cursor is not None
    )
    loop_detector = LoopDetector(plan.source.name)
    loop_detector.check_token("", state.next)
    while True:
        records: tuple[Item, ...]
        position: SourcePosition | None = None
        ended = False
        again = state.again
        try:
            answer = _request(plan, fetch, state)
        except CURSOR_ERRORS as error:
            state = _restart(plan, state, error)
            loop_detector.reset()
            continue
        except PAGE_ERRORS as error:
            size = _page_size(plan, state)
            state = _split_page(plan, fetch, state, error)
            if state.sizes[0] < size:
                continue
            records, state = _skip_record(plan, state, error)
        else:
            records, position = answer.items, answer.reply.at
            loop_detector.check_page(answer.reply.url, records, answer.reply.content)
            state, ended = _advance(plan, state, answer)
            loop_detector.check_token(
                answer.reply.url, None if ended or state.sizes else state.next, "cursor"
            )
        yield state.page(
            records, has_next=not ended, total=state.total, at=position, again=again, moves=True
        )
        if ended:
            return


def _first_position(plan: PagingPlan) -> str:
    return (
        "0" if plan.option("offset") else str(plan.option("first")) if plan.option("page") else ""
    )


def _page_size(plan: PagingPlan, state: JsonCursor) -> int:
    return state.sizes[0] if state.sizes else int(plan.option("size"))


def _request(plan: PagingPlan, fetch: Fetch, state: JsonCursor) -> JsonResponse:
    address, arguments = plan.source.url, dict(plan.parameters)
    if state.since:
        arguments[plan.option("since")] = state.since
    name = next((plan.option(option) for option in PAGING_OPTIONS if plan.option(option)), None)
    if state.sizes:
        arguments[plan.option("limit")] = str(state.sizes[0])
        number = (
            state.received
            if plan.option("offset")
            else plan.option("first") + state.received // state.sizes[0]
        )
        arguments[name or ""] = str(number)
    elif name:
        arguments |= {name: state.next} if state.next else {}
    elif state.next:
        address, arguments = state.next, {}
    reply = fetch.get(address, arguments, accept="application/json")
    document = load_json(reply, plan.option("charset"))
    return JsonResponse(
        reply, document, parse_records(plan, reply, document), parse_total(plan, reply, document)
    )


def _advance(plan: PagingPlan, state: JsonCursor, answer: JsonResponse) -> tuple[JsonCursor, bool]:
    """Return the cursor after a page, and whether it was the last."""
    count = len(answer.items)
    empty = count_empty_pages(plan.source.name, answer.reply.url, state.empty, answer.items)
    newest, is_sorted = max_if_sorted(
        state.newest,
        state.is_sorted,
        (item.modified or "" if isinstance(item, Record) else "" for item in answer.items),
    )
    if not state.since:
        state = replace(
            state.mark_incomplete(total_changed(state.total, answer.total)),
            total=state.total if answer.total is None else answer.total,
        )
    enough = answer.total is not None and state.received + count >= answer.total
    if state.sizes:
        return _advance_piece(
            plan, replace(state, newest=newest, is_sorted=is_sorted, faults=0), answer, enough
        )
    following = _next_position(plan, answer, state, enough)
    after = replace(
        state,
        next=following,
        received=state.received + count,
        newest=newest,
        is_sorted=is_sorted,
        empty=empty,
        faults=0,
    )
    return after, not following


def _next_position(plan: PagingPlan, answer: JsonResponse, state: JsonCursor, enough: bool) -> str:
    """Return the next position in the way of paging that the source definition chose; empty at the
    end.
    """
    count = len(answer.items)
    if plan.option("page"):
        return str(int(state.next) + 1) if count and not enough else ""
    if plan.option("offset"):
        return str(int(state.next) + count) if count and not enough else ""
    position = plan.next(answer.document)
    if plan.option("cursor"):
        return "" if position in (None, False, "") else str(position)
    if position is None and not plan.option("next"):
        position = _next_link(answer.reply.headers.get("link", ""))
    return join_url(answer.reply.url, str(position)) if position else ""


def _next_link(header: str) -> str | None:
    """Return the address that a Link header calls the next one.

    >>> _next_link('<https://a.example/1>; rel="prev", <https://a.example/3>; title="3"; rel="last next"')
    'https://a.example/3'
    """
    for link in _LINK.finditer(header):
        if any(
            "next" in relations[1].lower().split() for relations in _RELATIONS.finditer(link[2])
        ):
            return link[1]
    return None


def _advance_piece(
    plan: PagingPlan, state: JsonCursor, answer: JsonResponse, enough: bool
) -> tuple[JsonCursor, bool]:
    """Return the cursor after a piece. Raise ParseError if the API did not keep to the requested
    size.
    """
    count, size = len(answer.items), state.sizes[0]
    if count > size or (0 < count < size and not enough and answer.total is not None):
        raise ParseError(
            Reason(
                "wrong_page_size",
                {"source": plan.source.name, "url": answer.reply.url, "count": count, "size": size},
            )
        )
    return _skip(plan, state, count), enough or count < size


def _skip(plan: PagingPlan, state: JsonCursor, count: int) -> JsonCursor:
    """Return the cursor after a piece of *count* records."""
    passed, left = state.received + count, state.sizes[1:]
    following = str(passed) if plan.option("offset") else str(int(state.next) + (not left))
    return replace(state, received=passed, sizes=left, next=following)


def _split_page(
    plan: PagingPlan, fetch: Fetch, state: JsonCursor, error: HarvestError
) -> JsonCursor:
    """Return the cursor with the pieces of a page that cannot be read.

    Raises *error* if the API fails altogether, and ParseError if pages cannot be made smaller.
    """
    faults = count_unreadable(plan.source.name, state.faults, error, _page_size(plan, state))
    even = plan.option("offset") or (
        plan.option("page") and (state.sizes or state.received == _expected_before(plan, state))
    )
    if not plan.option("limit") or not even:
        _check_readable(plan, fetch, JsonCursor(_first_position(plan)), error)
        raise ParseError(Reason(_cannot_split_code(plan), {"error": error.reason})) from error
    total = _check_readable(plan, fetch, JsonCursor(_first_position(plan), sizes=(1,)), error)
    size = _page_size(plan, state)
    if total is not None and state.received >= total:
        raise error
    pieces = _divide(size) if size > 1 else (1,)
    return replace(
        state,
        sizes=(*pieces, *state.sizes[1:]),
        faults=faults,
        total=state.total if state.total is not None else total,
    )


def _expected_before(plan: PagingPlan, state: JsonCursor) -> int:
    """Return how many records precede a page if all pages had the requested size."""
    return (int(state.next) - int(plan.option("first"))) * int(plan.option("size"))


def _divide(size: int) -> tuple[int, ...]:
    """Divide a page into equal pieces, as few as possible, so that pages of a piece's size start
    where the page started.

    >>> _divide(100), _divide(7)
    ((50, 50), (1, 1, 1, 1, 1, 1, 1))
    """
    parts = next(number for number in range(2, size + 1) if size % number == 0)
    return (size // parts,) * parts


def _cannot_split_code(plan: PagingPlan) -> str:
    """Return the code of the reason why a page cannot be read in pieces."""
    if not (plan.option("page") or plan.option("offset")):
        return "page_links_next"
    return "page_size_ignored" if plan.option("limit") else "page_needs_limit"


def _check_readable(
    plan: PagingPlan, fetch: Fetch, state: JsonCursor, error: HarvestError
) -> int | None:
    """Return the total, from the first page or one of the first two records. Raise *error* if
    neither can be read.
    """
    for offset in (0, 1) if state.sizes else (0,):
        try:
            return _request(plan, fetch, replace(state, received=offset)).total
        except RECORD_ERRORS as probe_error:
            probe_failure = probe_error
    raise error from probe_failure


def _skip_record(
    plan: PagingPlan, state: JsonCursor, error: HarvestError
) -> tuple[tuple[Item, ...], JsonCursor]:
    """Return the one record that cannot be read, whose key is unknown, and the cursor after it."""
    why = Reason("record_unreadable_at", {"position": state.received})
    reason = Reason("listed_record", {"position": state.received, "error": error.reason})
    return (InvalidRecord(None, reason),), _skip(plan, state.mark_incomplete(why), 1)


def _restart(plan: PagingPlan, state: JsonCursor, error: HarvestError) -> JsonCursor:
    """Return where to continue when a cursor is rejected: at the newest change if they were sorted,
    else from the start.
    """
    if plan.option("page") or plan.option("offset") or not state.next:
        raise error
    if state.received <= state.reach:
        raise ParseError(Reason("list_unreadable", {"error": error.reason})) from error
    moment = (
        parse_timestamp(state.newest)
        if state.is_sorted and state.newest and plan.option("since") and plan.option("modified")
        else None
    )
    start = JsonCursor(again=True, total=state.total, incomplete_reason=state.incomplete_reason)
    if moment is None:
        return replace(start, since=state.since, reach=state.received)
    why = Reason("resumed_at_changes", {"newest": state.newest})
    return replace(
        start.mark_incomplete(None if state.total is not None else why),
        since=format_since(plan.source, moment),
    )
