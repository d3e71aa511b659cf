"""The request that the server sends to a query worker."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

# NOW(), RAND(), UUID() and STRUUID(), even with a comment before the bracket. One in a comment or a
# string counts too.
_VOLATILE = re.compile(r"(?:now|rand|uuid)\s*+[#(]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """A query and how to answer it.

    *table* and *graph* are suffixes of result formats, None if no format of that kind is accepted.
    *default_graphs* None means the graphs of FROM or else the merge of all graphs, *named_graphs*
    None means all. *bindings* are N-Triples terms by variable; the variables must be in the
    projection. *rows* is the maximum number of rows. With *check* the query is only parsed.

    For a rewritten text, *inserted* are the line, column and width of each insertion, *note* is a
    message for the client, and *snapshot* is the folder of the snapshot that it was rewritten for,
    which is queried while it exists. If *release* is a number, that folder is the store of the
    release, and no other snapshot may be queried. With *explain* the result is a description of the
    evaluation, as JSON.
    """

    text: str
    table: str | None = "json"
    graph: str | None = "ttl"
    base: str | None = None
    default_graphs: tuple[str, ...] | None = None
    named_graphs: tuple[str, ...] | None = None
    bindings: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None
    inserted: tuple[tuple[int, int, int], ...] = ()
    note: str = ""
    check: bool = False
    snapshot: str = ""
    release: int | None = None
    explain: bool = False

    @property
    def volatile(self) -> bool:
        """Return whether the result may differ each time although the data are the same; True if in
        doubt.

        >>> QueryRequest("SELECT (NOW () AS ?now) {}").volatile, QueryRequest("SELECT ?now {}").volatile
        (True, False)
        """
        return _VOLATILE.search(self.text) is not None

    def pack(self) -> bytes:
        """Serialize as JSON; equal requests have equal bytes."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, data: bytes) -> QueryRequest:
        """Parse what ``pack`` returned."""
        return cls(**json.loads(data))
