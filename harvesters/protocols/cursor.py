"""Write and read the state from which a protocol continues after a page, as one line of JSON with a
version.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, fields, replace
from typing import Any, ClassVar, Self, TypeVar

import orjson

from harvesters.page_model import DeletedRecord, InvalidRecord, P, Page, Record
from harvesters.parsing import parser_errors
from harvesters.reasons import Reason
from harvesters.stored_response import SourcePosition

VERSION = 3  # raise it when old cursors can no longer be read: their lists then start again
_REASON = "incomplete_reason"
S = TypeVar("S")


class ListCursorMethods(ABC):
    """Methods of the cursors that know why a list may be incomplete."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    @abstractmethod
    def incomplete_reason(self) -> Reason | None:
        """Return why this run cannot be a full harvest, None if nothing is against it. Each cursor
        has a field for it.
        """

    def mark_incomplete(self, why: Reason | None) -> Self:
        """Return the cursor with *why* as the reason; an earlier reason is kept."""
        return (
            self if self.incomplete_reason or why is None else replace(self, incomplete_reason=why)
        )

    def page(
        self,
        items: tuple[Record[P] | DeletedRecord | InvalidRecord, ...],
        *,
        has_next: bool,
        total: int | None = None,
        at: SourcePosition | None = None,
        again: bool = False,
        moves: bool = False,
    ) -> Page[P]:
        """Return the page that ends at this cursor; the other arguments as in ``Page``."""
        following, reason = write_cursor(self) if has_next else None, self.incomplete_reason
        return Page(items, following, total, at, again=again, incomplete_reason=reason, moves=moves)


def write_cursor(state: Any) -> str:
    """Serialize a frozen dataclass as a cursor, without the fields that have their default.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Cursor:
    ...     start: int = 0
    ...     sizes: tuple[int, ...] = ()
    >>> write_cursor(Cursor(start=3))
    '{"v":3,"start":3}'
    >>> read_cursor(Cursor, '{"v":3,"sizes":[2,1]}')
    Cursor(start=0, sizes=(2, 1))
    >>> read_cursor(Cursor, "300") is None
    True
    """
    values = {
        field.name: getattr(state, field.name)
        for field in fields(state)
        if getattr(state, field.name) != field.default
    }
    # e.g. a number above 64 bits, or half of a surrogate pair
    with parser_errors("the cursor cannot be serialized"):
        return orjson.dumps({"v": VERSION, **values}).decode()


def read_cursor(kind: type[S], text: str | None) -> S | None:
    """Parse a cursor. Return None if there is none, or if its version or fields are unknown; the
    list then starts again.
    """
    try:
        values = orjson.loads(text or "null")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(values, dict) or values.pop("v", None) != VERSION:
        return None
    known = {field.name: field.default is MISSING for field in fields(kind)}  # type: ignore[arg-type]
    if not set(values) <= set(known) or any(
        needed and name not in values for name, needed in known.items()
    ):
        return None
    reason = values.get(_REASON)
    if isinstance(reason, dict):
        values[_REASON] = Reason.from_json(reason)
    return kind(**{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value
