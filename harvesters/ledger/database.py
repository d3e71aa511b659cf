"""Open the ledger's database, and raise its failures as LedgerError."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from harvesters.errors import EncodingError, LedgerError, SchemaVersionError
from harvesters.ledger.locks import (
    END_FROZEN,
    LOCK_LAYOUT,
    LOCKED,
    TIMEOUT_SECONDS,
    Fence,
    advisory_lock,
    keepalive_params,
)
from harvesters.ledger.migrations import (
    NEWEST,
    Migration,
    migrations_after,
    read_revision,
    write_revision,
)
from harvesters.ledger.tables import TABLES, insertable, metadata
from journal.outage import Outage, root_cause

Item = TypeVar("Item")
Condition = sa.ColumnElement[bool]
_RETRY_SECONDS = 5.0  # seconds between two attempts to reach a database that does not answer
_FETCH_ROWS = 500  # rows: less than a megabyte of compressed descriptions


def pending_migrations(url: str) -> list[Migration]:
    """Return the migrations that the ledger at *url* lacks, the oldest first; none if there is no
    ledger yet.

    Raises SchemaVersionError if a newer version has migrated it, LedgerError if it cannot be read.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return []
    engine = sa.create_engine(
        url, connect_args=_connect_args(url, TIMEOUT_SECONDS), poolclass=sa.NullPool
    )
    try:
        with engine.connect() as connection:
            current = read_revision(connection)
    except sa.exc.DBAPIError as error:
        raise LedgerError(f"ledger: {root_cause(error)}; nothing was changed") from error
    return migrations_after(current) if current else []


class _Joined(threading.local):
    connection: sa.Connection | None = None


