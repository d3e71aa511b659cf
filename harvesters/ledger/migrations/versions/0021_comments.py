"""Add the comments of readers on posts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "comment",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("post", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("submitter", sa.String),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("decided", sa.DateTime),
        sa.Column("decided_by", sa.String),
        sa.Column("reason", sa.Text),
    )
    op.create_index("comment_by_post", "comment", ["post"])
    op.create_index("comment_by_state", "comment", ["state"])
    op.create_index("comment_by_submitter", "comment", ["submitter"])
