"""Store messages until they are delivered, alerts while they last, and silences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import LedgerPart
from harvesters.ledger.row_mapping import aware, naive, utc
from harvesters.reasons import Reason

REPORT_TOPIC = "report "  # begins the topic of a report to a registry; the source follows


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send: *channel* is mail or webhook, *address* its recipient.

    Mail has *subject* and *text*; a webhook gets *data* as JSON. *topic* says what it is about,
    such as the rule of an alert. In the *data* of mail, ``unsubscribe`` is the address that ends
    the messages.
    """

    channel: str
    address: str
    topic: str
    subject: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message in the queue; *due* is its next attempt, None after delivery or if it was given up."""

    id: int
    message: Message
    created: datetime
    attempts: int
    due: datetime | None
    sent: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that holds since *since* (UTC): *rule* found it at *source* (empty: everywhere).

    *notified* is whether its messages were queued; not so while it is silenced.
    """

    id: int
    rule: str
    source: str
    since: datetime
    reason: Reason
    notified: bool = False
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """No messages of *rule* about *source* until *until* (UTC); an empty name stands for all."""

    id: int
    rule: str
    source: str
    until: datetime
    by: str
    reason: str

    def covers(self, rule: str, source: str) -> bool:
        """Return whether the silence is about this rule and source."""
        return self.rule in ("", rule) and self.source in ("", source)


