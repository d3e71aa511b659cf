"""Find the ends of rows in a serialized result, to send whole rows and count them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_JSON_TEXT, _JSON_ROW = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'), re.compile(rb",\{.")
_CSV_TEXT = re.compile(rb'"[^"]*+(?:"|\Z)')
_JSON_MARK = b',{"'  # in a text the quote would be escaped


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a format: each row begins with *mark* if *before*, else it ends with it.

    *more* is the number of rows minus the number of marks: 1 if the first row has no mark, -1 if a
    header has one. *mask* replaces everything in a text that only looks like a mark by other bytes
    of the same length; the text must begin at a row boundary.
    """

    mark: bytes
    before: bool
    more: int = 0
    mask: Callable[[bytes], bytes] = bytes

    def last_boundary(self, masked: bytes) -> int:
        """Return the position of the last boundary between two rows, 0 if there is none."""
        position = masked.rfind(self.mark)
        return (
            max(0, position) if self.before else position + len(self.mark) if position >= 0 else 0
        )

    def boundary_at(self, masked: bytes, number: int) -> int:
        """Return the position of the boundary at mark *number*, counted from 1; number 0 is the
        start of the text.
        """
        if not number:
            return 0
        position = -1
        for _ in range(number):
            position = masked.index(self.mark, position + 1)
        return position if self.before else position + len(self.mark)


def _json(text: bytes) -> bytes:
    """Make empty rows begin with the mark too. Without an empty row the text is returned as it is."""
    if b",{}" not in text:
        return text
    return _JSON_ROW.sub(_JSON_MARK, _JSON_TEXT.sub(_masked, text))


def _csv(text: bytes) -> bytes:
    return _CSV_TEXT.sub(_masked, text) if b'"' in text else text


def _masked(match: re.Match[bytes]) -> bytes:
    return b"x" * len(match[0])


ROWS: dict[str, Rows] = {
    "json": Rows(_JSON_MARK, True, 1, _json),
    "xml": Rows(b"<result>", True),
    "csv": Rows(b"\r\n", False, -1, _csv),
    "tsv": Rows(b"\n", False, -1),
    "nt": Rows(b"\n", False),
    "ttl": Rows(b" .\n", False),
}
