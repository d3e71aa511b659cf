"""Send the gzip file of a journal entry, which has two members, as one: many clients decode only
the first member.

The first member has only the line with the entry's id. Nothing is compressed again: that line
becomes a stored block in front of the second member's blocks.

Sources: https://www.rfc-editor.org/rfc/rfc1952 and https://www.rfc-editor.org/rfc/rfc1951 section
3.2.4.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isal import isal_zlib

# deflate, without name and time, unknown system
_HEAD = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])
_TAIL = 8  # bytes: CRC-32 and length
_FIRST = 4096  # bytes at the start of the file that contain the first member
_BLOCK = 1 << 18  # bytes read at once


@dataclass(frozen=True, slots=True)
class Member:
    """A gzip member: *front*, then the bytes *body* of the file at *path*, then *back*."""

    path: Path
    front: bytes
    body: range
    back: bytes

    def __len__(self) -> int:
        return len(self.front) + len(self.body) + len(self.back)

    def read(self, byte_range: range) -> Iterator[bytes]:
        """Yield the bytes of the member in *byte_range*."""
        yield self.front[byte_range.start : byte_range.stop]
        start, stop = (
            max(0, min(offset - len(self.front), len(self.body)))
            for offset in (byte_range.start, byte_range.stop)
        )
        with self.path.open("rb") as file:
            file.seek(self.body.start + start)
            remaining = stop - start
            while remaining and (block := file.read(min(_BLOCK, remaining))):
                remaining -= len(block)
                yield block
        back_start = len(self.front) + len(self.body)
        yield self.back[
            max(0, byte_range.start - back_start) : max(0, byte_range.stop - back_start)
        ]


def as_single_member(path: Path, size: int) -> Member:
    """Return the two members of the file at *path* as one; uncompressed, the file has *size* bytes."""
    with path.open("rb") as file:
        beginning = file.read(_FIRST)
        file.seek(-_TAIL, 2)
        trailer, end = file.read(_TAIL), file.tell() - _TAIL
    first = zlib.decompressobj(31)
    line = first.decompress(beginning)
    start = len(beginning) - len(first.unused_data)
    crc = isal_zlib.crc32_combine(
        zlib.crc32(line), int.from_bytes(trailer[:4], "little"), size - len(line)
    )
    stored = (
        b"\0" + len(line).to_bytes(2, "little") + (len(line) ^ 0xFFFF).to_bytes(2, "little") + line
    )
    back = crc.to_bytes(4, "little") + (size % (1 << 32)).to_bytes(4, "little")
    return Member(path, _HEAD + stored, range(start + len(_HEAD), end), back)
