"""Store messages until they are delivered, alerts while they last, silences, and subscriptions to
searches, which are deleted with their messages.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Protocol

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database, insert_all
from harvesters.ledger.models import Alert, Message, QueuedMessage, Silence
from harvesters.ledger.participation import FOLLOW_TOPIC, Subscription

REPORT_TOPIC = "report "  # begins the topic of a report to a registry; the source follows


class Recipients(Protocol):
    """Addresses for mails and webhooks: those of a rule or a registry."""

    @property
    def mail(self) -> Sequence[str]: ...
    @property
    def webhook(self) -> Sequence[str]: ...


def messages_to(
    recipients: Recipients,
    topic: str,
    subject: str,
    lines: Iterable[str],
    data: Mapping[str, Any],
) -> list[Message]:
    """Return a message for each address of *recipients*."""
    channels = (("mail", recipients.mail), ("webhook", recipients.webhook))
    text = "\n".join(lines) + "\n"
    return [
        Message(channel, address, topic, subject, text, data)
        for channel, addresses in channels
        for address in addresses
    ]


def queue_messages(ledger: Database, messages: Iterable[Message], now: datetime) -> None:
    """Queue messages; they are due at once."""
    with ledger.transaction() as connection:
        insert_messages(connection, messages, now)


def insert_messages(connection: sa.Connection, messages: Iterable[Message], now: datetime) -> None:
    """Queue messages within a transaction; they are due at once."""
    names = [item.name for item in fields(Message)]
    rows = [
        {"created": now, "due": now, "attempts": 0, **{name: getattr(item, name) for name in names}}
        for item in messages
    ]
    insert_all(connection, t.outbox, rows)


def claim_messages(
    ledger: Database, now: datetime, lease: datetime, limit: int
) -> list[QueuedMessage]:
    """Claim due messages, each for one caller only: until *lease* nobody else gets them.

    A message whose sender dies is due again after the lease.
    """
    o = t.outbox.c
    more = {"due": lease, "attempts": o.attempts + 1}
    return ledger.claim(QueuedMessage, o.due <= now, limit=limit, **more)


def settle_message(
    ledger: Database,
    id: int,
    *,
    sent: datetime | None = None,
    due: datetime | None = None,
    error: str | None = None,
) -> None:
    """Store the result of an attempt: *sent*, or an *error* and when the next attempt is *due*."""
    ledger.update(t.outbox, t.outbox.c.id == id, sent=sent, due=due, error=error)


def retry_message(ledger: Database, id: int, now: datetime) -> bool:
    """Make an undelivered message due at once; return whether there is one."""
    o = t.outbox.c
    return ledger.update(t.outbox, o.id == id, o.sent.is_(None), due=now) > 0


def messages(ledger: Database, limit: int = 50) -> list[QueuedMessage]:
    return ledger.select(QueuedMessage, order=[t.outbox.c.id.desc()], limit=limit)


def newest_message(ledger: Database, topic: str) -> QueuedMessage | None:
    """Return the newest message about a topic, None without any."""
    o = t.outbox.c
    return ledger.first(QueuedMessage, o.topic == topic, order=[o.id.desc()])


def count_undelivered(ledger: Database) -> int:
    """Count the messages that were not delivered yet."""
    return ledger.count(t.outbox, t.outbox.c.sent.is_(None))


def prune_messages(ledger: Database, before: datetime) -> None:
    """Delete the messages delivered before a time, and the alerts and silences that ended before.

    The newest report of each source stays: the next one is compared with it.
    """
    c = t.outbox.c
    reports = sa.select(sa.func.max(c.id)).where(c.topic.startswith(REPORT_TOPIC))
    ledger.delete(t.outbox, c.sent < before, c.id.not_in(reports.group_by(c.topic)))
    ledger.delete(t.alert, t.alert.c.ended < before)
    ledger.delete(t.silence, t.silence.c.until < before)


# ---- alerts and silences


def alerts(ledger: Database, *, is_open: bool, limit: int = 200) -> list[Alert]:
    """Return the open alerts, or those that ended, the newest first."""
    c = t.alert.c
    condition = c.ended.is_(None) if is_open else c.ended.is_not(None)
    return ledger.select(Alert, condition, order=[c.id.desc()], limit=limit)


def change_alert(
    ledger: Database, id: int, messages: Sequence[Message], now: datetime, **values: object
) -> None:
    """Set values of an alert and queue its messages, in one transaction."""
    with ledger.transaction() as connection:
        insert_messages(connection, messages, now)
        connection.execute(sa.update(t.alert).where(t.alert.c.id == id).values(values))


def silences(ledger: Database, now: datetime) -> list[Silence]:
    """Return the silences that hold at *now*."""
    return ledger.select(Silence, t.silence.c.until > now, order=[t.silence.c.id])


def end_silence(ledger: Database, id: int) -> bool:
    """Delete a silence; return whether there was one."""
    return ledger.delete(t.silence, t.silence.c.id == id) > 0


# ---- subscriptions

# The time between two comparisons, by frequency.
INTERVALS: Mapping[str, timedelta] = MappingProxyType(
    {"change": timedelta(0), "day": timedelta(days=1), "week": timedelta(weeks=1)}
)


def add_subscription(
    ledger: Database,
    channel: str,
    address: str,
    search: str,
    title: str,
    language: str,
    frequency: str,
    now: datetime,
) -> Subscription:
    """Store a subscription that waits to be confirmed; return it."""
    secret = secrets.token_urlsafe(24)
    item = Subscription(0, channel, address, search, title, language, frequency, secret, now)
    return replace(item, id=ledger.add(item))


def subscription(ledger: Database, secret: str) -> Subscription | None:
    """Return the subscription whose links have a secret, or None."""
    return ledger.first(Subscription, t.subscription.c.secret == secret)


def count_subscriptions(
    ledger: Database, address: str | None = None, since: datetime | None = None
) -> int:
    """Count the subscriptions, only those of *address* and those made since a time, if not None."""
    c = t.subscription.c
    where = [c.address == address] if address is not None else []
    return ledger.count(t.subscription, *where, *([c.created >= since] if since else []))


def confirm_subscription(ledger: Database, id: int, now: datetime) -> None:
    """Mark a subscription as confirmed; its first comparison is due. A second call changes nothing."""
    c = t.subscription.c
    ledger.update(t.subscription, c.id == id, c.confirmed.is_(None), confirmed=now, due=now)


def end_subscription(ledger: Database, topic: str) -> bool:
    """Delete a subscription and its messages by their topic; return whether there was one. Other
    topics are ignored.
    """
    number = topic.removeprefix(FOLLOW_TOPIC)
    if not topic.startswith(FOLLOW_TOPIC) or not number.isdecimal():
        return False
    ended = sa.delete(t.subscription).where(t.subscription.c.id == int(number))
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.outbox).where(t.outbox.c.topic == topic))
        return connection.execute(ended).rowcount > 0


def prune_subscriptions(ledger: Database, before: datetime) -> None:
    """Delete the subscriptions that nobody confirmed and that were made before a time, with their
    messages.
    """
    c = t.subscription.c
    for old in ledger.select(Subscription, c.confirmed.is_(None), c.created < before):
        end_subscription(ledger, old.topic)


def claim_subscriptions(
    ledger: Database, position: int, now: datetime, lease: datetime, limit: int
) -> list[Subscription]:
    """Claim subscriptions that are due and were not compared at a journal entry yet, each for one
    caller only until *lease*.
    """
    c = t.subscription.c
    is_new = sa.or_(c.position.is_(None), c.position < position)
    return ledger.claim(Subscription, c.due <= now, is_new, limit=limit, due=lease)


def settle_subscription(
    ledger: Database,
    item: Subscription,
    position: int,
    results: Mapping[str, str] | None,
    messages: Iterable[Message],
    now: datetime,
) -> None:
    """Store the results of a comparison, queue its messages, and set when the next is due, in one
    transaction.

    With *results* None, earlier results stay. Nothing is queued if the subscription has ended
    meanwhile.
    """
    new = {"results": results} if results is not None else {}
    due = now + INTERVALS[item.frequency]
    update = sa.update(t.subscription).where(t.subscription.c.id == item.id)
    with ledger.transaction() as connection:
        if connection.execute(update.values(position=position, due=due, **new)).rowcount:
            insert_messages(connection, list(messages), now)
