"""The initial schema: runs, records, staged records, graphs, operator actions, keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TABLES = (
    "run", "record", "description", "staged", "unchanged", "notice", "balance", "graph",
    "validator", "rate_limit", "hold", "act", "override", "run_request", "key",
)  # fmt: skip


def upgrade() -> None:
    """Create the tables and their indexes."""
    _create_runs()
    _create_records()
    _create_run_details()
    _create_caches()
    _create_operator_actions()
    _create_requests_and_keys()


def _create_runs() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("is_full", sa.Boolean, nullable=False),
        sa.Column("since", sa.DateTime),
        sa.Column("started", sa.DateTime, nullable=False),
        sa.Column("planned", sa.DateTime),
        sa.Column("ended", sa.DateTime),
        sa.Column("cursor", sa.Text),
        sa.Column("pages", sa.Integer, nullable=False),
        sa.Column("reported_total", sa.Integer),
        sa.Column("archived", sa.BigInteger, nullable=False),
        sa.Column("entry", sa.Integer),
        sa.Column("rules", sa.String, nullable=False),
        sa.Column("reasons", sa.Text),
        sa.Column("counts", sa.Text),
        sa.Column("network", sa.Text),
        sa.Column("fetched", sa.Integer, nullable=False),
        sa.Column("incomplete_reason", sa.Text),
        sa.Column("added", sa.BigInteger),
        sa.Column("removed", sa.BigInteger),
        sa.Column("after", sa.BigInteger),
        sa.Column("last_fetched", sa.DateTime),
    )
    op.create_index("run_by_source", "run", ["source", "number"], unique=True)


def _create_records() -> None:
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
        sa.Column("vanished_since", sa.DateTime),
        sa.Column("fingerprint", sa.BigInteger),
        sa.Column("page", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("record_by_fingerprint", "record", ["fingerprint", "source"])
    op.create_index("record_by_page", "record", ["page", "source"])
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
        sa.Column("other", sa.String),
        sa.Column("fingerprint", sa.BigInteger),
        sa.Column("page", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("staged_by_key", "staged", ["run", "key"])


def _create_run_details() -> None:
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
        sa.Column("run", sa.String, nullable=False, index=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("key", sa.String),
        sa.Column("source", sa.String),
        sa.Column("other", sa.String),
    )
    op.create_table(
        "balance",
        sa.Column("entry", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("added", sa.BigInteger, nullable=False),
        sa.Column("removed", sa.BigInteger, nullable=False),
        sa.Column("after", sa.BigInteger, nullable=False),
    )


def _create_caches() -> None:
    op.create_table(
        "graph",
        sa.Column("iri", sa.String, primary_key=True),
        sa.Column("description", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "validator",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("url", sa.String, primary_key=True),
        sa.Column("etag", sa.Text),
        sa.Column("modified", sa.Text),
    )
    op.create_table(
        "rate_limit",
        sa.Column("host", sa.String, primary_key=True),
        sa.Column("requested", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pause", sa.Float, nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=False),
    )


def _create_operator_actions() -> None:
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


def _create_requests_and_keys() -> None:
    op.create_table(
        "run_request",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("full", sa.Boolean, nullable=False),
        sa.Column("requested", sa.DateTime, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("claimed", sa.DateTime),
        sa.Column("run", sa.String),
    )
    op.create_table(
        "key",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("expires", sa.DateTime),
        sa.Column("revoked", sa.DateTime),
        sa.Column("last_used", sa.DateTime),
    )
