"""Frames between the server and a query worker: a letter, a length, then that many bytes."""

from __future__ import annotations

import struct
from enum import Enum
from typing import BinaryIO

_TOP = struct.Struct("!cI")
TOP = _TOP.size  # bytes before a payload
SIZE = 64 * 1024  # bytes of a data frame: large enough that the crossing costs little, small enough to stream


class Kind(Enum):
    """The kind of a frame."""

    OPEN = b"O"  # to the reader: open this snapshot
    ASK = b"A"  # to the reader: a question
    WRITE = b"W"  # to a sandbox worker: an update
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
    return pack_header(kind, len(payload)) + payload


def pack_header(kind: Kind, length: int) -> bytes:
    """Write what stands before a payload of *length* bytes."""
    return _TOP.pack(kind.value, length)


def read_header(begin: bytes) -> tuple[Kind, int]:
    """Read what stands before a payload: its kind and its length."""
    letter, length = _TOP.unpack(begin)
    return Kind(letter), length


def read(file: BinaryIO) -> tuple[Kind, bytes] | None:
    """Read a frame; None at the end of the file or within a torn frame."""
    begin = file.read(TOP)
    if len(begin) < TOP:
        return None
    kind, length = read_header(begin)
    payload = file.read(length)
    return (kind, payload) if len(payload) == length else None
