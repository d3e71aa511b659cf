"""Keep pairs of records that may be one thing, and what people decided about them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "identity_pair",
        sa.Column("first", sa.String, primary_key=True),
        sa.Column("second", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("bits", sa.Float, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_table(
        "identity_decision",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("first", sa.String, nullable=False),
        sa.Column("second", sa.String, nullable=False),
        sa.Column("judgement", sa.String, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("when", sa.DateTime, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("identity_decision_by_pair", "identity_decision", ["first", "second", "id"])
