"""Parse the Range header (https://www.rfc-editor.org/rfc/rfc9110 section 14)."""

from __future__ import annotations

import re

_ONE = re.compile(r"\s*+bytes\s*+=\s*+(\d{0,18})\s*+-\s*+(\d{0,18})\s*+\Z", re.IGNORECASE | re.ASCII)


class RangeNotSatisfiable(Exception):
    """The range contains no byte of the response (416)."""


def parse_range(range_header: str | None, if_range: str | None, etag: str, size: int) -> range | None:
    """Return the requested bytes of *size*, None for all; raises RangeNotSatisfiable.

    *range_header* is Range, *if_range* If-Range, which must equal the strong *etag*. Several ranges are answered in
    full, as section 14.2 allows.

    >>> parse_range("bytes=2-5", None, '"x"', 10), parse_range("bytes=-3", None, '"x"', 10), parse_range("bytes=4-", '"y"', '"x"', 10)
    (range(2, 6), range(7, 10), None)
    """
    match = _ONE.match(range_header or "")
    if match is None or match[0].rstrip().endswith("=-") or (if_range is not None and if_range.strip() != etag):
        return None
    if not match[1] and not match[2]:
        return None
    first, last = (int(match[1]), int(match[2] or size)) if match[1] else (max(0, size - int(match[2])), size)
    if match[1] and match[2] and last < first:
        return None  # section 14.1.1: an invalid range is ignored
    byte_range = range(first, min(last + 1, size))
    if not byte_range:
        raise RangeNotSatisfiable
    return byte_range
