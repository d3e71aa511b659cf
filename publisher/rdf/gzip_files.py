"""Write gzip files in a thread of their own, and read them.

The same content gives the same bytes on machines of one kind: isal packs differently on processors
with other vector instructions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from isal import igzip, igzip_threaded

_LEVEL = 3  # the best that isal has: a tenth larger than zlib's 6, in an eighth of the time
_BLOCK = 1 << 18  # bytes that are compressed at once


@contextmanager
def gzip_writer(path: Path) -> Iterator[BinaryIO]:
    with igzip_threaded.open(
        path, "wb", compresslevel=_LEVEL, threads=1, block_size=_BLOCK
    ) as file:
        yield file


def gzip_lines(path: Path) -> Iterator[bytes]:
    """Return the lines of a gzip file with their ends."""
    with igzip.open(path, "rb") as file:
        yield from file
