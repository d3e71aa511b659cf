"""Restore literals that Virtuoso changes: WKT points become its own geometries with 32-bit numbers,
booleans become 0 and 1.
"""

from __future__ import annotations

import re
import struct
from decimal import Decimal
from typing import Protocol

_GEOMETRY = b"http://www.openlinksw.com/schemas/virtrdf#Geometry"
_WKT = b"http://www.opengis.net/ont/geosparql#wktLiteral"
_BOOLEAN = b"http://www.w3.org/2001/XMLSchema#boolean"
_TRUTH = re.compile(rb'(#boolean", "value": ")([01])(")|(")([01])("\^\^<[^>]*#boolean>)')
_POINT = re.compile(rb"POINT\(([-+.\deE]+) ([-+.\deE]+)\)")


class _File(Protocol):
    def readline(self, limit: int = -1, /) -> bytes: ...


class RepairedLines:
    """A file that reads *response* line by line and restores its literals."""

    def __init__(self, response: _File) -> None:
        self._response, self._rest = response, b""

    def read(self, size: int = -1) -> bytes:
        """Return at most *size* bytes, b"" at the end."""
        while size < 0 or len(self._rest) < size:
            line = self._response.readline()
            if not line:
                break
            self._rest += repair_line(line)
        size = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def repair_line(line: bytes) -> bytes:
    """Return a line with its points and booleans restored.

    >>> repair_line(b'"POINT(37.989898681641 2.3283998966217)"^^<http://www.openlinksw.com/schemas/virtrdf#Geometry> .')
    b'"POINT(37.9899 2.3284)"^^<http://www.opengis.net/ont/geosparql#wktLiteral> .'
    >>> repair_line(b'<x:s> <x:p> "1"^^<http://www.w3.org/2001/XMLSchema#boolean> .')
    b'<x:s> <x:p> "true"^^<http://www.w3.org/2001/XMLSchema#boolean> .'
    """
    if _BOOLEAN in line:
        line = _TRUTH.sub(_true, line)
    # in N-Triples the datatype is unchanged, but the numbers are not
    if _GEOMETRY not in line and _WKT not in line:
        return line
    return _POINT.sub(
        lambda item: b"POINT(%s %s)" % (shortest_decimal(item[1]), shortest_decimal(item[2])),
        line.replace(_GEOMETRY, _WKT),
    )


def _true(match: re.Match[bytes]) -> bytes:
    before, number, after = (
        one or other or b""
        for one, other in zip(match.groups()[:3], match.groups()[3:], strict=True)
    )
    return before + (b"true" if number == b"1" else b"false") + after


def shortest_decimal(text: bytes) -> bytes:
    """Return the shortest plain decimal that is the same 32-bit number.

    >>> shortest_decimal(b"2.3283998966217"), shortest_decimal(b"80"), shortest_decimal(b"1e-05")
    (b'2.3284', b'80', b'0.00001')
    """
    binary = struct.pack("f", float(text))
    decimals = (f"{Decimal(f'{float(text):.{digits}g}'):f}" for digits in range(1, 10))
    return next(
        (decimal.encode() for decimal in decimals if struct.pack("f", float(decimal)) == binary),
        text,
    )
