"""Buffer between a query worker and a client, so that a slow client does not occupy a worker.

Up to MEMORY bytes are buffered in memory, the rest in a temporary file. When the disk quota of all
files is used, the worker waits.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from dataclasses import dataclass
from typing import IO

# bytes of one response that are buffered in memory; enough for a client that reads steadily
MEMORY = 1 << 20


@dataclass(slots=True)
class DiskQuota:
    """The disk space for the buffers of all responses, in bytes."""

    limit: int = 2 << 30
    used: int = 0


class ResponseBuffer:
    """A queue of bytes with one producer and one consumer. It must be closed."""

    def __init__(self, quota: DiskQuota) -> None:
        self._quota = quota
        self._chunks: deque[bytes] = deque()
        self._lengths: deque[int] = deque()  # of the chunks in the file
        self._file: IO[bytes] | None = None
        self._memory = self._read = self._size = 0
        self._ended = False
        self._changed = asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        """Add *chunk*; wait while there is no space for it."""
        while not self._fits(chunk):
            self._changed.clear()
            await self._changed.wait()
        if self._lengths or self._memory + len(chunk) > MEMORY:
            self._store(chunk)
        else:
            self._chunks.append(chunk)
            self._memory += len(chunk)
        self._changed.set()

    def end(self) -> None:
        """Mark the end of the response."""
        self._ended = True
        self._changed.set()

    async def get(self) -> bytes | None:
        """Return the next chunk, None at the end."""
        while not self._chunks and not self._lengths:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        self._changed.set()
        if self._chunks:
            chunk = self._chunks.popleft()
            self._memory -= len(chunk)
            return chunk
        return self._fetch()

    def close(self) -> None:
        """Delete the file."""
        self._quota.used -= self._size
        self._size = 0
        if self._file:
            self._file.close()

    def _fits(self, chunk: bytes) -> bool:
        inside = not self._lengths and self._memory + len(chunk) <= MEMORY
        return (
            inside
            or self._quota.used + len(chunk) <= self._quota.limit
            or not (self._chunks or self._lengths)
        )

    def _store(self, chunk: bytes) -> None:
        self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._file.seek(self._size)
        self._file.write(chunk)
        self._lengths.append(len(chunk))
        self._size += len(chunk)
        self._quota.used += len(chunk)

    def _fetch(self) -> bytes:
        assert self._file
        self._file.seek(self._read)
        chunk = self._file.read(self._lengths.popleft())
        self._read += len(chunk)
        if not self._lengths:  # the client has caught up
            self._file.truncate(0)
            self._quota.used -= self._size
            self._read = self._size = 0
        return chunk
