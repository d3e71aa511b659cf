"""Cache of whole responses of the current snapshot. It is exact, since data change only with the snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from cachetools import LRUCache

from publisher.store.workers.truncation import Truncation

MOST = 4 << 20  # bytes of an answer that is kept
ROOM = 128 << 20  # bytes of all of them
NAMES = 20_000  # requests whose answer is known without reading them
_OVERHEAD = 1_000  # bytes that an entry takes beside its body


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer as it was sent: *suffix* names its format; *seconds* is what it cost once, *cut* where it ended early."""

    suffix: str
    etag: str
    body: bytes
    seconds: float = 0.0
    cut: Truncation | None = None


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
