"""Results that end early at a limit, and how each format marks this.

What was sent ends after a whole row. Then the document is closed and marked where its format has a place for a mark that no reader
trips over: a member of its own in JSON, a processing instruction in XML and RDF/XML, a comment in Turtle and N-Triples.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

FIELD = "Stocktake-Truncated"


class LimitKind(Enum):
    """The limit that ended an answer."""

    ROWS = "rows"
    SECONDS = "seconds"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Truncation:
    """An answer's early end: at which limit, and where that stands (rows, seconds or bytes)."""

    bound: LimitKind
    value: float

    @property
    def field(self) -> str:
        """Write it as the header or trailer field's value, a dictionary by https://www.rfc-editor.org/rfc/rfc9651.

        >>> Truncation(LimitKind.ROWS, 5000).field
        'rows=5000'
        """
        return f"{self.bound.value}={self.value:.10g}"

    def pack(self) -> bytes:
        """Write it as JSON."""
        return json.dumps({self.bound.value: self.value}).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Truncation:
        """Read what ``pack`` wrote."""
        ((name, value),) = json.loads(data).items()
        return cls(LimitKind(name), value)


def closing_bytes(suffix: str, cut: Truncation) -> bytes | None:
    """Return the bytes that close and mark a document of the format *suffix* after a whole row; None where it has no place for a mark.

    >>> closing_bytes("json", Truncation(LimitKind.ROWS, 2))
    b']},"truncated":{"rows": 2}}'
    """
    mark = f"stocktake-truncated {cut.field}"
    if suffix == "json":
        return b']},"truncated":' + cut.pack() + b"}"
    if suffix == "xml":
        return f"</results><?{mark}?></sparql>".encode()
    if suffix in ("ttl", "nt"):
        return f"# {mark}\n".encode()
    if suffix == "rdf" and cut.bound is LimitKind.ROWS:  # the writer has closed it; a stop in the middle leaves it open
        return f"<?{mark}?>\n".encode()
    return None
