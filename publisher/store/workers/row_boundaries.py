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
    """The rows of a format: *mark* stands between or around them; *before* tells that a row begins with it, else one ends with it.

    *more* is how many rows there are beyond the marks: 1 where the first row has no mark before it, -1 where a head has one. *clear* gives
    a text of the same length, which begins at a row's border, without what looks like a mark and is none.
    """

    mark: bytes
    before: bool
    more: int = 0
    clear: Callable[[bytes], bytes] = bytes

    def border(self, clear: bytes) -> int:
        """Return the place of the last border between two rows, 0 where there is none."""
        place = clear.rfind(self.mark)
        return max(0, place) if self.before else place + len(self.mark) if place >= 0 else 0

    def boundary_at(self, clear: bytes, number: int) -> int:
        """Return the place of the border at mark *number*, counted from 1; 0 is the text's begin."""
        if not number:
            return 0
        place = -1
        for _ in range(number):
            place = clear.index(self.mark, place + 1)
        return place if self.before else place + len(self.mark)


def _json(text: bytes) -> bytes:
    """Mark the rows. Only where one may be empty need texts be passed over; else nothing is copied."""
    if b",{}" not in text:
        return text
    return _JSON_ROW.sub(_JSON_MARK, _JSON_TEXT.sub(_hidden, text))


def _csv(text: bytes) -> bytes:
    return _CSV_TEXT.sub(_hidden, text) if b'"' in text else text


def _hidden(match: re.Match[bytes]) -> bytes:
    return b"x" * len(match[0])


ROWS: dict[str, Rows] = {
    "json": Rows(_JSON_MARK, True, 1, _json),
    "xml": Rows(b"<result>", True),
    "csv": Rows(b"\r\n", False, -1, _csv),
    "tsv": Rows(b"\n", False, -1),
    "nt": Rows(b"\n", False),
    "ttl": Rows(b" .\n", False),
}
