"""Locks: what only one process may do at a time, over all machines that share a PostgreSQL ledger.

A lock is held by a session of its own (https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS): it ends with
the process, and where the way to the database is cut the server frees it when it no longer hears the client. Who holds one can
ask whether it still does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from harvesters.errors import FencedError

SILENCE = 12  # seconds after which either side takes the other for lost: long enough for a network that stumbles
_SPACE = 0x57515  # keeps our locks apart from those of others in the same database

_TRY = sa.text("SELECT pg_try_advisory_lock(:space, hashtext(:name))")
_WAIT = sa.text("SELECT pg_advisory_lock(:space, hashtext(:name))")
_FREE = sa.text("SELECT pg_advisory_unlock(:space, hashtext(:name))")
_HERE = sa.text("SELECT 1")
_HELD = sa.text("""
    SELECT name FROM unnest(CAST(:names AS text[])) AS name JOIN pg_locks
    ON locktype = 'advisory' AND classid = :space AND objid::bigint = (hashtext(name)::bigint & 4294967295) AND granted
    WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")

_LOST = "{name}: its lock in the ledger's database is lost ({cause}), so nothing more is written; another worker goes on with the run"

Fence = Callable[[], None]


def attentive(seconds: int = SILENCE) -> dict[str, Any]:
    """Give libpq's parameters by which client and server notice within so many *seconds* that the other is out of reach."""
    idle, every, count = max(1, seconds // 4), max(1, seconds // 4), 3
    server = (("idle", idle), ("interval", every), ("count", count))
    told = [*(f"-c tcp_keepalives_{name}={value}" for name, value in server), f"-c tcp_user_timeout={seconds * 1000}"]
    return {
        "keepalives": 1,
        "keepalives_idle": idle,
        "keepalives_interval": every,
        "keepalives_count": count,
        "tcp_user_timeout": seconds * 1000,
        "options": " ".join(told),
    }


@contextmanager
def held(engine: sa.Engine, name: str, *, wait: bool) -> Iterator[Fence | None]:
    """Hold the lock *name*; None where another holds it and *wait* is false.

    What is given raises FencedError when it is called after the lock was lost.
    """
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    given = {"space": _SPACE, "name": name}
    try:
        if wait:
            connection.execute(sa.text("SET lock_timeout = 0"))
            connection.execute(_WAIT, given)
        elif not connection.scalar(_TRY, given):
            yield None
            return
        try:
            yield lambda: _still(connection, name)
        finally:
            _free(connection, given)
    finally:
        connection.invalidate()  # a session that may hold a lock goes back to no pool
        connection.close()


def held_among(connection: sa.Connection, names: Collection[str]) -> set[str]:
    """Return those of *names* whose locks are held by anyone."""
    return set(connection.scalars(_HELD, {"space": _SPACE, "names": list(names)}))


def _still(connection: sa.Connection, name: str) -> None:
    if connection.invalidated:  # another connection would take its place, and that one holds no lock
        raise FencedError(_LOST.format(name=name, cause="its connection was closed before"))
    try:
        connection.execute(_HERE)
    except (sa.exc.DBAPIError, sa.exc.InvalidRequestError) as error:
        cause = " ".join(str(error.orig if isinstance(error, sa.exc.DBAPIError) else error).split())
        raise FencedError(_LOST.format(name=name, cause=cause)) from error


def _free(connection: sa.Connection, given: dict[str, object]) -> None:
    try:
        connection.execute(_FREE, given)
    except (sa.exc.DBAPIError, sa.exc.InvalidRequestError):
        return  # it is lost, and so free
