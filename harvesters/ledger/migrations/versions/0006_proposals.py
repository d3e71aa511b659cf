"""Add proposals of source definitions, which another person confirms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column."""
    op.add_column("definition", sa.Column("before", sa.String))
