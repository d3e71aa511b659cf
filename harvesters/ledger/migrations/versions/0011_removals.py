"""Add the removals that operators planned: of a source's records, of one record, and retirements of sources."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create the table and its index."""
    op.create_table(
        "removal",
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("key_digest", sa.String),
        sa.Column("ended", sa.DateTime),
    )
    op.create_index("removal_by_source", "removal", ["source"])
