"""Migrate the tables of an older ledger to those of this version, step by step.

A new ledger gets its tables from the models, with the newest revision. The oldest ledger that can be upgraded is one that commit
15d5d51a wrote; the tests have one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from harvesters.errors import SchemaVersionError

_OLDEST, _LAST_READER = "0021", "15d5d51a"  # the oldest revision that is read, and its commit
_VERSION_TABLE = "alembic_version"  # the name that older versions gave it


@dataclass(frozen=True, slots=True)
class Migration:
    """A step from the revision before to *revision*; *description* is a sentence."""

    revision: str
    description: str
    apply: Callable[[sa.Connection], None]


def _rename(connection: sa.Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE act RENAME TO audit_log")
    connection.exec_driver_sql("ALTER TABLE override RENAME COLUMN given TO granted")
    connection.exec_driver_sql("ALTER TABLE run_log RENAME COLUMN id TO number")


MIGRATIONS = (Migration("0022", "Tables and columns have the names of what they hold.", _rename),)
NEWEST = MIGRATIONS[-1].revision


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


def migrations_after(current: str) -> list[Migration]:
    """Return the migrations that tables of the revision *current* lack, the oldest first.

    Raises SchemaVersionError for tables that are too old, or of a newer version.
    """
    known = [_OLDEST, *(migration.revision for migration in MIGRATIONS)]
    if current in known:
        return [*MIGRATIONS[known.index(current) :]]
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
