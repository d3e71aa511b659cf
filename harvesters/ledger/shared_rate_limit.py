"""Space out requests to a host over all workers that share the ledger, by the database's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from harvesters.ledger.database import Database

# It is one statement, so that the lock of the row gives each worker another time.
_ACQUIRE = sa.text("""
    INSERT INTO rate_limit AS r (host, requested, pause, blocked_until)
    VALUES (:host, clock_timestamp(), :pause, clock_timestamp())
    ON CONFLICT (host) DO UPDATE SET
        requested = GREATEST(
            clock_timestamp(), r.blocked_until, r.requested + make_interval(secs => GREATEST(:pause, r.pause))
        ),
        pause = :pause
    RETURNING EXTRACT(EPOCH FROM requested - clock_timestamp())
""")
_BLOCK = sa.text("""
    INSERT INTO rate_limit AS r (host, requested, pause, blocked_until)
    VALUES (:host, clock_timestamp(), 0, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (host) DO UPDATE SET blocked_until = GREATEST(r.blocked_until, EXCLUDED.blocked_until)
""")


@dataclass(frozen=True, slots=True)
class SharedRateLimiter:
    """A rate limiter for all processes that share *ledger*, a PostgreSQL one; *sleep* takes
    seconds.
    """

    ledger: Database
    sleep: Callable[[float], None] = time.sleep

    def acquire(self, host: str, pause: float) -> None:
        """Wait until *host* may be requested: *pause* seconds after the last request, or longer if
        that one asked for more.
        """
        with self.ledger.transaction() as connection:
            wait = float(connection.scalar(_ACQUIRE, {"host": host, "pause": pause}) or 0)
        if wait > 0:
            self.sleep(wait)

    def block_host(self, host: str, seconds: float) -> None:
        """Send no request to *host* for *seconds*, as its Retry-After says."""
        with self.ledger.transaction() as connection:
            connection.execute(_BLOCK, {"host": host, "seconds": seconds})
