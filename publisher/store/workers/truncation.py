"""Mark truncated results in each format.

A truncated result ends after a whole row. Then the document is closed and marked, if its format
allows a mark that parsers ignore: an extra member in JSON, a processing instruction in XML and
RDF/XML, a comment in Turtle and N-Triples.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

FIELD = "Stocktake-Truncated"


class LimitKind(Enum):
    """The limit that truncated a result."""

    ROWS = "rows"
    SECONDS = "seconds"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Truncation:
    """The limit at which a result was truncated, and its value in rows, seconds or bytes."""

    limit: LimitKind
    value: float

    @property
    def field(self) -> str:
        """Return the value of the header or trailer field, a dictionary
        (https://www.rfc-editor.org/rfc/rfc9651).

        >>> Truncation(LimitKind.ROWS, 5000).field
        'rows=5000'
        """
        return f"{self.limit.value}={self.value:.10g}"

    def pack(self) -> bytes:
        """Serialize as JSON."""
        return json.dumps({self.limit.value: self.value}).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Truncation:
        """Parse what ``pack`` returned."""
        ((name, value),) = json.loads(data).items()
        return cls(LimitKind(name), value)


def closing_bytes(suffix: str, truncation: Truncation) -> bytes | None:
    """Return the bytes that close and mark a document of the format *suffix* after a whole row;
    None if the format has no mark.

    >>> closing_bytes("json", Truncation(LimitKind.ROWS, 2))
    b']},"truncated":{"rows": 2}}'
    """
    mark = f"stocktake-truncated {truncation.field}"
    if suffix == "json":
        return b']},"truncated":' + truncation.pack() + b"}"
    if suffix == "xml":
        return f"</results><?{mark}?></sparql>".encode()
    if suffix in ("ttl", "nt"):
        return f"# {mark}\n".encode()
    # at other limits the serializer has not closed the document
    if suffix == "rdf" and truncation.limit is LimitKind.ROWS:
        return f"<?{mark}?>\n".encode()
    return None
