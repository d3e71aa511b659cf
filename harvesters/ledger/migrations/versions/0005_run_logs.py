"""Add the logs of runs, and the sizes and times of their responses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table with its index, and the column."""
    op.create_table(
        "run_log",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
        sa.Column("level", sa.String, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
    )
    op.create_index("ix_run_log_run", "run_log", ["run"])
    op.add_column("run", sa.Column("responses", sa.Text))
