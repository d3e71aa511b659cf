"""Cache of whole responses of the current snapshot, and one evaluation for equal requests.

The cache is exact, since data change only with the snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from dataclasses import dataclass
from hashlib import blake2b

from cachetools import LRUCache

from publisher.errors import PublisherError
from publisher.store.workers.truncation import Truncation
from publisher.store.workers.worker import Answer

MOST = 4 << 20  # bytes of an answer that is kept
ROOM = 128 << 20  # bytes of all of them
NAMES = 20_000  # requests whose answer is known without reading them
_OVERHEAD = 1_000  # bytes that an entry takes beside its body


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer as it was sent: *suffix* names its format; *seconds* is what it cost once, *cut* where it ended early.

    *engine* names what answered.
    """

    suffix: str
    etag: str
    body: bytes
    seconds: float = 0.0
    cut: Truncation | None = None
    engine: str = ""


class Cache:
    """Answers by a digest of their question, the least recently used dropped first; and requests by a digest of their bytes."""

    def __init__(self, room: int = ROOM) -> None:
        self._version = ""
        self._entries: LRUCache[bytes, Entry] = LRUCache(room, lambda entry: len(entry.body) + _OVERHEAD)
        self._names: LRUCache[bytes, bytes] = LRUCache(NAMES)

    def get(self, version: str, key: bytes) -> Entry | None:
        """Return the answer to *key* in the snapshot *version*, None if it is not cached."""
        self._show(version)
        return self._entries.get(key)

    def put(self, version: str, key: bytes, entry: Entry) -> None:
        """Cache a response of the snapshot *version*, unless it is too large or of another snapshot."""
        if version == self._version and len(entry.body) <= min(MOST, self._entries.maxsize - _OVERHEAD):
            self._entries[key] = entry

    def known(self, version: str, name: bytes) -> Entry | None:
        """Return the answer to the request *name*, if one that was put in the same bytes was answered from here."""
        key = self._names.get(name) if version == self._version else None
        return self.get(version, key) if key else None

    def name(self, version: str, name: bytes, key: bytes) -> None:
        """Remember that the request *name* asks the question *key*."""
        if version == self._version and key in self._entries:
            self._names[name] = key

    def _show(self, version: str) -> None:
        if version != self._version:
            self._entries.clear()
            self._names.clear()
            self._version = version


def digest(*parts: bytes) -> bytes:
    """Return a short name for *parts*; no two lists of parts share one."""
    seed = blake2b(digest_size=16)
    for part in parts:
        seed.update(len(part).to_bytes(8, "big"))
        seed.update(part)
    return seed.digest()


Land = Callable[[Answer, bytes], Entry]


class SharedResponse:
    """An answer that is read as fast as it comes, whatever its readers do, until it is whole or too large to be kept.

    The request that began it may read it as it grows; the others wait until it is ``over``. Then it is whole (``entry``), failed
    (``error``), or neither: too large, and only the one that began it goes on. Each that boarded leaves, whatever happens.
    """

    def __init__(self, asking: Coroutine[object, object, Answer], land: Land) -> None:
        self.answer: Answer | None = None
        self.entry: Entry | None = None
        self.error: PublisherError | None = None
        self.over = False
        self.size = 0
        self._parts: list[bytes] = []
        self._riders = 1
        self._step = asyncio.Event()
        self._rest: AsyncIterator[bytes] | None = None
        self.task = asyncio.create_task(self._fly(asking, land))

    def join(self) -> None:
        """Join as another reader."""
        self._riders += 1

    def close(self) -> None:
        """Leave; after the last reader the query is stopped."""
        self._riders -= 1
        if self._riders == 0:
            self.task.cancel()
            if self.answer:
                self.answer.close()

    async def until(self, size: int | None = None) -> None:
        """Wait until it is over or has *size* bytes; raise the error that ended it."""
        while not self.over and (size is None or self.size < size):
            await self._step.wait()
        if self.error:
            raise self.error
        if self.over and self.task.done():
            self.task.result()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Return the answer from its first byte, as it comes; for the one that began it."""
        place = 0
        while not self.over or place < len(self._parts):
            if place == len(self._parts):
                await self._step.wait()
                continue
            yield self._parts[place]
            place += 1
        await self.until()
        self._parts.clear()
        if self.entry is None and self._rest:
            async for chunk in self._rest:
                yield chunk

    async def _fly(self, asking: Coroutine[object, object, Answer], land: Land) -> None:
        try:
            self.answer = await asking
            self._rest = self.answer.marked_chunks()
            async for chunk in self._rest:
                self._parts.append(chunk)
                self.size += len(chunk)
                if self.size > MOST:
                    return
                self._move()
            self.entry = land(self.answer, b"".join(self._parts))
        except PublisherError as error:
            self.error = error
            if self.answer:
                self.answer.close()
        finally:
            self.over = True
            self._move()

    def _move(self) -> None:
        self._step.set()
        self._step = asyncio.Event()


class SharedResponses:
    """The running evaluations by request key."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, SharedResponse] = {}

    def join(self, key: Hashable, start: Callable[[], SharedResponse]) -> tuple[SharedResponse, bool]:
        """Return the shared response of *key*, and whether this request started it."""
        flight = self._flying.get(key)
        if flight and not flight.over:
            flight.join()
            return flight, False
        begun = self._flying[key] = start()
        begun.task.add_done_callback(lambda _task: self._land(key, begun))
        return begun, True

    def _land(self, key: Hashable, flight: SharedResponse) -> None:
        if self._flying.get(key) is flight:
            del self._flying[key]
