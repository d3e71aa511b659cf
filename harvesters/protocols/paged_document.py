"""Documents: one answer that holds a whole registry, cut into pages so that a run can be taken up in the middle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from harvesters.network.fetch import Reply
from harvesters.page_model import DeletedRecord, InvalidRecord, P, Page, Pages, Record
from harvesters.protocols.cursor import read, write

ROWS = 1000  # records a page: a checkpoint each, at about 5 MB
BYTES = 8 * 1024 * 1024  # of a page's records, so that some large ones are not in memory at once


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a document stands: the *mark* that tells it from another one, how many items were *passed*, *again* as on a page."""

    mark: str
    passed: int = 0
    again: bool = False


def cut(
    items: Iterable[Record[P] | DeletedRecord | InvalidRecord], reply: Reply, cursor: str | None, claimed: int | None = None
) -> Pages[P]:
    """Cut a document's items into pages of ROWS, or fewer where they are large.

    Where the document has changed since the cursor was made, it begins anew, and its pages may bring what came before.
    """
    spot = read(_Spot, cursor)
    if spot is None or spot.mark != reply.digest:
        spot = _Spot(reply.digest, again=cursor is not None)
    left: Iterator[Record[P] | DeletedRecord | InvalidRecord] = islice(items, spot.passed, None)
    page = taken(left)
    while True:
        following = taken(left)
        spot = replace(spot, passed=spot.passed + len(page))
        yield Page(page, write(spot) if following else None, claimed, reply.at, again=spot.again)
        if not following:
            return
        page = following


def taken(left: Iterator[Record[P] | DeletedRecord | InvalidRecord]) -> tuple[Record[P] | DeletedRecord | InvalidRecord, ...]:
    """Take a page's items: at most ROWS, and no more once they have BYTES."""
    page: list[Record[P] | DeletedRecord | InvalidRecord] = []
    size = 0
    for item in islice(left, ROWS):
        page.append(item)
        size += len(item.raw) if isinstance(item, Record) else 0
        if size >= BYTES:
            break
    return tuple(page)
