"""Store notifications of Linked Data Notifications: received ones, each once, and sent ones with
their answers.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from harvesters.errors import LedgerError
from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.row_mapping import naive, utc

_KEY_BYTES = 16


def _key() -> str:
    return secrets.token_urlsafe(_KEY_BYTES)


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification: *id* is the IRI of its activity, *inbox* that of the other installation,
    *object* the IRI that it is about.

    *key* ends its address here, *submission* is what an offer became or came from, *answer* the
    kind of the last answer.
    """

    id: str
    sent: bool
    inbox: str
    kind: str
    object: str
    body: Mapping[str, Any]
    created: datetime
    submission: str | None = None
    answer: str | None = None
    key: str = field(default_factory=_key)


def add_notification(ledger: Database, item: Notification) -> bool:
    """Store a notification; return False if one with its id is stored already."""
    values = {name: getattr(item, name) for name in Notification.__slots__}
    values |= {
        "body": json.dumps(dict(item.body), ensure_ascii=False),
        "created": naive(item.created),
    }
    if find_notification(ledger, id=item.id):
        return False
    try:
        with ledger.transaction() as connection:
            connection.execute(sa.insert(t.notification).values(values))
    except LedgerError:  # another request stored it at the same time
        if not find_notification(ledger, id=item.id):
            raise
        return False
    return True


def find_notification(ledger: Database, **columns: str | bool) -> Notification | None:
    """Return the newest notification whose columns have these values, or None."""
    return next(iter(notifications(ledger, **columns)), None)


def notifications(ledger: Database, **columns: str | bool) -> list[Notification]:
    """Return the notifications whose columns have these values, the newest first."""
    c = t.notification.c
    query = sa.select(t.notification).where(*(c[name] == value for name, value in columns.items()))
    with ledger.transaction() as connection:
        rows = connection.execute(query.order_by(c.created.desc(), c.id)).mappings().all()
    return [
        Notification(**{**row, "body": json.loads(row["body"]), "created": utc(row["created"])})
        for row in rows
    ]


def update_notification(ledger: Database, id: str, **values: str | None) -> None:
    """Store the answer to a notification, or the submission that it became."""
    with ledger.transaction() as connection:
        connection.execute(
            sa.update(t.notification).where(t.notification.c.id == id).values(values)
        )


def forget_contents(ledger: Database, submission: str) -> None:
    """Delete the record from the notifications about a submission that was withdrawn; their ids
    stay, so that a replay is known.
    """
    for item in notifications(ledger, submission=submission):
        about = item.body.get("object")
        if isinstance(about, Mapping) and "content" in about:
            body = {
                **item.body,
                "object": {name: value for name, value in about.items() if name != "content"},
            }
            update_notification(ledger, item.id, body=json.dumps(body, ensure_ascii=False))


def delete_notification(ledger: Database, id: str) -> None:
    """Forget a notification, which can then be received again."""
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.notification).where(t.notification.c.id == id))
