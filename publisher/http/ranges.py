"""Ranges: which part of an answer is asked for (https://www.rfc-editor.org/rfc/rfc9110 section 14)."""

from __future__ import annotations

import re

_ONE = re.compile(r"\s*+bytes\s*+=\s*+(\d{0,18})\s*+-\s*+(\d{0,18})\s*+\Z", re.IGNORECASE | re.ASCII)


class RangeNotSatisfiable(Exception):
    """No byte of the answer lies in the range (416)."""


def parse_range(asked: str | None, condition: str | None, etag: str, size: int) -> range | None:
    """Give the bytes that are asked for of *size*, None where that is all; raises Unsatisfiable.

    *asked* is the Range header, *condition* If-Range, which must name the strong *etag*. Several ranges at once are answered in
    full, as section 14.2 allows.

    >>> part("bytes=2-5", None, '"x"', 10), part("bytes=-3", None, '"x"', 10), part("bytes=4-", '"y"', '"x"', 10)
    (range(2, 6), range(7, 10), None)
    """
    match = _ONE.match(asked or "")
    if match is None or match[0].rstrip().endswith("=-") or (condition is not None and condition.strip() != etag):
        return None
    if not match[1] and not match[2]:
        return None
    first, last = (int(match[1]), int(match[2] or size)) if match[1] else (max(0, size - int(match[2])), size)
    if match[1] and match[2] and last < first:
        return None  # section 14.1.1: such a range is invalid, and so is ignored
    found = range(first, min(last + 1, size))
    if not found:
        raise RangeNotSatisfiable
    return found
