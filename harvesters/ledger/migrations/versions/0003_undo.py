"""Add the records before an approval, for its undoing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "undo",
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("content", sa.String, nullable=False),
        sa.Column("first_seen", sa.DateTime),
        sa.Column("fingerprint", sa.BigInteger),
        sa.Column("page", sa.BigInteger),
        sa.Column("statements", sa.LargeBinary),
    )
