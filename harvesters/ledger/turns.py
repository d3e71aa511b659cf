"""Turns: the pause between two requests to a host, kept over all workers that share the ledger, by the database's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from harvesters.ledger.door import Door

# In one statement, so that two workers never get the same turn: the row's lock puts them in order.
_TURN = sa.text("""
    INSERT INTO turn (host, due, pause, held) VALUES (:host, clock_timestamp(), :pause, clock_timestamp())
    ON CONFLICT (host) DO UPDATE SET
        due = GREATEST(clock_timestamp(), turn.held, turn.due + make_interval(secs => GREATEST(:pause, turn.pause))),
        pause = :pause
    RETURNING EXTRACT(EPOCH FROM due - clock_timestamp())
""")
_HOLD = sa.text("""
    INSERT INTO turn (host, due, pause, held)
    VALUES (:host, clock_timestamp(), 0, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (host) DO UPDATE SET held = GREATEST(turn.held, EXCLUDED.held)
""")


@dataclass(frozen=True, slots=True)
class SharedPace:
    """When each host may be asked next, for all who share *ledger*, a PostgreSQL one; *sleep* takes seconds."""

    ledger: Door
    sleep: Callable[[float], None] = time.sleep

    def turn(self, host: str, pause: float) -> None:
        """Wait for the turn to ask *host*: *pause* seconds after the request before, or longer where that one asked for more."""
        with self.ledger.transaction() as connection:
            wait = float(connection.scalar(_TURN, {"host": host, "pause": pause}) or 0)
        if wait > 0:
            self.sleep(wait)

    def hold(self, host: str, seconds: float) -> None:
        """Let nobody ask *host* before so many *seconds* have passed, as its Retry-After says."""
        with self.ledger.transaction() as connection:
            connection.execute(_HOLD, {"host": host, "seconds": seconds})
