"""Add the subscriptions of those who follow a search."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the table and its index."""
    op.create_table(
        "subscription",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("search", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("frequency", sa.String, nullable=False),
        sa.Column("secret", sa.String, nullable=False, unique=True),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("confirmed", sa.DateTime),
        sa.Column("due", sa.DateTime),
        sa.Column("position", sa.Integer),
        sa.Column("results", sa.LargeBinary),
    )
    op.create_index("subscription_by_due", "subscription", ["due"])
