"""Store why a run is incomplete as a code with values, which can be translated."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_RUN = sa.table("run", sa.column("id"), sa.column("incomplete_reason"), sa.column("reasons"))
_NO_DELETIONS = {"code": "no_deletions", "values": {}}


def upgrade() -> None:
    """Rewrite the reasons of the stored runs."""
    connection = op.get_bind()
    for id, incomplete, reasons in connection.execute(sa.select(*_RUN.c)).all():
        coded = (
            json.dumps({"code": "other", "values": {"text": incomplete}}) if incomplete else None
        )
        listed = [part for reason in json.loads(reasons or "[]") for part in _split(reason)]
        row = {"incomplete_reason": coded, "reasons": json.dumps(listed)}
        connection.execute(sa.update(_RUN).where(_RUN.c.id == id).values(**row))


def _split(reason: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the reasons that say today what one said before."""
    if reason["code"] == "incomplete":
        return [{**reason, "code": "other"}, _NO_DELETIONS]
    return [reason, _NO_DELETIONS] if reason["code"] == "short" else [reason]
