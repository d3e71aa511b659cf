"""The first layout: runs, records, staged records, graphs, validators."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "run",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("sweep", sa.Boolean, nullable=False),
        sa.Column("since", sa.DateTime),
        sa.Column("started", sa.DateTime, nullable=False),
        sa.Column("planned", sa.DateTime),
        sa.Column("ended", sa.DateTime),
        sa.Column("cursor", sa.Text),
        sa.Column("pages", sa.Integer, nullable=False),
        sa.Column("claimed", sa.Integer),
        sa.Column("archived", sa.BigInteger, nullable=False),
        sa.Column("entry", sa.Integer),
        sa.Column("rules", sa.String, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("counts", sa.Text),
    )
    op.create_index("run_by_source", "run", ["source", "number"], unique=True)
    op.create_table(
        "record",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("content", sa.String, nullable=False),
        sa.Column("first_seen", sa.DateTime, nullable=False),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("misses", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "description",
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("statements", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "staged",
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("key", sa.String),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("digest", sa.String),
        sa.Column("content", sa.String),
        sa.Column("first_seen", sa.DateTime),
        sa.Column("reason", sa.Text),
        sa.Column("file", sa.String),
        sa.Column("offset", sa.BigInteger),
        sa.Column("length", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("staged_by_key", "staged", ["run", "key"])
    op.create_table("graph", sa.Column("iri", sa.String, primary_key=True), sa.Column("description", sa.LargeBinary, nullable=False))
    op.create_table(
        "validator",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("url", sa.String, primary_key=True),
        sa.Column("etag", sa.Text),
        sa.Column("modified", sa.Text),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("validator", "graph", "staged", "description", "record", "run"):
        op.drop_table(table)