class Database:
    """The ledger at *url* (an SQLAlchemy URL); opening it creates its tables if there are none.

    *lock_timeout* is the number of seconds to wait for another process's lock. Every method raises
    LedgerError if the database is locked, full or not reachable. Opening raises SchemaVersionError
    if another version wrote the tables. With *on_migration*, which is called before each migration,
    those of an older version are migrated.
    """

    def __init__(
        self,
        url: str,
        lock_timeout: int = 60,
        *,
        on_migration: Callable[[Migration], None] | None = None,
    ) -> None:
        self.url = url
        try:
            self._engine = sa.create_engine(url, connect_args=_connect_args(url, lock_timeout))
        except (sa.exc.ArgumentError, ImportError) as error:
            raise LedgerError(f"ledger {url!r}: invalid database URL: {error}") from error
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _enable_wal)
            sa.event.listen(self._engine, "checkin", _relax_sync)
        if self._engine.dialect.name not in ("sqlite", "postgresql"):
            raise LedgerError(f"ledger {url!r}: use sqlite or postgresql")
        self.insert: Any = import_module(f"sqlalchemy.dialects.{self._engine.dialect.name}").insert
        self._joined = _Joined()
        if self.is_shared:
            self._check_encoding()
        try:
            self._migrate(on_migration)
        except SchemaVersionError:
            self.close()
            raise

    def _check_encoding(self) -> None:
        with self.transaction() as connection:
            name, encoding = connection.execute(
                sa.text("SELECT current_database(), current_setting('server_encoding')")
            ).one()
        if encoding != "UTF8":
            self.close()
            raise EncodingError(
                f"ledger: the database {name!r} has the encoding {encoding}, which cannot hold every text; "
                f"create one with `CREATE DATABASE {name}_utf8 ENCODING 'UTF8' TEMPLATE template0` and name it in STOCKTAKE_LEDGER"
            )

    def _migrate(self, on_migration: Callable[[Migration], None] | None) -> None:
        """Create the tables, or migrate those of an older version, each migration in a transaction
        of its own.
        """
        with self.transaction() as connection:
            current = read_revision(connection)
        if current is None:
            with self._changing_tables() as connection:
                if read_revision(connection) is None:  # Another process may have created them.
                    metadata.create_all(connection)
                    write_revision(connection, NEWEST)
            return
        pending = migrations_after(current)
        if pending and on_migration is None:
            raise SchemaVersionError(
                f"ledger: its tables are of an older version of Stocktake (revision {current}); back up, stop all other "
                "processes, then run `stocktake upgrade`"
            )
        for migration in pending:
            assert on_migration is not None
            on_migration(migration)
            with self._changing_tables() as connection:
                if migration in migrations_after(read_revision(connection) or current):
                    migration.apply(connection)
                    write_revision(connection, migration.revision)

    @contextmanager
    def _changing_tables(self) -> Iterator[sa.Connection]:
        """Begin a transaction in which no other process changes the tables."""
        with self.transaction() as connection:
            if self.is_shared:
                connection.execute(LOCK_LAYOUT)
            else:
                # The driver begins no transaction for schema changes.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    @property
    def is_shared(self) -> bool:
        """Return whether processes on other machines may use the same ledger."""
        return self._engine.dialect.name == "postgresql"

    @contextmanager
    def advisory_lock(self, name: str, *, wait: bool) -> Iterator[Fence | None]:
        """Lock *name* for all processes that share the ledger, which must be ``is_shared``; see
        ``locks``. Raises LedgerError.
        """
        try:
            with advisory_lock(self._engine, name, wait=wait) as fence:
                yield fence
        except sa.exc.DBAPIError as error:
            raise LedgerError(
                f"ledger: {root_cause(error)}; the lock {name!r} was not acquired; run again when this is fixed"
            ) from error

    def locked_names(self, names: Collection[str]) -> set[str]:
        """Return those of *names* that any process has locked; see ``advisory_lock``."""
        return set(self.scalars(LOCKED.bindparams(names=list(names))))

    def end_frozen_worker(self, name: str, silence: float) -> None:
        """End the connections of the worker that has locked *name*, if all were silent for
        *silence* seconds; its locks are free then.
        """
        self.execute(END_FROZEN.bindparams(name=name, silence=silence))

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sa.Connection]:
        """Begin a transaction, or continue that of ``one_transaction``. When a *durable* one ends,
        it and all before it have reached the disk.
        """
        if self._joined.connection:
            yield self._joined.connection
            return
        try:
            with self._engine.begin() as connection:
                if durable and not self.is_shared:
                    connection.exec_driver_sql("PRAGMA synchronous=FULL")
                yield connection
        except sa.exc.DBAPIError as error:
            raise LedgerError(
                f"ledger: {root_cause(error)}; nothing of this step was stored; run again when this is fixed"
            ) from error

    @contextmanager
    def one_transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Join all reads and writes of this thread in the context into one transaction."""
        if self.is_joined:
            yield
            return
        with self.transaction(durable=durable) as connection:
            self._joined.connection = connection
            try:
                yield
            finally:
                self._joined.connection = None

    @property
    def is_joined(self) -> bool:
        """Return whether this thread is in the context of ``one_transaction``."""
        return self._joined.connection is not None

    # ---- one statement in a transaction of its own

    def select(
        self,
        kind: type[Item],
        *where: Condition,
        order: Sequence[Any] = (),
        limit: int | None = None,
    ) -> list[Item]:
        """Return the stored objects of a class of ``models``."""
        query = select_objects(kind).where(*where).order_by(*order).limit(limit)
        return [kind(*row) for row in self.rows(query)]

    def first(self, kind: type[Item], *where: Condition, order: Sequence[Any] = ()) -> Item | None:
        """Return the first stored object that ``select`` would return, or None."""
        return next(iter(self.select(kind, *where, order=order, limit=1)), None)

    def rows(self, query: sa.Executable) -> Sequence[Any]:
        with self.transaction() as connection:
            return connection.execute(query).all()

    def scalars(self, query: sa.Executable) -> list[Any]:
        """Return the first value of each row of a query."""
        return [row[0] for row in self.rows(query)]

    def count(self, table: sa.Table, *where: Condition) -> int:
        return int(self.scalars(sa.select(sa.func.count()).select_from(table).where(*where))[0])

    def add(self, item: object, **more: object) -> int:
        """Store an object of a class of ``models``, with the values of *more* columns; return the
        number that the database assigned, 0 without one.
        """
        with self.transaction() as connection:
            return insert(connection, item, **more)

    def add_once(
        self, item: object, find: Callable[[], Item | None], **more: object
    ) -> Item | None:
        """Store an object unless *find* returns one that is stored already; return that one, else
        None. Another request may store it at the same time.
        """
        if stored := find():
            return stored
        try:
            self.add(item, **more)
        except LedgerError:
            if stored := find():
                return stored
            raise
        return None

    def update(self, table: sa.Table, *where: Condition, **values: object) -> int:
        """Set values in the rows of a table; return how many there are."""
        return self.execute(sa.update(table).where(*where).values(values))

    def delete(self, table: sa.Table, *where: Condition) -> int:
        """Delete rows of a table; return how many there were."""
        return self.execute(sa.delete(table).where(*where))

    def upsert(self, table: sa.Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Store a row, or set its values if there is one with this key."""
        row = self.insert(table).values(**key, **values)
        self.execute(row.on_conflict_do_update(index_elements=[*key], set_=values))

    def claim(self, table: sa.Table, *where: Condition, limit: int, **values: object) -> list[int]:
        """Set values, a new *due* among them, in the rows that are due the longest, each for one
        caller only; return their numbers in order.
        """
        c, claimed = table.c, []
        due = sa.select(c.id, c.due).where(*where).order_by(c.due, c.id).limit(limit)
        with self.transaction() as connection:
            for number, was_due in connection.execute(due).all():
                update = sa.update(table).where(c.id == number, c.due == was_due)
                if connection.execute(update.values(values)).rowcount:
                    claimed.append(number)
        return claimed

    def execute(
        self, statement: sa.Executable, rows: Sequence[Mapping[str, Any]] | None = None
    ) -> int:
        """Execute a statement, for each of *rows* if they are passed; return how many rows it
        changed.
        """
        with self.transaction() as connection:
            return connection.execute(statement, rows).rowcount

    def stream(self, query: sa.Select[Any]) -> Iterator[Any]:
        """Yield the rows of a query, of which a part is in memory."""
        with self.transaction() as connection:
            yield from connection.execute(query.execution_options(yield_per=_FETCH_ROWS))


