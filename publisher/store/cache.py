"""Cache complete query responses of the current snapshot, and evaluate identical concurrent queries
once.

Cached responses are always current, because the data change only with the snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from dataclasses import dataclass
from hashlib import blake2b

from cachetools import LRUCache

from publisher.errors import PublisherError
from publisher.store.workers.results import Truncation
from publisher.store.workers.worker import Answer

MAX_ENTRY_BYTES = 4 << 20  # larger responses are not cached
MAX_TOTAL_BYTES = 128 << 20
MAX_REQUESTS = 20_000  # requests whose cache key is remembered, so that they are not parsed again
_OVERHEAD = 1_000  # bytes of an entry besides its body


@dataclass(frozen=True, slots=True)
class Entry:
    """A response body: *suffix* names its format, *seconds* is its evaluation time, *truncation* is
    set if it ends early.

    *engine* names the engine that evaluated the query.
    """

    suffix: str
    etag: str
    body: bytes
    seconds: float = 0.0
    truncation: Truncation | None = None
    engine: str = ""


class Cache:
    """An LRU cache of responses by a digest of their query, and of query keys by a digest of the
    HTTP request.
    """

    def __init__(self, max_bytes: int = MAX_TOTAL_BYTES) -> None:
        self._version = ""
        self._entries: LRUCache[bytes, Entry] = LRUCache(
            max_bytes, lambda entry: len(entry.body) + _OVERHEAD
        )
        self._request_keys: LRUCache[bytes, bytes] = LRUCache(MAX_REQUESTS)

    def get(self, version: str, key: bytes) -> Entry | None:
        """Return the response of the query *key* in the snapshot *version*, None if it is not
        cached.
        """
        self._clear_if_changed(version)
        return self._entries.get(key)

    def put(self, version: str, key: bytes, entry: Entry) -> None:
        """Cache a response of the snapshot *version*, unless it is too large or of another
        snapshot.
        """
        if version == self._version and len(entry.body) <= min(
            MAX_ENTRY_BYTES, self._entries.maxsize - _OVERHEAD
        ):
            self._entries[key] = entry

    def get_by_request(self, version: str, request_key: bytes) -> Entry | None:
        """Return the cached response of a request that ``link_request`` registered, None if there
        is none.
        """
        key = self._request_keys.get(request_key) if version == self._version else None
        return self.get(version, key) if key else None

    def link_request(self, version: str, request_key: bytes, key: bytes) -> None:
        """Register that the request *request_key* is answered by the cached response of the query
        *key*.
        """
        if version == self._version and key in self._entries:
            self._request_keys[request_key] = key

    def _clear_if_changed(self, version: str) -> None:
        if version != self._version:
            self._entries.clear()
            self._request_keys.clear()
            self._version = version


def digest(*parts: bytes) -> bytes:
    """Return a 16-byte digest of *parts*; different lists of parts have different digests."""
    seed = blake2b(digest_size=16)
    for part in parts:
        seed.update(len(part).to_bytes(8, "big"))
        seed.update(part)
    return seed.digest()


class SharedResponse:
    """The response of one running query, shared by all requests for the same query.

    It is read as fast as the worker sends it, until it is complete or larger than MAX_ENTRY_BYTES.
    The request that started the query may stream it. Other requests wait until it is finished.
    Then ``entry`` is set if it is complete; if it is too large, only the first request continues.
    Each request must call ``close``.
    """

    def __init__(
        self,
        query: Coroutine[object, object, Answer],
        create_entry: Callable[[Answer, bytes], Entry],
    ) -> None:
        self.answer: Answer | None = None
        self.entry: Entry | None = None
        self._chunks: list[bytes] = []
        self._size, self._requests = 0, 1
        self._changed = asyncio.Event()
        self._remaining_chunks: AsyncIterator[bytes] | None = None
        self.task = asyncio.create_task(self._read(query, create_entry))
        self.task.add_done_callback(self._notify)

    def join(self) -> None:
        """Register another request that waits for the response."""
        self._requests += 1

    def close(self) -> None:
        """Unregister a request; the query is cancelled after the last one."""
        self._requests -= 1
        if self._requests == 0:
            self.task.cancel()
            if self.answer:
                self.answer.close()

    async def wait_for(self, size: int | None = None) -> None:
        """Wait until the response is finished or has *size* bytes. Raises the error that ended it."""
        while not self.task.done() and (size is None or self._size < size):
            await self._changed.wait()
        if self.task.done():
            self.task.result()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the response from its first byte as it arrives; only for the request that started
        the query.
        """
        position = 0
        while not self.task.done() or position < len(self._chunks):
            if position == len(self._chunks):
                await self._changed.wait()
                continue
            yield self._chunks[position]
            position += 1
        self.task.result()
        self._chunks.clear()
        if self.entry is None and self._remaining_chunks:
            async for chunk in self._remaining_chunks:
                yield chunk

    async def _read(
        self,
        query: Coroutine[object, object, Answer],
        create_entry: Callable[[Answer, bytes], Entry],
    ) -> None:
        self.answer = await query
        self._remaining_chunks = self.answer.marked_chunks()
        try:
            async for chunk in self._remaining_chunks:
                self._chunks.append(chunk)
                self._size += len(chunk)
                if self._size > MAX_ENTRY_BYTES:
                    return
                self._notify()
            self.entry = create_entry(self.answer, b"".join(self._chunks))
        except PublisherError:
            self.answer.close()
            raise

    def _notify(self, task: asyncio.Task[None] | None = None) -> None:
        if task and not task.cancelled():
            task.exception()  # it is raised for each request that waits, if one still does
        self._changed.set()
        self._changed = asyncio.Event()


class SharedResponses:
    """The running queries, by a key that identical requests share."""

    def __init__(self) -> None:
        self._running: dict[Hashable, SharedResponse] = {}

    def join(
        self, key: Hashable, start: Callable[[], SharedResponse]
    ) -> tuple[SharedResponse, bool]:
        """Return the shared response of *key*, and whether this request started it."""
        running = self._running.get(key)
        if running and not running.task.done():
            running.join()
            return running, False
        started = self._running[key] = start()
        started.task.add_done_callback(lambda _task: self._running.pop(key, None))
        return started, True
