"""Open and migrate the ledger's database, lock names in it, and raise its failures as LedgerError.

A new ledger gets its tables from the models, with the newest revision. The oldest ledger that can be upgraded is one that commit
15d5d51a wrote; the tests have one.

A lock of a PostgreSQL ledger is for all machines that share it. Each has a session of its own
(https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS). It ends with the process; if the connection is cut,
the server frees it after a timeout. The holder can check whether it still has the lock.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from harvesters.errors import EncodingError, LedgerError, LockLostError, SchemaVersionError
from harvesters.ledger.models import compress, decompress
from harvesters.reasons import Reason
from journal.outage import Outage, root_cause

# The oldest revision that is read, the commit that wrote it, and the revision of the tables here.
_OLDEST, _LAST_READER, NEWEST = "0021", "15d5d51a", "0022"
_VERSION_TABLE = "alembic_version"  # the name that older versions gave it
# What the migration to the newest revision does.
MIGRATION = "Comments are submissions; tables and columns have the names of what they hold."
_CHANGES = """
    ALTER TABLE act RENAME TO audit_log;
    ALTER TABLE override RENAME COLUMN given TO granted;
    ALTER TABLE run_log RENAME COLUMN id TO number;
    ALTER TABLE notice DROP COLUMN key;
    ALTER TABLE notice DROP COLUMN source;
    ALTER TABLE notice DROP COLUMN other;
    ALTER TABLE submission ADD COLUMN post VARCHAR;
    CREATE INDEX submission_by_post ON submission (post);
    INSERT INTO submission (id, submitter, state, version, content, published, title, language, created, updated, waiting_since,
        first_accepted, post)
    SELECT id, submitter, state, 1, content, CASE state WHEN 'accepted' THEN content END, title, language, created, changed,
        CASE state WHEN 'submitted' THEN created END, CASE state WHEN 'accepted' THEN changed END, post
    FROM (SELECT *, coalesce(decided, created) AS changed, CAST({object}('type', 'Post', 'title', {object}(language, title),
        'content', {object}(language, text)) AS VARCHAR) AS content FROM comment WHERE state <> 'draft') AS sent;
    INSERT INTO submission_event (what, who, time, internal, version, submission)
    SELECT 'submitted', 'submitter', created, FALSE, 1, id FROM comment WHERE state <> 'draft';
    INSERT INTO submission_event (what, who, time, note, internal, version, submission)
    SELECT CASE state WHEN 'spam' THEN 'marked as spam' ELSE state END, decided_by, decided, reason, FALSE, 1, id
    FROM comment WHERE decided IS NOT NULL;
    DROP TABLE comment"""


def read_revision(connection: sa.Connection) -> str | None:
    """Return the revision of the tables, None if there are none yet."""
    if not sa.inspect(connection).has_table(_VERSION_TABLE):
        return None
    return connection.exec_driver_sql(f"SELECT version_num FROM {_VERSION_TABLE}").scalar()


def write_revision(connection: sa.Connection, revision: str) -> None:
    connection.exec_driver_sql(
        f"CREATE TABLE IF NOT EXISTS {_VERSION_TABLE} (version_num VARCHAR(32) PRIMARY KEY)"
    )
    connection.exec_driver_sql(f"DELETE FROM {_VERSION_TABLE}")
    connection.exec_driver_sql(f"INSERT INTO {_VERSION_TABLE} VALUES ('{revision}')")


def is_outdated(current: str) -> bool:
    """Return whether tables of the revision *current* must be migrated.

    Raises SchemaVersionError for tables that are too old, or of a newer version.
    """
    if current in (_OLDEST, NEWEST):
        return current == _OLDEST
    if current < _OLDEST:
        raise SchemaVersionError(
            f"ledger: its tables have the revision {current!r}; the last version of Stocktake that reads them is commit "
            f"{_LAST_READER}. Back up, run `stocktake upgrade` of that version, then that of this one"
        )
    raise SchemaVersionError(
        f"ledger: its tables have the revision {current!r}, which this version does not know: a newer version of Stocktake has "
        "upgraded them. A downgrade is not possible: run that version, or restore a backup from before its upgrade into an empty "
        "data directory and name an empty database in STOCKTAKE_LEDGER"
    )


# Either side regards a silent connection as lost after this time; short network failures end before.
_TIMEOUT_SECONDS = 12
_MAX_NAME = 63  # bytes of a name in PostgreSQL
_SPACE = 0x57515  # separates our locks from those of others in the same database

_TRY = sa.text("SELECT pg_try_advisory_lock(:space, hashtext(:name))")
_WAIT = sa.text("SELECT pg_advisory_lock(:space, hashtext(:name))")
_UNLOCK = sa.text("SELECT pg_advisory_unlock(:space, hashtext(:name))")
_PING = sa.text("SELECT 1")
_LOCKED = sa.text("""
    SELECT name FROM unnest(CAST(:names AS text[])) AS name JOIN pg_locks
    ON locktype = 'advisory' AND classid = :space AND objid::bigint = (hashtext(name)::bigint & 4294967295) AND granted
    WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
