"""Member: an entry's gzip file as one gzip member. Many clients decode only the first of several, and the file has two:
the id stands in a member of its own. Nothing is packed again: the first becomes a stored block before the second's blocks.

Sources: https://www.rfc-editor.org/rfc/rfc1952 and https://www.rfc-editor.org/rfc/rfc1951 section 3.2.4.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEAD = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])  # deflate, no name, no time, of no system
_TAIL = 8  # bytes: CRC-32 and length
_FIRST = 4096  # bytes of the file in which the first member lies
_BLOCK = 1 << 18  # bytes read at once
_POLYNOMIAL = 0xEDB88320


@dataclass(frozen=True, slots=True)
class Member:
    """One member: *front*, then the bytes *body* of the file at *path*, then *back*."""

    path: Path
    front: bytes
    body: range
    back: bytes

    def __len__(self) -> int:
        return len(self.front) + len(self.body) + len(self.back)

    def part(self, wanted: range) -> Iterator[bytes]:
        """Give the bytes *wanted* of the member."""
        yield self.front[wanted.start : wanted.stop]
        start, stop = (max(0, min(at - len(self.front), len(self.body))) for at in (wanted.start, wanted.stop))
        with self.path.open("rb") as file:
            file.seek(self.body.start + start)
            left = stop - start
            while left and (block := file.read(min(_BLOCK, left))):
                left -= len(block)
                yield block
        before = len(self.front) + len(self.body)
        yield self.back[max(0, wanted.start - before) : max(0, wanted.stop - before)]


def as_single_member(path: Path, size: int) -> Member:
    """Join the two members of an entry's file, whose plain text has *size* bytes."""
    with path.open("rb") as file:
        begin = file.read(_FIRST)
        file.seek(-_TAIL, 2)
        trailer, end = file.read(_TAIL), file.tell() - _TAIL
    first = zlib.decompressobj(31)
    line = first.decompress(begin)
    start = len(begin) - len(first.unused_data)
    crc = combine_crc32(zlib.crc32(line), int.from_bytes(trailer[:4], "little"), size - len(line))
    stored = b"\0" + len(line).to_bytes(2, "little") + (len(line) ^ 0xFFFF).to_bytes(2, "little") + line
    back = crc.to_bytes(4, "little") + (size % (1 << 32)).to_bytes(4, "little")
    return Member(path, _HEAD + stored, range(start + len(_HEAD), end), back)


def combine_crc32(first: int, second: int, length: int) -> int:
    """Give the CRC-32 of two texts, one behind the other, from their own; *length* is the second's in bytes.

    A byte of nought behind a text is a linear map of its CRC; its power *length* is found by squaring (as zlib's crc32_combine does).

    >>> combine_crc32(zlib.crc32(b"left"), zlib.crc32(b"right"), 5) == zlib.crc32(b"leftright")
    True
    """
    power = [_POLYNOMIAL, *(1 << bit for bit in range(31))]  # of one bit
    for _ in range(3):
        power = [_times(power, column) for column in power]
    while length:
        if length & 1:
            first = _times(power, first)
        power, length = [_times(power, column) for column in power], length >> 1
    return first ^ second


def _times(matrix: list[int], vector: int) -> int:
    total = 0
    for column in matrix:
        if vector & 1:
            total ^= column
        vector >>= 1
    return total
