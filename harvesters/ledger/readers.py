"""Store what readers ask for: problems that they report about records and pages, until the record
changes or a person answers, and subscriptions to searches. What ends is deleted with its messages.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.models import Message
from harvesters.ledger.outbox import insert_messages
from harvesters.ledger.participation import (
    FOLLOW_TOPIC,
    UNDECIDED,
    ProblemState,
    ReportedProblem,
    Subscription,
)

TOPIC = "problem "  # begins the topic of a problem's messages to the registry; the number follows


def add_problem(
    ledger: Database,
    source: str,
    key: str,
    category: str,
    text: str,
    address: str | None,
    language: str,
    digest: str,
    now: datetime,
) -> int:
    """Store a problem; return its number."""
    return ledger.add(
        ReportedProblem(
            0, source, key, category, text, address, language, ProblemState.OPEN, digest, now, now
        )
    )


def reported_problem(ledger: Database, id: int) -> ReportedProblem | None:
    return ledger.first(ReportedProblem, t.problem.c.id == id)


def undecided_problems(
    ledger: Database, source: str | None = None, limit: int = 1000
) -> list[ReportedProblem]:
    """Return the problems that are neither answered nor fixed, of one source or of all, oldest
    first.
    """
    c = t.problem.c
    where = [c.state.in_(UNDECIDED), *([c.source == source] if source else [])]
    return ledger.select(ReportedProblem, *where, order=[c.id], limit=limit)


def decide_problem(
    ledger: Database,
    id: int,
    state: ProblemState,
    now: datetime,
    *,
    answer: str | None = None,
    run: str | None = None,
) -> bool:
    """Close an undecided problem and delete its address; return whether it was undecided."""
    values = {"state": state, "changed": now, "answer": answer, "run": run, "address": None}
    c = t.problem.c
    return ledger.update(t.problem, c.id == id, c.state.in_(UNDECIDED), **values) > 0


def mark_problem_sent(ledger: Database, topic: str, now: datetime) -> None:
    """Mark the open problem of a delivered message as sent; other topics are ignored."""
    number = topic.removeprefix(TOPIC)
    if topic.startswith(TOPIC) and number.isdecimal():
        c = t.problem.c
        is_open = (c.id == int(number), c.state == ProblemState.OPEN)
        ledger.update(t.problem, *is_open, state=ProblemState.SENT, changed=now)


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
    claimed = ledger.claim(t.subscription, c.due <= now, is_new, limit=limit, due=lease)
    items = ledger.select(Subscription, c.id.in_(claimed))
    return sorted(items, key=lambda item: claimed.index(item.id))


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
