"""The ledger's door: the database, opened once, and each trouble with it told as a LedgerError."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql, sqlite

from harvesters.errors import EncodingError, LedgerError
from harvesters.ledger.locks import SILENCE, Fence, attentive, held, held_among
from journal.outage import root_cause

_LAYOUT = threading.Lock()  # Alembic keeps what it works on in its modules: two threads must not lay out at once
_ROWS = 500  # rows read at once: under a megabyte of compressed descriptions


class Door:
    """Open the ledger at *url* (an SQLAlchemy URL) and bring it to this version's layout.

    *patience* is how many seconds a lock of another process is waited for. Raises LedgerError, here and in every method,
    where the database is locked, full or out of reach.
    """

    def __init__(self, url: str, patience: int = 60) -> None:
        try:
            self._engine = sa.create_engine(url, connect_args=_patient(url, patience))
        except (sa.exc.ArgumentError, ImportError) as error:
            raise LedgerError(f"ledger {url!r}: no database address that can be used: {error}") from error
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _wal)
            sa.event.listen(self._engine, "checkin", _at_ease)
        self._insert: Any = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}.get(self._engine.dialect.name)
        if self._insert is None:
            raise LedgerError(f"ledger {url!r}: use sqlite or postgresql")
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        if self.shared:
            self._check_encoding()
        with _LAYOUT:
            self._lay_out(config)

    def _check_encoding(self) -> None:
        with self._begin() as connection:
            name, encoding = connection.execute(sa.text("SELECT current_database(), current_setting('server_encoding')")).one()
        if encoding != "UTF8":
            self.close()
            cure = f"create one with `CREATE DATABASE {name}_utf8 ENCODING 'UTF8' TEMPLATE template0` and name it in STOCKTAKE_LEDGER"
            raise EncodingError(f"ledger: the database {name!r} has the encoding {encoding}, which cannot hold every text; {cure}")

    def _lay_out(self, config: alembic.config.Config) -> None:
        """Bring the layout to this version's, all of it or nothing, while other processes wait."""
        newest = ScriptDirectory.from_config(config).get_current_head()
        with self._begin() as connection:
            if MigrationContext.configure(connection).get_current_revision() == newest:
                return
        with self._begin() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins no transaction for what changes the layout
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @property
    def shared(self) -> bool:
        """Tell whether processes on other machines may work with the same ledger."""
        return self._engine.dialect.name == "postgresql"

    @contextmanager
    def exclusive(self, name: str, *, wait: bool) -> Iterator[Fence | None]:
        """Hold a lock over all who share the ledger, which must be ``shared``; see ``locks.held``. Raises LedgerError."""
        try:
            with held(self._engine, name, wait=wait) as fence:
                yield fence
        except sa.exc.DBAPIError as error:
            raise LedgerError(f"ledger: {root_cause(error)}; the lock {name!r} could not be had, run again when it is mended") from error

    def held_among(self, names: Collection[str]) -> set[str]:
        """Return those of *names* whose locks are held by any process; see ``exclusive``."""
        with self._begin() as connection:
            return held_among(connection, names)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Give a connection in one transaction, to who keeps a table of its own in the ledger."""
        with self._begin() as connection:
            yield connection

    @contextmanager
    def _begin(self, *, lasting: bool = False) -> Iterator[sa.Connection]:
        """Begin a transaction; one that is *lasting* has reached the disk when it ends, and all before it have too."""
        try:
            with self._engine.begin() as connection:
                if lasting and self._engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("PRAGMA synchronous=FULL")
                yield connection
        except sa.exc.DBAPIError as error:
            raise LedgerError(f"ledger: {root_cause(error)}; nothing of this step was kept, run again when it is mended") from error

    def _stream(self, query: sa.Select[Any]) -> Iterator[Any]:
        with self._begin() as connection:
            yield from connection.execution_options(yield_per=_ROWS).execute(query)


def _patient(url: str, seconds: int) -> dict[str, Any]:
    """Say to a database's driver how long to wait for another's lock."""
    if url.startswith("sqlite"):
        return {"timeout": seconds}
    libpq = url.startswith(("postgresql:", "postgresql+psycopg"))
    if not libpq:
        return {}
    told = attentive()
    return {
        **told,
        "client_encoding": "utf8",
        "connect_timeout": min(seconds, SILENCE),
        "options": f"{told['options']} -c lock_timeout={seconds}s",
    }


def _at_ease(connection: Any, _: object) -> None:
    if connection is not None:
        connection.execute("PRAGMA synchronous=NORMAL")


def _wal(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA cache_size=-32768")  # KiB
    connection.execute("PRAGMA wal_autocheckpoint=20000")  # pages, 80 MB: each checkpoint waits for the disk
