"""Keep a digest of each response's body, for registries without ETag and Last-Modified."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column."""
    op.add_column("validator", sa.Column("digest", sa.String))
