"""A query with all that a worker needs to evaluate it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

# NOW(), RAND(), UUID() and STRUUID(), also with a comment before the bracket; one in a comment or a string counts too.
_VOLATILE = re.compile(r"(?:now|rand|uuid)\s*+[#(]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """A query and how to answer it.

    *table* and *graph* are suffixes of formats, None where none of that kind is wanted. *default_graphs* None means
    the merge of all graphs or what the query's FROM says, *named_graphs* None all of them. *bindings* are N-Triples terms by variable; the
    variables must stand in the projection. *rows* is the most rows that are answered. With *check*
    it is only tried whether it is a query.

    Of a text that was rewritten, *inserted* are line, column and width of what was put in, *note* is a message for the reader, and
    *snapshot* is the folder of the state that it was rewritten by, which answers as long as it is there. Where *release* is a number,
    that folder is the release's, and nothing else may answer. With *explain* the answer is how it was evaluated, as JSON.
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
        """Return whether the answer may differ each time, whatever the store holds; in doubt, yes.

        >>> QueryRequest("SELECT (NOW () AS ?now) {}").volatile, QueryRequest("SELECT ?now {}").volatile
        (True, False)
        """
        return _VOLATILE.search(self.text) is not None

    def pack(self) -> bytes:
        """Write it as JSON; two that are equal are written alike."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, data: bytes) -> QueryRequest:
        """Read what ``pack`` wrote."""
        return cls(**json.loads(data))
