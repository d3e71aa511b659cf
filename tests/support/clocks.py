"""Clocks that tests control."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class TickingClock:
    """A clock that advances by a second each time that it is read."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass
class ManualClock:
    """A clock that stands still until a test advances it: *timestamp* is its time, *elapsed* the
    seconds since its start.
    """

    timestamp: datetime = NOON
    elapsed: float = 0.0

    def now(self) -> datetime:
        return self.timestamp

    def seconds(self) -> float:
        return self.elapsed

    def advance(self, by: timedelta) -> None:
        self.timestamp += by
        self.elapsed += by.total_seconds()
