"""Buffer between a query worker and a client, so that a slow client does not occupy a worker.

A little is kept in memory, more in a file without a name; when all files together hold the most, the reader has to wait.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from dataclasses import dataclass
from typing import IO

MEMORY = 1 << 20  # bytes of one answer that wait in memory: a client that reads never needs more


@dataclass(slots=True)
class DiskQuota:
    """Disk space for the buffers of all responses, in bytes."""

    limit: int = 2 << 30
    used: int = 0


class ResponseBuffer:
    """One producer puts, one consumer gets; close it in every case."""

    def __init__(self, room: DiskQuota) -> None:
        self._room = room
        self._chunks: deque[bytes] = deque()
        self._lengths: deque[int] = deque()  # of what waits in the file
        self._file: IO[bytes] | None = None
        self._memory = self._read = self._size = 0
        self._ended = False
        self._changed = asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        """Add *chunk*; wait while there is no room for it."""
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
        self._room.used -= self._size
        self._size = 0
        if self._file:
            self._file.close()

    def _fits(self, chunk: bytes) -> bool:
        inside = not self._lengths and self._memory + len(chunk) <= MEMORY
        return inside or self._room.used + len(chunk) <= self._room.limit or not (self._chunks or self._lengths)

    def _store(self, chunk: bytes) -> None:
        self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the spool
        self._file.seek(self._size)
        self._file.write(chunk)
        self._lengths.append(len(chunk))
        self._size += len(chunk)
        self._room.used += len(chunk)

    def _fetch(self) -> bytes:
        assert self._file
        self._file.seek(self._read)
        chunk = self._file.read(self._lengths.popleft())
        self._read += len(chunk)
        if not self._lengths:  # the client has caught up
            self._file.truncate(0)
            self._room.used -= self._size
            self._read = self._size = 0
        return chunk
