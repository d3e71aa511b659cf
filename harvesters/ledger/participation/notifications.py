"""Store notifications of Linked Data Notifications: received ones, each once, and sent ones with
their answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.participation.models import Notification


def add_notification(ledger: Database, item: Notification) -> bool:
    """Store a notification; return False if one with its id is stored already."""
    return ledger.add_once(item, lambda: find_notification(ledger, id=item.id)) is None


def find_notification(ledger: Database, **columns: str | bool) -> Notification | None:
    """Return the newest notification whose columns have these values, or None."""
    return next(iter(notifications(ledger, **columns)), None)


def notifications(ledger: Database, **columns: str | bool) -> list[Notification]:
    """Return the notifications whose columns have these values, the newest first."""
    c = t.notification.c
    where = [c[name] == value for name, value in columns.items()]
    return ledger.select(Notification, *where, order=[c.created.desc(), c.id])


def update_notification(ledger: Database, id: str, **values: object) -> None:
    """Store the answer to a notification, or the submission that it became."""
    ledger.update(t.notification, t.notification.c.id == id, **values)


def forget_contents(ledger: Database, submission: str) -> None:
    """Delete the record from the notifications about a submission that was withdrawn; their ids
    stay, so that a replay is known.
    """
    for item in notifications(ledger, submission=submission):
        about = item.body.get("object")
        if isinstance(about, Mapping) and "content" in about:
            rest = {name: value for name, value in about.items() if name != "content"}
            update_notification(ledger, item.id, body={**item.body, "object": rest})


def delete_notification(ledger: Database, id: str) -> None:
    """Forget a notification, which can then be received again."""
    ledger.delete(t.notification, t.notification.c.id == id)
