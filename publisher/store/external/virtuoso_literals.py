"""Points: Virtuoso makes geometries of its own of GeoSPARQL's WKT, in numbers of 32 bits, and numbers of truth values; here they become
what was written.
"""

from __future__ import annotations

import re
import struct
from decimal import Decimal
from typing import Protocol

_OWN = b"http://www.openlinksw.com/schemas/virtrdf#Geometry"
_WKT = b"http://www.opengis.net/ont/geosparql#wktLiteral"
_BOOLEAN = b"http://www.w3.org/2001/XMLSchema#boolean"
_TRUTH = re.compile(rb'(#boolean", "value": ")([01])(")|(")([01])("\^\^<[^>]*#boolean>)')
_POINT = re.compile(rb"POINT\(([-+.\deE]+) ([-+.\deE]+)\)")


class _File(Protocol):
    def readline(self, limit: int = -1, /) -> bytes: ...


class RepairedLines:
    """Read *found*, whose rows or statements stand in lines, with its points as they were."""

    def __init__(self, response: _File) -> None:
        self._found, self._rest = response, b""

    def read(self, size: int = -1) -> bytes:
        """Return at most *size* bytes, nothing at the end."""
        while size < 0 or len(self._rest) < size:
            line = self._found.readline()
            if not line:
                break
            self._rest += repair_line(line)
        size = len(self._rest) if size < 0 else size
        given, self._rest = self._rest[:size], self._rest[size:]
        return given


def repair_line(line: bytes) -> bytes:
    """Write the points of a line as they were.

    >>> repair_line(b'"POINT(37.989898681641 2.3283998966217)"^^<http://www.openlinksw.com/schemas/virtrdf#Geometry> .')
    b'"POINT(37.9899 2.3284)"^^<http://www.opengis.net/ont/geosparql#wktLiteral> .'
    >>> repair_line(b'<x:s> <x:p> "1"^^<http://www.w3.org/2001/XMLSchema#boolean> .')
    b'<x:s> <x:p> "true"^^<http://www.w3.org/2001/XMLSchema#boolean> .'
    """
    if _BOOLEAN in line:
        line = _TRUTH.sub(_true, line)
    if _OWN not in line and _WKT not in line:  # where it writes N-Triples, the type is ours, and the numbers are not
        return line
    return _POINT.sub(lambda item: b"POINT(%s %s)" % (shortest_decimal(item[1]), shortest_decimal(item[2])), line.replace(_OWN, _WKT))


def _true(match: re.Match[bytes]) -> bytes:
    before, number, after = (one or other or b"" for one, other in zip(match.groups()[:3], match.groups()[3:], strict=True))
    return before + (b"true" if number == b"1" else b"false") + after


def shortest_decimal(text: bytes) -> bytes:
    """Return the shortest plain decimal that is the same number in 32 bits.

    >>> shortest_decimal(b"2.3283998966217"), shortest_decimal(b"80"), shortest_decimal(b"1e-05")
    (b'2.3284', b'80', b'0.00001')
    """
    wanted = struct.pack("f", float(text))
    decimals = (f"{Decimal(f'{float(text):.{digits}g}'):f}" for digits in range(1, 10))
    return next((decimal.encode() for decimal in decimals if struct.pack("f", float(decimal)) == wanted), text)
