"""Lock names for one process at a time, over all machines that share a PostgreSQL ledger.

Each lock has a session of its own
(https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS). It ends with the
process; if the connection is cut, the server frees it after a timeout. The holder can check whether
it still has the lock.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from harvesters.errors import LockLostError

# Either side regards a silent connection as lost after this time; short network failures end before.
TIMEOUT_SECONDS = 12
_MAX_NAME = 63  # bytes of a name in PostgreSQL
_SPACE = 0x57515  # separates our locks from those of others in the same database

_TRY = sa.text("SELECT pg_try_advisory_lock(:space, hashtext(:name))")
_WAIT = sa.text("SELECT pg_advisory_lock(:space, hashtext(:name))")
_UNLOCK = sa.text("SELECT pg_advisory_unlock(:space, hashtext(:name))")
_PING = sa.text("SELECT 1")
LOCKED = sa.text("""
    SELECT name FROM unnest(CAST(:names AS text[])) AS name JOIN pg_locks
    ON locktype = 'advisory' AND classid = :space AND objid::bigint = (hashtext(name)::bigint & 4294967295) AND granted
    WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
""").bindparams(space=_SPACE)

# It waits until no other process changes the tables; the lock ends with the transaction.
LOCK_LAYOUT = sa.text(
    "SELECT pg_advisory_xact_lock(:space, hashtext('layout of the ledger'))"
).bindparams(space=_SPACE)
_WORKER = "stocktake worker "
# It ends all connections of the worker that has locked a name, if that sent nothing over any of them
# for some seconds. A worker that runs asks for jobs at each heartbeat, whatever its runs do.
END_FROZEN = sa.text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name IN (
        SELECT application_name FROM pg_stat_activity
        WHERE datname = current_database() AND starts_with(application_name, :prefix)
        GROUP BY application_name
        HAVING max(state_change) < clock_timestamp() - make_interval(secs => :silence) AND bool_or(pid IN (
            SELECT pid FROM pg_locks
            WHERE locktype = 'advisory' AND classid = :space AND objid::bigint = (hashtext(:name)::bigint & 4294967295) AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))))
""").bindparams(space=_SPACE, prefix=_WORKER)

_LOST_MESSAGE = (
    "{name}: its lock in the ledger's database is lost ({cause}), so nothing more is written; "
    "another worker continues the run"
)

Fence = Callable[[], None]


def keepalive_params() -> dict[str, Any]:
    """Return libpq's parameters by which client and server detect a lost connection within
    TIMEOUT_SECONDS.
    """
    times = {"idle": TIMEOUT_SECONDS // 4, "interval": TIMEOUT_SECONDS // 4, "count": 3}
    options = [f"-c tcp_keepalives_{name}={value}" for name, value in times.items()]
    timeout = TIMEOUT_SECONDS * 1000
    return {
        "keepalives": 1,
        **{f"keepalives_{name}": value for name, value in times.items()},
        "tcp_user_timeout": timeout,
        "options": " ".join([*options, f"-c tcp_user_timeout={timeout}"]),
    }


@contextmanager
def advisory_lock(engine: sa.Engine, name: str, *, wait: bool) -> Iterator[Fence | None]:
    """Hold the lock *name*; yield None if another process holds it and *wait* is false.

    The yielded function raises LockLostError if the lock was lost.
    """
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    parameters = {"space": _SPACE, "name": name}
    try:
        if wait:
            connection.execute(sa.text("SET lock_timeout = 0"))
            connection.execute(_WAIT, parameters)
        elif not connection.scalar(_TRY, parameters):
            yield None
            return
        try:
            yield lambda: _check_held(connection, name)
        finally:
            _release(connection, parameters)
    finally:
        connection.invalidate()  # A session that may hold a lock must not return to the pool.
        connection.close()


def name_worker() -> None:
    """Name the connections that this process opens from now on, so that others can end them."""
    os.environ["PGAPPNAME"] = f"{_WORKER}{os.getpid()}@{socket.gethostname()}"[:_MAX_NAME]


def _check_held(connection: sa.Connection, name: str) -> None:
    if connection.invalidated:  # SQLAlchemy would reconnect, and the new session has no lock.
        raise LockLostError(
            _LOST_MESSAGE.format(name=name, cause="its connection was closed before")
        )
    try:
        connection.execute(_PING)
    except (sa.exc.DBAPIError, sa.exc.InvalidRequestError) as error:
        cause = " ".join(str(error.orig if isinstance(error, sa.exc.DBAPIError) else error).split())
        raise LockLostError(_LOST_MESSAGE.format(name=name, cause=cause)) from error


def _release(connection: sa.Connection, parameters: dict[str, object]) -> None:
    try:
        connection.execute(_UNLOCK, parameters)
    except (sa.exc.DBAPIError, sa.exc.InvalidRequestError):
        return  # The lock is lost with its session.
