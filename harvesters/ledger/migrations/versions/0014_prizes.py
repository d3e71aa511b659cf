"""Add the prizes: editions, nominations, experts, reviews and votes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "prize_edition",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.create_table(
        "prize_nomination",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("edition", sa.String, nullable=False),
        sa.Column("thing", sa.String, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("category", sa.String, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("special", sa.String),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("submitter", sa.String),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.UniqueConstraint("edition", "thing"),
    )
    op.create_table(
        "prize_expert",
        sa.Column("edition", sa.String, primary_key=True),
        sa.Column("mail", sa.String, primary_key=True),
    )
    op.create_table(
        "prize_review",
        sa.Column("nomination", sa.String, primary_key=True),
        sa.Column("expert", sa.String, primary_key=True),
        sa.Column("conflict", sa.Boolean, nullable=False),
        sa.Column("scores", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
    )
    op.create_table(
        "prize_vote",
        sa.Column("edition", sa.String, primary_key=True),
        sa.Column("category", sa.String, primary_key=True),
        sa.Column("voter", sa.String, primary_key=True),
        sa.Column("nomination", sa.String, nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
    )