""").bindparams(space=_SPACE)

# It waits until no other process changes the tables; the lock ends with the transaction.
_LOCK_LAYOUT = sa.text(
    "SELECT pg_advisory_xact_lock(:space, hashtext('layout of the ledger'))"
).bindparams(space=_SPACE)
_WORKER = "stocktake worker "
# It ends all connections of the worker that has locked a name, if that sent nothing over any of them
# for some seconds. A worker that runs asks for jobs at each heartbeat, whatever its runs do.
_END_FROZEN = sa.text("""
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
    _TIMEOUT_SECONDS.
    """
    times = {"idle": _TIMEOUT_SECONDS // 4, "interval": _TIMEOUT_SECONDS // 4, "count": 3}
    options = [f"-c tcp_keepalives_{name}={value}" for name, value in times.items()]
    timeout = _TIMEOUT_SECONDS * 1000
    return {
        "keepalives": 1,
        **{f"keepalives_{name}": value for name, value in times.items()},
        "tcp_user_timeout": timeout,
        "options": " ".join([*options, f"-c tcp_user_timeout={timeout}"]),
    }


def name_worker() -> None:
    """Name the connections that this process opens from now on, so that others can end them."""
    os.environ["PGAPPNAME"] = f"{_WORKER}{os.getpid()}@{socket.gethostname()}"[:_MAX_NAME]


def _check_lock(connection: sa.Connection, name: str) -> None:
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


# ---- columns, whose values are those of Python: times with their zone, members of enumerations, mappings

metadata = MetaData()
TABLES: dict[type, Table] = {}  # by the classes of models


class Time(sa.TypeDecorator[datetime]):
    """A time with its zone; stored as UTC without one, since not every database supports zones."""

    impl, cache_ok = sa.DateTime, True

    def process_bind_param(self, value: datetime | None, dialect: object) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: object) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


def choice(members: type[Enum]) -> sa.Enum:
    """Return the type of a member of an enumeration, which is stored as its label or value."""
    return sa.Enum(
        members, values_callable=_values, native_enum=False, create_constraint=False, length=None
    )


def _values(members: type[Enum]) -> list[str]:
    return [str(getattr(member, "label", member.value)) for member in members]


class Json(sa.TypeDecorator[Any]):
    """A value as JSON; *load* converts the parsed JSON, *sort* sorts the names of members."""

    impl, cache_ok = Text, True

    def __init__(
        self, load: Callable[[Any], Any] = lambda value: value, *, sort: bool = False
    ) -> None:
        super().__init__()
        self.load, self.sort = load, sort

    def process_bind_param(self, value: object, dialect: object) -> str | None:
        if value is None:
            return None
        return json.dumps(value, ensure_ascii=False, sort_keys=self.sort, default=_serializable)

    def coerce_compared_value(self, op: object, value: object) -> Any:
        """Return the type of a value that is searched in the JSON: a text."""
        return Text()

    def process_result_value(self, value: str | None, dialect: object) -> Any:
        return self.load(json.loads(value)) if value is not None else None


class PackedJson(Json):
    """A value as JSON, compressed."""

    impl, cache_ok = LargeBinary, True  # type: ignore[assignment]

    def process_bind_param(self, value: object, dialect: object) -> Any:
        text = super().process_bind_param(value, dialect)
        return compress(text) if text is not None else None

    def process_result_value(self, value: Any, dialect: object) -> Any:
        return super().process_result_value(decompress(value) or None, dialect)


def _serializable(value: Any) -> Any:
    if isinstance(value, Reason):
        return asdict(value)
    return dict(value) if isinstance(value, Mapping) else str(value)


def load_reasons(rows: list[Mapping[str, Any]]) -> tuple[Reason, ...]:
    return tuple(map(Reason.from_json, rows))


_TYPES: dict[Any, Callable[[], Any]] = {
    str: String,
    int: BigInteger,  # counts and bytes
    float: Float,
    bool: Boolean,
    bytes: LargeBinary,
    datetime: Time,
    Reason: lambda: Json(Reason.from_json),
    tuple[Reason, ...]: lambda: Json(load_reasons),
}


def table_of(
    kind: type,
    name: str,
    *more: Column[Any] | Index | UniqueConstraint,
    key: str = "id",
    **types: Any,
) -> Table:
    """Return the table *name* of the fields of *kind*, whose primary key is the fields in *key*.

    *more* are columns that no object has, and indexes; *types* are those of fields that need their own.
    """
    columns = []
    for field, hint in get_type_hints(kind).items():
        is_key, is_optional = field in key.split(), type(None) in get_args(hint)
        column_type = types.get(field) or _column_type(
            get_args(hint)[0] if is_optional else hint, is_key=is_key
        )
        columns.append(Column(field, column_type, primary_key=is_key, nullable=is_optional))
    TABLES[kind] = Table(name, metadata, *columns, *more)
    return TABLES[kind]


def _column_type(hint: Any, *, is_key: bool) -> Any:
    if hint is int and is_key:
        return Integer()  # SQLite assigns numbers to no other type.
    if isinstance(hint, type) and issubclass(hint, Enum):
        return choice(hint)
    return _TYPES.get(hint, Json)()


def insertable(item: object) -> dict[str, Any]:
    """Return the values of an object for its table, without a number that the database assigns."""
    counted = TABLES[type(item)].autoincrement_column
    names = [field.name for field in fields(item)]  # type: ignore[arg-type]  # each class of TABLES is a dataclass
    return {name: getattr(item, name) for name in names if counted is None or name != counted.key}


# ---- the database

Item = TypeVar("Item")
Condition = sa.ColumnElement[bool]
_RETRY_SECONDS = 5.0  # seconds between two attempts to reach a database that does not answer
_FETCH_ROWS = 500  # rows: less than a megabyte of compressed descriptions


def needs_migration(url: str) -> bool:
    """Return whether the ledger at *url* must be migrated; it need not if there is none yet.

    Raises SchemaVersionError if a newer version has migrated it, LedgerError if it cannot be read.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return False
    engine = sa.create_engine(
        url, connect_args=_connect_args(url, _TIMEOUT_SECONDS), poolclass=sa.NullPool
    )
    try:
        with engine.connect() as connection:
            current = read_revision(connection)
    except sa.exc.DBAPIError as error:
        raise LedgerError(f"ledger: {root_cause(error)}; nothing was changed") from error
    return current is not None and is_outdated(current)


