"""Store who follows which search, until they end it: then everything about them is deleted, their
messages too.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.compression import compress, decompress
from harvesters.ledger.database import LedgerPart
from harvesters.ledger.outbox import Message, insert_messages
from harvesters.ledger.row_mapping import aware, naive, utc

FOLLOW_TOPIC = "follow "  # begins the topic of a subscription's messages; its number follows
# between comparisons, by frequency
INTERVALS: Mapping[str, timedelta] = MappingProxyType(
    {"change": timedelta(0), "day": timedelta(days=1), "week": timedelta(weeks=1)}
)


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who follows a search: *channel* is mail or webhook, *search* the parameters of its address;
    times are UTC.

    *results* are what was found at the last comparison, at the journal entry *position*: the time
    of the last change by IRI. None before the first. *confirmed* is None until the recipient has
    confirmed it.
    """

    id: int
    channel: str
    address: str
    search: str
    title: str
    language: str
    frequency: str
    secret: str
    created: datetime
    confirmed: datetime | None = None
    position: int | None = None
    results: Mapping[str, str] | None = None

    @property
    def topic(self) -> str:
        """Return the topic of its messages."""
        return f"{FOLLOW_TOPIC}{self.id}"


class Subscriptions(LedgerPart):
    """The part of the ledger for those who follow a search."""

    def add_subscription(
        self,
        channel: str,
        address: str,
        search: str,
        title: str,
        language: str,
        frequency: str,
        now: datetime,
    ) -> Subscription:
        """Store a subscription that waits to be confirmed; return it."""
        values = {
            "channel": channel,
            "address": address,
            "search": search,
            "title": title,
            "language": language,
            "frequency": frequency,
            "secret": secrets.token_urlsafe(24),
            "created": now,
        }
        with self._begin() as connection:
            inserted = connection.execute(
                sa.insert(t.subscription).values({**values, "created": naive(now)})
            )
        number = int(inserted.inserted_primary_key[0]) if inserted.inserted_primary_key else 0
        return Subscription(id=number, **values)  # type: ignore[arg-type]  # the values are those of its fields

    def subscription(self, secret: str) -> Subscription | None:
        """Return the subscription whose links have a secret, or None."""
        return next(
            iter(
                self._subscriptions(
                    sa.select(t.subscription).where(t.subscription.c.secret == secret)
                )
            ),
            None,
        )

    def count_subscriptions(self, address: str | None = None, since: datetime | None = None) -> int:
        """Count the subscriptions, of an address and made since a time if these are given."""
        c = t.subscription.c
        query = sa.select(sa.func.count()).select_from(t.subscription)
        query = query.where(c.address == address) if address is not None else query
        query = query.where(c.created >= naive(since)) if since is not None else query
        with self._begin() as connection:
            return connection.scalar(query) or 0

    def confirm_subscription(self, id: int, now: datetime) -> None:
        """Mark a subscription as confirmed; its first comparison is due. A second call changes
        nothing.
        """
        c = t.subscription.c
        query = sa.update(t.subscription).where(c.id == id, c.confirmed.is_(None))
        with self._begin() as connection:
            connection.execute(query.values(confirmed=naive(now), due=naive(now)))

    def end_subscription(self, topic: str) -> bool:
        """Delete a subscription and its messages by their topic; return whether there was one.
        Other topics are ignored.
        """
        number = topic.removeprefix(FOLLOW_TOPIC)
        if not topic.startswith(FOLLOW_TOPIC) or not number.isdecimal():
            return False
        with self._begin() as connection:
            connection.execute(sa.delete(t.outbox).where(t.outbox.c.topic == topic))
            return (
                connection.execute(
                    sa.delete(t.subscription).where(t.subscription.c.id == int(number))
                ).rowcount
                > 0
            )

    def prune_subscriptions(self, before: datetime) -> None:
        """Delete the subscriptions that nobody confirmed and that were made before a time, with
        their messages.
        """
        c = t.subscription.c
        for old in self._subscriptions(
            sa.select(t.subscription).where(c.confirmed.is_(None), c.created < naive(before))
        ):
            self.end_subscription(old.topic)

    def claim_subscriptions(
        self, position: int, now: datetime, lease: datetime, limit: int
    ) -> list[Subscription]:
        """Claim subscriptions that are due and were not compared at a journal entry yet, each for
        one caller only until *lease*.
        """
        c = t.subscription.c
        claimed = []
        is_new = sa.or_(c.position.is_(None), c.position < position)
        query = (
            sa.select(t.subscription)
            .where(c.due <= naive(now), is_new)
            .order_by(c.due, c.id)
            .limit(limit)
        )
        with self._begin() as connection:
            for row in connection.execute(query).mappings().all():
                update = sa.update(t.subscription).where(c.id == row["id"], c.due == row["due"])
                if connection.execute(update.values(due=naive(lease))).rowcount:
                    claimed.append(_subscription(row))
        return claimed

    def settle_subscription(
        self,
        item: Subscription,
        position: int,
        results: Mapping[str, str] | None,
        messages: Iterable[Message],
        now: datetime,
    ) -> None:
        """Store what a comparison found, queue its messages, and set when the next is due, in one
        transaction.

        With *results* None those of before are kept. Nothing is queued if the subscription has
        ended meanwhile.
        """
        values: dict[str, Any] = {
            "position": position,
            "due": naive(now + INTERVALS[item.frequency]),
        }
        if results is not None:
            values["results"] = compress(json.dumps(dict(results), ensure_ascii=False))
        with self._begin() as connection:
            if connection.execute(
                sa.update(t.subscription).where(t.subscription.c.id == item.id).values(values)
            ).rowcount:
                insert_messages(connection, list(messages), now)

    def _subscriptions(self, query: sa.Select[Any]) -> list[Subscription]:
        with self._begin() as connection:
            rows: Sequence[Any] = connection.execute(query).mappings().all()
        return [_subscription(row) for row in rows]


def _subscription(row: Mapping[Any, Any]) -> Subscription:
    values = {
        name: row[name]
        for name in (
            "id",
            "channel",
            "address",
            "search",
            "title",
            "language",
            "frequency",
            "secret",
            "position",
        )
    }
    stored = json.loads(decompress(row["results"])) if row["results"] else None
    return Subscription(
        **values, created=utc(row["created"]), confirmed=aware(row["confirmed"]), results=stored
    )