class Outbox(LedgerPart):
    """The part of the ledger for messages, alerts and silences."""

    def queue_messages(self, messages: Iterable[Message], now: datetime) -> None:
        """Queue messages; they are due at once."""
        with self._begin() as connection:
            insert_messages(connection, messages, now)

    def claim_messages(self, now: datetime, lease: datetime, limit: int) -> list[QueuedMessage]:
        """Claim due messages, each for one caller only: until *lease* nobody else gets them.

        A message whose sender dies is due again after the lease.
        """
        o = t.outbox.c
        claimed: list[QueuedMessage] = []
        query = sa.select(t.outbox).where(o.due <= naive(now)).order_by(o.due, o.id).limit(limit)
        with self._begin() as connection:
            for row in connection.execute(query).all():
                update = sa.update(t.outbox).where(o.id == row.id, o.due == row.due)
                values = {"due": naive(lease), "attempts": row.attempts + 1}
                if connection.execute(update.values(values)).rowcount:
                    claimed.append(_queued({**row._mapping, **values}))
        return claimed

    def settle_message(
        self,
        id: int,
        *,
        sent: datetime | None = None,
        due: datetime | None = None,
        error: str | None = None,
    ) -> None:
        """Store what became of an attempt: *sent*, or an *error* and when the next attempt is
        *due*.
        """
        values = {"sent": naive(sent), "due": naive(due), "error": error}
        with self._begin() as connection:
            connection.execute(sa.update(t.outbox).where(t.outbox.c.id == id).values(values))

    def retry_message(self, id: int, now: datetime) -> bool:
        """Make an undelivered message due at once; return whether there is one."""
        o = t.outbox.c
        query = sa.update(t.outbox).where(o.id == id, o.sent.is_(None)).values(due=naive(now))
        with self._begin() as connection:
            return connection.execute(query).rowcount > 0

    def messages(self, limit: int = 50) -> list[QueuedMessage]:
        """Return the newest messages."""
        query = sa.select(t.outbox).order_by(t.outbox.c.id.desc()).limit(limit)
        with self._begin() as connection:
            return [_queued(row) for row in connection.execute(query).mappings().all()]

    def newest_message(self, topic: str) -> QueuedMessage | None:
        """Return the newest message about a topic, None without any."""
        query = (
            sa.select(t.outbox)
            .where(t.outbox.c.topic == topic)
            .order_by(t.outbox.c.id.desc())
            .limit(1)
        )
        with self._begin() as connection:
            row = connection.execute(query).mappings().first()
        return _queued(row) if row else None

    def count_undelivered(self) -> int:
        """Count the messages that were not delivered yet."""
        query = sa.select(sa.func.count()).select_from(t.outbox).where(t.outbox.c.sent.is_(None))
        with self._begin() as connection:
            return connection.scalar(query) or 0

    def prune_messages(self, before: datetime) -> None:
        """Delete the messages delivered before a time, and the alerts and silences that ended
        before.

        The newest report of each source stays: the next one is compared with it.
        """
        time, c = naive(before), t.outbox.c
        newest = (
            sa.select(sa.func.max(c.id)).where(c.topic.startswith(REPORT_TOPIC)).group_by(c.topic)
        )
        with self._begin() as connection:
            connection.execute(sa.delete(t.outbox).where(c.sent < time, c.id.not_in(newest)))
            for column in (t.alert.c.ended, t.silence.c.until):
                connection.execute(sa.delete(column.table).where(column < time))

    # ---- alerts

    def alerts(self, *, is_open: bool, limit: int = 200) -> list[Alert]:
        """Return the open alerts, or those that ended, the newest first."""
        c = t.alert.c
        query = sa.select(t.alert).where(c.ended.is_(None) if is_open else c.ended.is_not(None))
        with self._begin() as connection:
            rows = connection.execute(query.order_by(c.id.desc()).limit(limit)).all()
        return [
            Alert(
                row.id,
                row.rule,
                row.source,
                utc(row.since),
                Reason.from_json(json.loads(row.reason)),
                row.notified,
                aware(row.ended),
            )
            for row in rows
        ]

    def open_alert(self, rule: str, source: str, since: datetime, reason: Reason) -> int:
        """Store a new alert; return its number."""
        values = {
            "rule": rule,
            "source": source,
            "since": naive(since),
            "reason": json.dumps(asdict(reason)),
            "notified": False,
        }
        with self._begin() as connection:
            inserted = connection.execute(sa.insert(t.alert).values(values))
            return int(inserted.inserted_primary_key[0]) if inserted.inserted_primary_key else 0

    def notify_alert(self, id: int, messages: Sequence[Message], now: datetime) -> None:
        """Queue an alert's messages and mark it as notified, in one transaction."""
        with self._begin() as connection:
            insert_messages(connection, messages, now)
            connection.execute(sa.update(t.alert).where(t.alert.c.id == id).values(notified=True))

    def end_alert(self, id: int, messages: Sequence[Message], now: datetime) -> None:
        """End an alert and queue its last messages, in one transaction."""
        with self._begin() as connection:
            insert_messages(connection, messages, now)
            connection.execute(
                sa.update(t.alert).where(t.alert.c.id == id).values(ended=naive(now))
            )

    # ---- silences

    def silence(self, rule: str, source: str, until: datetime, by: str, reason: str) -> None:
        """Store a silence."""
        values = {"rule": rule, "source": source, "until": naive(until), "by": by, "reason": reason}
        with self._begin() as connection:
            connection.execute(sa.insert(t.silence).values(values))

    def silences(self, now: datetime) -> list[Silence]:
        """Return the silences that hold at *now*."""
        c = t.silence.c
        query = sa.select(t.silence).where(c.until > naive(now)).order_by(c.id)
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return [
            Silence(row.id, row.rule, row.source, utc(row.until), row.by, row.reason)
            for row in rows
        ]

    def end_silence(self, id: int) -> bool:
        """Delete a silence; return whether there was one."""
        with self._begin() as connection:
            return connection.execute(sa.delete(t.silence).where(t.silence.c.id == id)).rowcount > 0


def insert_messages(connection: sa.Connection, messages: Iterable[Message], now: datetime) -> None:
    """Queue messages within a transaction; they are due at once."""
    rows = [
        {
            **asdict(message),
            "data": json.dumps(dict(message.data), ensure_ascii=False),
            "created": naive(now),
            "due": naive(now),
            "attempts": 0,
        }
        for message in messages
    ]
    if rows:
        connection.execute(sa.insert(t.outbox), rows)


def _queued(row: Mapping[Any, Any]) -> QueuedMessage:
    message = Message(
        row["channel"],
        row["address"],
        row["topic"],
        row["subject"],
        row["text"],
        json.loads(row["data"]),
    )
    return QueuedMessage(
        row["id"],
        message,
        utc(row["created"]),
        row["attempts"],
        aware(row["due"]),
        aware(row["sent"]),
        row["error"],
    )
