"""Frames: how server and reader talk over one socket: a letter, a length, then so many bytes."""

from __future__ import annotations

import asyncio
import struct
from enum import Enum
from typing import BinaryIO

_TOP = struct.Struct("!cI")
SIZE = 64 * 1024  # bytes of a data frame: large enough that the crossing costs little, small enough to stream


class Kind(Enum):
    """What a frame is."""

    OPEN = b"O"  # to the reader: open this generation
    ASK = b"A"  # to the reader: a question
    WRITE = b"W"  # to a scribe: an update
    HEAD = b"H"  # the answer's format begins
    DATA = b"D"
    CUT = b"C"  # the answer ends early, at the limit that the payload tells; END follows
    END = b"E"  # with the number of rows, where it is known
    FAULT = b"F"  # the answer ends here for a reason


def pack(kind: Kind, payload: bytes = b"") -> bytes:
    """Write a frame.

    >>> pack(Kind.END)
    b'E\\x00\\x00\\x00\\x00'
    """
    return _TOP.pack(kind.value, len(payload)) + payload


def read(file: BinaryIO) -> tuple[Kind, bytes] | None:
    """Read a frame; None at the end of the file or within a torn frame."""
    top = file.read(_TOP.size)
    if len(top) < _TOP.size:
        return None
    letter, length = _TOP.unpack(top)
    payload = file.read(length)
    return (Kind(letter), payload) if len(payload) == length else None


async def receive(stream: asyncio.StreamReader) -> tuple[Kind, bytes]:
    """Read a frame; raise asyncio.IncompleteReadError where the other side is gone."""
    letter, length = _TOP.unpack(await stream.readexactly(_TOP.size))
    return Kind(letter), await stream.readexactly(length) if length else b""
