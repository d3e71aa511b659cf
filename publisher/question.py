"""Question: a query with all that its evaluation needs, as it crosses to a reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Question:
    """A query and how to answer it.

    *table* and *graph* are suffixes of formats, None where none of that kind is wanted. *default_graphs* None means
    the merge of all graphs or what the query's FROM says, *named_graphs* None all of them. *bindings* are N-Triples terms by variable; the
    variables must stand in the projection. *rows* is the most rows that are answered.
    """

    text: str
    table: str | None = "json"
    graph: str | None = "ttl"
    base: str | None = None
    default_graphs: tuple[str, ...] | None = None
    named_graphs: tuple[str, ...] | None = None
    bindings: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None

    def pack(self) -> bytes:
        """Write it as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Question:
        """Read what ``pack`` wrote."""
        return cls(**json.loads(data))
