"""Trust: accounts that close, records that have vanished, what persons decide, and what they ask for."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ADDED: dict[str, dict[str, type[sa.types.TypeEngine[Any]]]] = {
    "run": {"network": sa.Text, "doubt": sa.Text, "added": sa.BigInteger, "removed": sa.BigInteger, "after": sa.BigInteger},
    "record": {"vanished_since": sa.DateTime, "likeness": sa.BigInteger, "page": sa.BigInteger},
    "staged": {"other": sa.String, "likeness": sa.BigInteger, "page": sa.BigInteger},
}
_TABLES = ("balance", "run_request", "override", "act", "hold", "notice", "unchanged")


def upgrade() -> None:
    """Add the columns and make the tables."""
    for table, columns in _ADDED.items():
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind))
    op.add_column("run", sa.Column("fetched", sa.Integer, nullable=False, server_default="0"))
    op.create_index("record_by_likeness", "record", ["likeness", "source"])
    op.create_index("record_by_page", "record", ["page", "source"])
    op.execute("UPDATE staged SET outcome = 'deleted' WHERE outcome = 'gone'")
    _of_runs()
    _of_persons()


def _of_runs() -> None:
    op.create_table(
        "unchanged",
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("page", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("file", sa.String),
        sa.Column("offset", sa.BigInteger),
        sa.Column("length", sa.BigInteger),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("keys", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("key", sa.String),
        sa.Column("source", sa.String),
        sa.Column("other", sa.String),
    )
    op.create_index("ix_notice_run", "notice", ["run"])
    op.create_table(
        "balance",
        sa.Column("entry", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("added", sa.BigInteger, nullable=False),
        sa.Column("removed", sa.BigInteger, nullable=False),
        sa.Column("after", sa.BigInteger, nullable=False),
    )


def _of_persons() -> None:
    op.create_table(
        "hold",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "act",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("when", sa.DateTime, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("source", sa.String),
        sa.Column("run", sa.String),
        sa.Column("note", sa.Text),
    )
    op.create_table(
        "override",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("limit", sa.String, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("until", sa.DateTime, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("given", sa.DateTime, nullable=False),
        sa.Column("used", sa.String),
    )
    op.create_index("override_by_source", "override", ["source"])
    op.create_table(
        "run_request",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("full", sa.Boolean, nullable=False),
        sa.Column("asked", sa.DateTime, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("taken", sa.DateTime),
        sa.Column("run", sa.String),
    )


def downgrade() -> None:
    """Drop the tables and the columns."""
    for table in _TABLES:
        op.drop_table(table)
    op.drop_index("record_by_page", "record")
    op.drop_index("record_by_likeness", "record")
    op.drop_column("run", "fetched")
    for table, columns in _ADDED.items():
        for name in columns:
            op.drop_column(table, name)
