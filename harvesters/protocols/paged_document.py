"""Split one response that holds a whole registry into pages, so that a run can resume in the
middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from harvesters.network.reply import Reply
from harvesters.page_model import DeletedRecord, InvalidRecord, P, Page, Pages, Record
from harvesters.protocols.cursor import read_cursor, write_cursor

MAX_RECORDS = 500  # records per page, each a checkpoint of about 3 MB
MAX_BYTES = 8 * 1024 * 1024  # bytes of a page's records, to bound memory if records are large


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
    page = take_page(left)
    while True:
        following = take_page(left)
        state = replace(state, passed=state.passed + len(page))
        yield Page(
            page,
            write_cursor(state) if following else None,
            reported_total,
            reply.at,
            again=state.again,
        )
        if not following:
            return
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
