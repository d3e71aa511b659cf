"""A running query: its client, time limit, timers, and the callback at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class QueryDeadline:
    """*limit* is the seconds it may take, *now* the clock, *at_end* is called with whether the answer was read to its end.

    *aside*: it went on for so long that its place was given to another.
    """

    client: str
    limit: float
    now: Callable[[], float]
    at_end: Callable[[QueryDeadline, bool], None]
    timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    aside: bool = False
    began: float = 0.0
    ended: float | None = None

    def __post_init__(self) -> None:
        self.began = self.now()

    @property
    def seconds(self) -> float:
        """Return the seconds since it began."""
        return (self.now() if self.ended is None else self.ended) - self.began

    def close(self, whole: bool) -> None:
        """End the query and cancel its timers."""
        self.ended = self.now()
        for timer in self.timers.values():
            timer.cancel()
        self.at_end(self, whole)
