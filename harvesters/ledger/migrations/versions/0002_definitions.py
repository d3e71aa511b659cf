"""Add the versions of source definitions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table and its index."""
    op.create_table(
        "definition",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("when", sa.DateTime, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("definition_by_source", "definition", ["source"])
