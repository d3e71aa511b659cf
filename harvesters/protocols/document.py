"""Documents: one answer that holds a whole registry, cut into pages so that a run can be taken up in the middle."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice

from harvesters.fetch import Reply
from harvesters.record import Gone, P, Page, Pages, Record, Unreadable

ROWS = 1000  # records a page: a checkpoint each, at about 5 MB


def cut(items: Iterable[Record[P] | Gone | Unreadable], reply: Reply, cursor: str | None, claimed: int | None = None) -> Pages[P]:
    """Cut a document's items into pages of ROWS.

    The cursor holds the document's digest: where it has changed since the cursor was made, the document begins anew.
    """
    mark = hashlib.blake2b(reply.content, digest_size=8).hexdigest()
    known, _, done = (cursor or "").partition(":")
    passed = int(done) if known == mark and done.isdigit() else 0
    left: Iterator[Record[P] | Gone | Unreadable] = islice(items, passed, None)
    page = tuple(islice(left, ROWS))
    while True:
        following = tuple(islice(left, ROWS))
        passed += len(page)
        yield Page(page, f"{mark}:{passed}" if following else None, claimed, reply.at)
        if not following:
            return
        page = following
