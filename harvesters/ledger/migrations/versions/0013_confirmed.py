"""Add when a submission was last confirmed, and when its submitter was last asked to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("submission", sa.Column("confirmed", sa.DateTime))
    op.add_column("submission", sa.Column("reminded", sa.DateTime))
