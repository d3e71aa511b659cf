"""Define what a protocol is, the registry of protocols, and the position from which one continues
after a page, which is one line of JSON with a version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeAlias, TypeVar

import orjson

from harvesters.errors import parser_errors
from harvesters.options import LazyRegistry, Options
from harvesters.page_model import Item, Page, Pages, Payload, SourcePosition
from harvesters.reasons import Reason
from harvesters.source import Source


@dataclass(frozen=True, slots=True)
class Protocol:
    """An interface that can be harvested.

    *collect* yields pages of records, *payload_type* is what these hold. *incremental*: the
    protocol can ask for changes alone; *is_incremental* returns whether this source can too.
    *payload_type_for* returns the payload type where the source definition decides.
    """

    collect: Callable[..., Pages[Any]]
    payload_type: Payload
    options: type[Options]
    incremental: bool
    is_incremental: Callable[[Source], bool] = lambda _: True
    payload_type_for: Callable[[Source], Payload] | None = None


VERSION = 3  # Raise it when old cursors can no longer be read: their lists then start again.
S = TypeVar("S")
Items: TypeAlias = tuple[Item[Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A position in a list; *again* and *incomplete_reason* are as in Page, of the pages that follow."""

    again: bool = False
    incomplete_reason: Reason | None = None

    def mark_incomplete(self, why: Reason | None) -> Self:
        """Return the cursor with *why* as the reason; an earlier reason is kept."""
        return (
            self if self.incomplete_reason or why is None else replace(self, incomplete_reason=why)
        )

    def page(
        self, items: Items, has_next: bool, at: SourcePosition | None = None, **more: Any
    ) -> Page[Any]:
        """Return the page that ends at this cursor; *more* as in ``Page``."""
        more = {"again": self.again, "incomplete_reason": self.incomplete_reason, **more}
        return Page(items, write_cursor(self) if has_next else None, at=at, **more)


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
    # A number above 64 bits, or half of a surrogate pair, cannot be written as JSON.
    with parser_errors("the cursor cannot be serialized"):
        return orjson.dumps({"v": VERSION, **values}).decode()


def read_cursor(kind: type[S], text: str | None) -> S | None:
    """Parse a cursor. Return None if there is none, or if its version or fields are unknown; the
    list then starts again.
    """
    try:
        values = orjson.loads(text or "null")
        if not isinstance(values, dict) or values.pop("v", None) != VERSION:
            return None
        if isinstance(reason := values.get("incomplete_reason"), dict):
            values["incomplete_reason"] = Reason.from_json(reason)
        return kind(**{name: _frozen(value) for name, value in values.items()})
    except (orjson.JSONDecodeError, TypeError):  # A field is unknown, or one is missing.
        return None


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value


PROTOCOLS: Mapping[str, Protocol] = LazyRegistry(
    {
        "oai-pmh": "harvesters.protocols.oai",
        "ckan": "harvesters.protocols.ckan",
        "json": "harvesters.protocols.json_api",
        "csv": "harvesters.protocols.csv_file",
        "spreadsheet": "harvesters.protocols.spreadsheet",
        "iati": "harvesters.protocols.iati",
        "pod": "harvesters.protocols.pod",
        "csw": "harvesters.protocols.csw",
        "files": "harvesters.protocols.files",
        "ldes": "harvesters.protocols.ldes",
        "stocktake": "harvesters.protocols.peer",
        "activitystreams": "harvesters.protocols.activitystreams",
        "resourcesync": "harvesters.protocols.resourcesync",
        "web": "harvesters.protocols.web",
        "sparql": "harvesters.protocols.sparql",
        "feed": "harvesters.protocols.feed",
        "ical": "harvesters.protocols.ical",
        "rdf": "harvesters.protocols.rdf",
        "html": "harvesters.protocols.html_list",
        "submissions": "harvesters.protocols.submissions",
    },
    "PROTOCOL",
    "stocktake.protocols",
    Protocol,
)
