"""Send notifications to the inboxes of other installations, and store them with the received ones.

Sources: https://www.w3.org/TR/ldn/ and https://coar-notify.net/specification/1.0.0/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

from harvesters.ledger import outbox
from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Message
from harvesters.ledger.participation import Notification

CHANNEL = "inbox"  # the channel of these messages in the outbox
MEDIA_TYPE = "application/ld+json"
CONTEXT = ["https://www.w3.org/ns/activitystreams", "https://coar-notify.net"]


class NotificationKind(StrEnum):
    OFFER = "Offer"
    ANNOUNCE = "Announce"
    ACCEPT = "Accept"
    REJECT = "Reject"
    TENTATIVE_ACCEPT = "TentativeAccept"
    UNDO = "Undo"


ANSWERS = (NotificationKind.ACCEPT, NotificationKind.REJECT, NotificationKind.TENTATIVE_ACCEPT)
_TYPES: Mapping[NotificationKind, list[str]] = {
    NotificationKind.OFFER: ["Offer", "coar-notify:IngestAction"],
    NotificationKind.ANNOUNCE: ["Announce", "coar-notify:IngestAction"],
}


def send(
    ledger: Ledger, url: str, inbox: str, kind: NotificationKind, about: Mapping[str, Any], now: datetime, *, submission: str | None = None,
    answers: str | None = None, note: str = "",
) -> Notification:  # fmt: skip
    """Queue a notification from the installation at *url* to an *inbox*; *about* is its object,
    *answers* the id of what it answers.
    """
    body: dict[str, Any] = {
        "@context": CONTEXT,
        "id": f"urn:uuid:{uuid4()}",
        "type": _TYPES.get(kind, [kind.value]),
        "origin": {"id": url, "inbox": f"{url}/inbox", "type": "Service"},
        "target": {"id": inbox.removesuffix("/inbox"), "inbox": inbox, "type": "Service"},
        "object": dict(about),
    }
    body |= {"inReplyTo": answers} if answers else {}
    body |= {"summary": note} if note else {}
    notification = Notification(
        body["id"], True, inbox, kind.value, str(about.get("id", "")), body, now, submission
    )
    add_notification(ledger, notification)
    outbox.queue_messages(
        ledger,
        [
            Message(
                CHANNEL,
                inbox,
                f"notification {kind.value}",
                "",
                json.dumps(body, ensure_ascii=False),
            )
        ],
        now,
    )
    return notification


def answer(
    ledger: Ledger, url: str, submission: str, kind: NotificationKind, now: datetime, note: str = ""
) -> None:
    """Answer the offer that a submission came from; without one, nothing is sent."""
    offer = find_notification(
        ledger, submission=submission, sent=False, kind=NotificationKind.OFFER.value
    )
    if offer is None or not url:
        return
    about = {"id": offer.id, "type": "Offer", "object": offer.object}
    send(
        ledger,
        url,
        offer.inbox,
        kind,
        about,
        now,
        submission=submission,
        answers=offer.id,
        note=note,
    )
    update_notification(ledger, offer.id, answer=kind.value)


def add_notification(ledger: Database, item: Notification) -> bool:
    """Store a notification; return False if one with its id is stored already."""
    return ledger.add_once(item)


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