class _Joined(threading.local):
    connection: sa.Connection | None = None


class Database:
    """The ledger at *url* (an SQLAlchemy URL); opening it creates its tables if there are none.

    *lock_timeout* is the number of seconds to wait for another process's lock. Every method raises
    LedgerError if the database is locked, full or not reachable. Opening raises SchemaVersionError
    if another version wrote the tables; with *migrate*, those of an older version are migrated.
    """

    def __init__(self, url: str, lock_timeout: int = 60, *, migrate: bool = False) -> None:
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
        try:
            self._create_or_migrate(migrate=migrate)
        except (EncodingError, SchemaVersionError):
            self.close()
            raise

    def _create_or_migrate(self, *, migrate: bool) -> None:
        """Create the tables, or with *migrate* migrate those of an older version, in one transaction."""
        with self.transaction() as connection:
            if self.is_shared:
                _check_encoding(connection)
            current = read_revision(connection)
        if current is not None and not is_outdated(current):
            return
        if current is not None and not migrate:
            raise SchemaVersionError(
                f"ledger: its tables are of an older version of Stocktake (revision {current}); back up, stop all other "
                "processes, then run `stocktake upgrade`"
            )
        with self._changing_tables() as connection:
            current = read_revision(connection)  # Another process may have written one.
            if current is None:
                metadata.create_all(connection)
            elif is_outdated(current):
                function = "json_build_object" if self.is_shared else "json_object"
                for change in _CHANGES.format(object=function).split(";"):
                    connection.exec_driver_sql(change)
            write_revision(connection, NEWEST)

    @contextmanager
    def _changing_tables(self) -> Iterator[sa.Connection]:
        """Begin a transaction in which no other process changes the tables."""
        with self.transaction() as connection:
            if self.is_shared:
                connection.execute(_LOCK_LAYOUT)
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
        """Lock *name* for all processes that share the ledger, which must be ``is_shared``; yield None
        if another process has it and *wait* is false. Raises LedgerError.

        The yielded function raises LockLostError if the lock was lost.
        """
        parameters = {"space": _SPACE, "name": name}
        try:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                if wait:
                    connection.execute(sa.text("SET lock_timeout = 0"))
                    connection.execute(_WAIT, parameters)
                elif not connection.scalar(_TRY, parameters):
                    yield None
                    return
                try:
                    yield lambda: _check_lock(connection, name)
                finally:
                    _release(connection, parameters)
            finally:
                connection.invalidate()  # A session that may have a lock must not be used again.
                connection.close()
        except sa.exc.DBAPIError as error:
            raise LedgerError(
                f"ledger: {root_cause(error)}; the lock {name!r} was not acquired; run again when this is fixed"
            ) from error

    def locked_names(self, names: Collection[str]) -> set[str]:
        """Return those of *names* that any process has locked; see ``advisory_lock``."""
        return set(self.scalars(_LOCKED.bindparams(names=list(names))))

    def end_frozen_worker(self, name: str, silence: float) -> None:
        """End the connections of the worker that has locked *name*, if all were silent for
        *silence* seconds; its locks are free then.
        """
        self.execute(_END_FROZEN.bindparams(name=name, silence=silence))

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
        return [kind(**row._mapping) for row in self.rows(query)]

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

    def add_once(self, item: object, **more: object) -> bool:
        """Store an object as ``add`` does, unless one with the same unique values is stored; return
        whether it was stored now.
        """
        row = self.insert(TABLES[type(item)]).values(insertable(item) | more)
        # PostgreSQL's driver does not count the rows of this statement.
        return bool(self.rows(row.on_conflict_do_nothing().returning(sa.literal_column("1"))))

    def update(self, table: sa.Table, *where: Condition, **values: object) -> int:
        """Set values in the rows of a table; return how many there are."""
        return self.execute(sa.update(table).where(*where).values(values))

    def delete(self, table: sa.Table, *where: Condition) -> int:
        """Delete rows of a table; return how many there were."""
        return self.execute(sa.delete(table).where(*where))

    def upsert(self, table: sa.Table, values: Mapping[str, Any]) -> None:
        """Store a row, or set its values if there is one with its primary key."""
        row, keys = self.insert(table).values(values), [column.name for column in table.primary_key]
        others = {name: value for name, value in values.items() if name not in keys}
        self.execute(row.on_conflict_do_update(index_elements=keys, set_=others))

    def claim(
        self, kind: type[Item], *where: Condition, limit: int, **values: object
    ) -> list[Item]:
        """Set values, a new *due* among them, in the rows that are due the longest, each for one
        caller only; return their objects in order.
        """
        c, update = TABLES[kind].c, sa.update(TABLES[kind]).values(values)
        due = sa.select(c.id, c.due).where(*where).order_by(c.due, c.id).limit(limit)
        with self.transaction() as connection:
            claimed = [
                number
                for number, was_due in connection.execute(due).all()
                if connection.execute(update.where(c.id == number, c.due == was_due)).rowcount
            ]
        return [item for number in claimed for item in self.select(kind, c.id == number)]

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
    return sa.select(*(TABLES[kind].c[field.name] for field in fields(kind)))


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
            url, connect_args=_connect_args(url, _TIMEOUT_SECONDS), poolclass=sa.NullPool
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
    keepalive = keepalive_params()
    return {
        **keepalive,
        "client_encoding": "utf8",
        "connect_timeout": min(seconds, _TIMEOUT_SECONDS),
        "options": f"{keepalive['options']} -c lock_timeout={seconds}s",
    }


def _check_encoding(connection: sa.Connection) -> None:
    query = "SELECT current_database(), current_setting('server_encoding')"
    name, encoding = connection.execute(sa.text(query)).one()
    if encoding != "UTF8":
        raise EncodingError(
            f"ledger: the database {name!r} has the encoding {encoding}, which cannot hold every text; "
            f"create one with `CREATE DATABASE {name}_utf8 ENCODING 'UTF8' TEMPLATE template0` and name it in STOCKTAKE_LEDGER"
        )


def _relax_sync(connection: Any, _: object) -> None:
    if connection is not None:
        connection.execute("PRAGMA synchronous=NORMAL")


def _enable_wal(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA cache_size=-8192")  # KiB
    # Pages of 4 KiB, 80 MB together: each checkpoint waits for the disk.
    connection.execute("PRAGMA wal_autocheckpoint=20000")


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
