"""Add the links of records that are checked, and the history of their states."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Create the tables and their indexes."""
    op.create_table(
        "link",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("state", sa.String),
        sa.Column("since", sa.DateTime),
        sa.Column("answer", sa.String),
        sa.Column("location", sa.Text),
        sa.Column("checked", sa.DateTime),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failing_since", sa.DateTime),
        sa.Column("due", sa.DateTime, nullable=False),
    )
    op.create_index("link_by_due", "link", ["source", "due"])
    op.create_table(
        "link_state",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
        sa.Column("answer", sa.String, nullable=False),
        sa.Column("location", sa.Text),
    )
    op.create_index("link_state_by_link", "link_state", ["source", "digest"])
