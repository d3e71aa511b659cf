"""Heard: of a run that maps archived replies again, when the newest of them was asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the column."""
    op.add_column("run", sa.Column("heard", sa.DateTime))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("run", "heard")
