"""Trouble: which answers are one page's own fault, and what would go on for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from harvesters.errors import (
    ForbiddenError,
    HarvestError,
    InvalidHTTPError,
    NotFoundError,
    PaginationLoopError,
    ParseError,
    ReadTimeoutError,
    RepeatedPageError,
    TooLargeError,
    TruncatedError,
    UnavailableError,
    UndecodableError,
    UnexpectedStatusError,
    UnreachableError,
)
from harvesters.page_model import DeletedRecord, InvalidRecord, Record

# What a single record can do to the page that holds it; whether it is the whole registry's is asked of the registry then.
POISON: tuple[type[HarvestError], ...] = (
    ParseError, TooLargeError, UnavailableError, UnreachableError, ReadTimeoutError, TruncatedError, UndecodableError, InvalidHTTPError,
)  # fmt: skip
REFUSED: tuple[type[HarvestError], ...] = (NotFoundError, UnexpectedStatusError)  # how HTTP says that a token or cursor is not known
# What keeps us from a single record, or shows that more than one page is amiss. A bot wall, a 429, quiet hours and a full disk are
# none of these: they end the run under their own names.
UNREAD: tuple[type[HarvestError], ...] = (*POISON, *REFUSED, ForbiddenError)

FAULTS = 300  # answers in a row that cannot be read: a page of 100 broken records needs about 130, a broken registry never ends
EMPTY = 100  # pages in a row without a record: repositories that filter a page after they have cut it send some


@dataclass(slots=True)
class Repeats:
    """The tokens and the keys of a list's pages, as far as this process has seen them; *name* is the source's."""

    name: str
    tokens: set[str] = field(default_factory=set)
    pages: set[bytes] = field(default_factory=set)

    def forget(self) -> None:
        """Begin another list."""
        self.tokens.clear()
        self.pages.clear()

    def token(self, url: str, token: str | None, kind: str = "the resumption token") -> None:
        """Refuse a token that came before, which would go on for ever; raises PaginationLoopError."""
        if token is not None and token in self.tokens:
            raise PaginationLoopError(f"{self.name}: {url} repeats {kind} {token!r}")
        self.tokens.add(token or "")

    def page(self, url: str, items: Sequence[Record[Any] | DeletedRecord | InvalidRecord], content: bytes) -> None:
        """Refuse a page whose keys all came together in an earlier page, or its *content* without keys; raises RepeatedPageError."""
        if not items:
            return
        keys = sorted(item.key for item in items if item.key is not None)
        mark = blake2b("\x1f".join(keys).encode("utf-8", "replace") if keys else content, digest_size=16).digest()
        if mark in self.pages:
            raise RepeatedPageError(f"{self.name}: {url} repeats the records of an earlier page")
        self.pages.add(mark)


def empties(name: str, url: str, before: int, items: Sequence[object]) -> int:
    """Count the pages in a row without a record; raises PaginationLoopError where they do not end."""
    if items:
        return 0
    if before >= EMPTY:
        raise PaginationLoopError(f"{name}: {url} is page {before + 1} in a row without a record; its list does not end")
    return before + 1


def fault(name: str, before: int, error: Exception) -> int:
    """Count the answers in a row that could not be read; raises ParseError where they are too many for a few broken records."""
    if before >= FAULTS:
        raise ParseError(f"{name}: {before + 1} answers in a row cannot be read, the last: {error}") from error
    return before + 1


def changed(before: int | None, now: int | None) -> str | None:
    """Tell a total that is another one than *before*, None where it stays."""
    if before is None or now is None or before == now:
        return None
    return f"the total {'shrank' if now < before else 'grew'} from {before} to {now} during the run, so records may have been passed over"
