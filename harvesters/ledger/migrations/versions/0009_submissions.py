"""Add submissions of stakeholders, their authors, their history and their links."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "submitter",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("mail", sa.String, unique=True),
        sa.Column("organization", sa.String, unique=True),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
    )
    op.create_table(
        "submission",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("submitter", sa.String),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("published", sa.Text),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("updated", sa.DateTime, nullable=False),
        sa.Column("waiting_since", sa.DateTime),
        sa.Column("first_accepted", sa.DateTime),
        sa.Column("withdrawn", sa.DateTime),
        sa.Column("assigned", sa.String),
        sa.Column("endorsed_by", sa.String),
    )
    op.create_index("submission_by_submitter", "submission", ["submitter"])
    op.create_index("submission_by_state", "submission", ["state", "waiting_since"])
    _create_history()


def _create_history() -> None:
    op.create_table(
        "submission_event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("submission", sa.String, nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("internal", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content", sa.Text),
    )
    op.create_index("submission_event_by_submission", "submission_event", ["submission"])
    op.create_table(
        "submission_link",
        sa.Column("hash", sa.String, primary_key=True),
        sa.Column("purpose", sa.String, nullable=False),
        sa.Column("mail", sa.String),
        sa.Column("submitter", sa.String),
        sa.Column("submission", sa.String),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("expires", sa.DateTime, nullable=False),
        sa.Column("used", sa.DateTime),
    )
    op.create_index("submission_link_by_mail", "submission_link", ["mail"])
