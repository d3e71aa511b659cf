"""Queue of queries before the workers; the client with the fewest running queries goes first."""

from __future__ import annotations

import asyncio
from collections import Counter

from publisher.errors import StoreBusy, TooManyQueries
from publisher.limits import Limits


class AdmissionQueue:
    """*size* places to work, and a short line before them; a client of "" is ourselves and has no limit of its own."""

    def __init__(self, size: int, limits: Limits) -> None:
        self.free = size
        self._size, self._limits = size, limits
        self._at_work: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @property
    def waiting(self) -> int:
        """Count the waiting queries."""
        return len(self._waiting)

    async def enter(self, client: str) -> None:
        """Wait for a worker; raise StoreBusy if the queue is full or too slow, TooManyQueries if this client has too many waiting."""
        if self.free and self._may(client):
            return self._take(client)
        self._refuse(client)
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (client, mine)
        self._waiting.append(place)
        try:
            async with asyncio.timeout(self._limits.wait):
                await mine
        except (TimeoutError, asyncio.CancelledError) as error:
            if mine.done() and not mine.cancelled():
                self.leave(client)  # the place came in the same moment
            else:
                self._waiting.remove(place)
            if isinstance(error, TimeoutError):
                raise StoreBusy(
                    f"all {self._size} readers were at work for {self._limits.wait:g} seconds; ask again in a moment"
                ) from error
            raise

    def leave(self, client: str) -> None:
        """Leave the worker to the next query."""
        self.ended(client)
        self.release_temporarily()

    def release_temporarily(self) -> None:
        """Let another have the place while this client's question goes on beside the others."""
        self.free += 1
        self._call()

    def ended(self, client: str) -> None:
        """Note that a question of *client* has ended, wherever it was at work."""
        self._at_work[client] -= 1
        if not self._at_work[client]:
            del self._at_work[client]
        self._call()

    def _may(self, client: str) -> bool:
        return not client or not self._limits.each or self._at_work[client] < self._limits.each

    def _take(self, client: str) -> None:
        self.free -= 1
        self._at_work[client] += 1

    def _refuse(self, client: str) -> None:
        own = sum(known == client for known, _ in self._waiting)
        if client and self._limits.share and own >= self._limits.share:
            raise TooManyQueries(f"{own} queries of this address wait already; ask fewer at once")
        if len(self._waiting) >= self._limits.queue:
            raise StoreBusy(f"all {self._size} readers are at work and {len(self._waiting)} queries wait; ask again in a moment")

    def _call(self) -> None:
        """Return the free workers to waiting queries."""
        while self.free:
            able = [place for place in self._waiting if self._may(place[0]) and not place[1].done()]
            if not able:
                return
            first = min(able, key=lambda place: self._at_work[place[0]])
            self._waiting.remove(first)
            self._take(first[0])
            first[1].set_result(None)