def select_objects(kind: type) -> sa.Select[Any]:
    """Return the query for the columns of a class of ``models``, in the order of its fields."""
    table = TABLES[kind]
    return sa.select(*(table.c[field.name] for field in fields(kind)))


def insert(connection: sa.Connection, item: object, **more: object) -> int:
    """Store an object in a transaction, as ``Ledger.add`` does."""
    statement = sa.insert(TABLES[type(item)]).values(insertable(item) | more)
    number = (connection.execute(statement).inserted_primary_key or [0])[0]
    return number if isinstance(number, int) else 0


def insert_all(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Store rows in a transaction, which may be none."""
    if rows:
        connection.execute(sa.insert(table), rows)


def wait_for_database(url: str, stopping: threading.Event | None = None) -> None:
    """Wait until the PostgreSQL database at *url* accepts connections, or *stopping* is set; log an
    outage once. For another database, or an invalid URL, return at once.
    """
    try:
        engine = sa.create_engine(
            url, connect_args=_connect_args(url, TIMEOUT_SECONDS), poolclass=sa.NullPool
        )
    except (sa.exc.ArgumentError, ImportError):
        return
    outage = Outage("waiting for the database", "the database answers")
    stopping = stopping or threading.Event()
    while engine.dialect.name == "postgresql" and not stopping.is_set():
        try:
            engine.connect().close()
        except sa.exc.OperationalError as error:
            outage.failed(
                root_cause(error), database=engine.url.render_as_string(hide_password=True)
            )
        else:
            outage.over()
            return
        stopping.wait(_RETRY_SECONDS)


def _connect_args(url: str, seconds: int) -> dict[str, Any]:
    """Return the driver's arguments for the lock timeout."""
    if url.startswith("sqlite"):
        return {"timeout": seconds}
    if not url.startswith(("postgresql:", "postgresql+psycopg")):
        return {}
    keepalive = keepalive_params()
    return {
        **keepalive,
        "client_encoding": "utf8",
        "connect_timeout": min(seconds, TIMEOUT_SECONDS),
        "options": f"{keepalive['options']} -c lock_timeout={seconds}s",
    }


def _relax_sync(connection: Any, _: object) -> None:
    if connection is not None:
        connection.execute("PRAGMA synchronous=NORMAL")


def _enable_wal(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA cache_size=-8192")  # KiB
    # Pages of 4 KiB, 80 MB together: each checkpoint waits for the disk.
    connection.execute("PRAGMA wal_autocheckpoint=20000")
