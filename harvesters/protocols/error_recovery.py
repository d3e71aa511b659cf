"""Decide which errors concern a single page or record, and set limits that end endless lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal

from harvesters.errors import (
    ForbiddenError,
    HarvestError,
    InvalidHTTPError,
    NotFoundError,
    PaginationLoopError,
    ParseError,
    ReadTimeoutError,
    RepeatedPageError,
    TemporaryFetchError,
    TooLargeError,
    TruncatedError,
    UnavailableError,
    UndecodableError,
    UnexpectedStatusError,
    UnreachableError,
)
from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.reasons import Reason, Value

# Errors that a single record can cause in its page. A probe request shows whether the whole
# registry fails.
PAGE_ERRORS: tuple[type[HarvestError], ...] = (
    ParseError, TooLargeError, UnavailableError, UnreachableError, ReadTimeoutError, TruncatedError, UndecodableError, InvalidHTTPError,
)  # fmt: skip
# HTTP's ways to reject a token or cursor
CURSOR_ERRORS: tuple[type[HarvestError], ...] = (NotFoundError, UnexpectedStatusError)
# Errors that can concern a single record; a probe shows whether more is wrong. A bot wall, a 429,
# quiet hours and a full disk are not among them: they end the run with their own errors.
RECORD_ERRORS: tuple[type[HarvestError], ...] = (*PAGE_ERRORS, *CURSOR_ERRORS, ForbiddenError)

MAX_UNREADABLE = 300  # unreadable responses in a row: a page of 100 broken records causes about 130
MAX_FAILURES = 3  # failures of the server in a row for neighbouring records: it fails for all
# what a list may repeat
Kind = Literal[
    "the resumption token",
    "the cursor",
    "the page",
    "the next page",
    "the older page",
    "the document",
]
MAX_EMPTY_PAGES = 100  # empty pages in a row: repositories that filter after paging send some


@dataclass(slots=True)
class LoopDetector:
    """Tokens and record keys of a list's pages that this process has seen; *name* is the source's."""

    name: str
    tokens: set[str] = field(default_factory=set)
    pages: set[bytes] = field(default_factory=set)

    def reset(self) -> None:
        """Forget everything, for another list."""
        self.tokens.clear()
        self.pages.clear()

    def check_token(self, url: str, token: str | None, kind: Kind = "the resumption token") -> None:
        """Raise PaginationLoopError if *token* was seen before: following it would never end."""
        if token is not None and token in self.tokens:
            values: dict[str, Value] = {
                "source": self.name,
                "url": url,
                "kind": Reason(kind),
                "token": token,
            }
            raise PaginationLoopError(
                Reason("%(source)s: %(url)s repeats %(kind)s '%(token)s'", **values)
            )
        self.tokens.add(token or "")

    def check_page(
        self, url: str, items: Sequence[Record[Any] | DeletedRecord | InvalidRecord], content: bytes
    ) -> None:
        """Raise RepeatedPageError if an earlier page had the same keys or, without keys, the same
        *content*.
        """
        if not items:
            return
        keys = sorted(item.key for item in items if item.key is not None)
        mark = blake2b(
            "\x1f".join(keys).encode("utf-8", "replace") if keys else content, digest_size=16
        ).digest()
        if mark in self.pages:
            raise RepeatedPageError(
                Reason(
                    "%(source)s: %(url)s repeats the records of an earlier page",
                    source=self.name,
                    url=url,
                )
            )
        self.pages.add(mark)


def count_empty_pages(name: str, url: str, before: int, items: Sequence[object]) -> int:
    """Return the number of empty pages in a row. Raise PaginationLoopError if there are too many."""
    if items:
        return 0
    if before >= MAX_EMPTY_PAGES:
        raise PaginationLoopError(
            Reason(
                "%(source)s: %(url)s is page %(number)s in a row without a record; its list does not "
                "end",
                source=name,
                url=url,
                number=before + 1,
            )
        )
    return before + 1


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
        raise ParseError(
            Reason(
                "%(source)s: %(number)s responses in a row cannot be read, the last: %(error)s",
                source=name,
                number=before + 1,
                error=error.reason,
            )
        ) from error
    return before + 1


def total_changed(before: int | None, now: int | None) -> Reason | None:
    """Return a reason if the declared total differs from *before*, else None."""
    if before is None or now is None or before == now:
        return None
    return Reason(
        "the total shrank from %(before)s to %(now)s during the run, so records may be missing"
        if now < before
        else "the total grew from %(before)s to %(now)s during the run, so records may be missing",
        before=before,
        now=now,
    )
