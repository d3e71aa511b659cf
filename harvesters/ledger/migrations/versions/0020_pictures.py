"""Add the pictures of submissions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Create the table, and the columns of submissions that name its rows."""
    op.create_table(
        "picture",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("submitter", sa.String),
        sa.Column("created", sa.DateTime, nullable=False),
    )
    op.create_index("picture_by_submitter", "picture", ["submitter"])
    for name in ("picture", "published_picture"):
        op.add_column("submission", sa.Column(name, sa.String))
        op.create_index(f"submission_by_{name}", "submission", [name])
