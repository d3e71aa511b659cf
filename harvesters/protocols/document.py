"""Documents: one answer that holds a whole registry, cut into pages so that a run can be taken up in the middle."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from harvesters.network.fetch import Reply
from harvesters.protocols.cursor import read, write
from harvesters.record import Gone, P, Page, Pages, Record, Unreadable

ROWS = 1000  # records a page: a checkpoint each, at about 5 MB


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a document stands: the *mark* that tells it from another one, how many items were *passed*, *again* as on a page."""

    mark: str
    passed: int = 0
    again: bool = False


def cut(items: Iterable[Record[P] | Gone | Unreadable], reply: Reply, cursor: str | None, claimed: int | None = None) -> Pages[P]:
    """Cut a document's items into pages of ROWS.

    Where the document has changed since the cursor was made, it begins anew, and its pages may bring what came before.
    """
    mark = hashlib.blake2b(reply.content, digest_size=8).hexdigest()
    spot = read(_Spot, cursor)
    if spot is None or spot.mark != mark:
        spot = _Spot(mark, again=cursor is not None)
    left: Iterator[Record[P] | Gone | Unreadable] = islice(items, spot.passed, None)
    page = tuple(islice(left, ROWS))
    while True:
        following = tuple(islice(left, ROWS))
        spot = replace(spot, passed=spot.passed + len(page))
        yield Page(page, write(spot) if following else None, claimed, reply.at, again=spot.again)
        if not following:
            return
        page = following
