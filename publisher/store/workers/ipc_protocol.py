"""Read and write the frames between the server and a query worker: a letter, a 4-byte length, then
the payload.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import BinaryIO

_HEADER = struct.Struct("!cI")
HEADER_SIZE = _HEADER.size  # bytes
# bytes of a data frame: large enough for little overhead, small enough to stream
FRAME_SIZE = 64 * 1024


class Kind(Enum):
    """The kind of a frame."""

    OPEN = b"O"  # to the worker: open this snapshot
    ASK = b"A"  # to the worker: a query
    HEAD = b"H"  # the response begins; payload: its format and engine
    DATA = b"D"
    TRUNCATED = b"C"  # the response is truncated; payload: at which limit; END follows
    END = b"E"  # the response is complete; payload: the number of rows, if known
    FAULT = b"F"  # the response failed; payload: the error


def pack(kind: Kind, payload: bytes = b"") -> bytes:
    """Return a frame as bytes.

    >>> pack(Kind.END)
    b'E\\x00\\x00\\x00\\x00'
    """
    return pack_header(kind, len(payload)) + payload


def pack_header(kind: Kind, length: int) -> bytes:
    """Return the header of a frame with a payload of *length* bytes."""
    return _HEADER.pack(kind.value, length)


def read_header(header: bytes) -> tuple[Kind, int]:
    """Return the kind and the payload length in a header."""
    letter, length = _HEADER.unpack(header)
    return Kind(letter), length


def read(file: BinaryIO) -> tuple[Kind, bytes] | None:
    """Read a frame; None at the end of the file or if the frame is incomplete."""
    header = file.read(HEADER_SIZE)
    if len(header) < HEADER_SIZE:
        return None
    kind, length = read_header(header)
    payload = file.read(length)
    return (kind, payload) if len(payload) == length else None
