"""Add the codes and values of why a record is not published."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column; the reasons of earlier runs stay English texts, except the one that says what a tombstone may hold."""
    op.add_column("staged", sa.Column("reasons", sa.Text))
    erased = """UPDATE staged SET reasons = '[{"code": "erased", "values": {}}]' WHERE reason = 'removed on request'"""
    op.get_bind().exec_driver_sql(erased)
