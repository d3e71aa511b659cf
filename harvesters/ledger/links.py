"""Store the links of records, when each is checked next, and the history of their states."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.row_mapping import aware, batches, naive, utc

MIN_FAILURES = 3  # failed checks in a row before a link is gone
MIN_DURATION = timedelta(days=3)  # of failures, at least
_PAUSES = {
    "alive": timedelta(days=14),
    "moved": timedelta(days=14),
    "blocked": timedelta(days=14),
    "gone": timedelta(days=7),
}
_AFTER_FAILURE = timedelta(days=1)
_BATCH = 500  # links of one statement


class LinkState(Enum):
    """The state of a link: it answers, it answers at another address, it does not answer any more,
    or not to us.
    """

    ALIVE = "alive"
    MOVED = "moved"
    GONE = "gone"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class LinkCheck:
    """What one check of a link found: its state, None if it failed. *answer* is the HTTP status or
    the kind of the error.

    *rest* is how long its host asks for no requests.
    """

    state: LinkState | None
    answer: str
    location: str = ""
    rest: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class RecordLink:
    """A link of a source's records: *state* and *since* are None before the first success or the
    end; times are UTC.

    *failures* counts the failed checks in a row, the first at *failing_since*. *location* is where
    a moved link answers.
    """

    source: str
    digest: str
    url: str
    state: LinkState | None
    since: datetime | None
    answer: str | None
    location: str | None
    checked: datetime | None
    failures: int
    failing_since: datetime | None
    due: datetime

    def after(self, check: LinkCheck, now: datetime) -> RecordLink:
        """Return the link after a check. It is gone only after MIN_FAILURES failures in a row over
        at least MIN_DURATION.
        """
        checked = replace(self, answer=check.answer, checked=now)
        if check.state is not None:
            return checked._with_state(check.state, check.location or None, now)
        failing = replace(
            checked,
            failures=self.failures + 1,
            failing_since=self.failing_since or now,
            due=now + _AFTER_FAILURE,
        )
        if (
            failing.failures >= MIN_FAILURES
            and now - (failing.failing_since or now) >= MIN_DURATION
        ):
            return replace(
                failing._with_state(LinkState.GONE, None, now),
                failures=failing.failures,
                failing_since=failing.failing_since,
            )
        return failing

    def _with_state(self, state: LinkState, location: str | None, now: datetime) -> RecordLink:
        since = self.since if state is self.state else now
        due = now + _PAUSES[state.value]
        return replace(
            self,
            state=state,
            since=since,
            location=location,
            failures=0,
            failing_since=None,
            due=due,
        )


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """A link got a state: *answer* is the HTTP status or the kind of the error."""

    state: LinkState
    time: datetime
    answer: str
    location: str | None


def set_links(ledger: Database, source: str, urls: Collection[str], now: datetime) -> None:
    """Store the links of a source's records: new ones are due, those that no record has any more
    are deleted with their history.
    """
    link, event = t.link.c, t.link_state.c
    wanted = {_digest(url): url for url in urls}
    with ledger.transaction() as connection:
        known = set(connection.scalars(sa.select(link.digest).where(link.source == source)))
        for part in batches(sorted(known - wanted.keys()), _BATCH):
            connection.execute(
                sa.delete(t.link).where(link.source == source, link.digest.in_(part))
            )
            connection.execute(
                sa.delete(t.link_state).where(event.source == source, event.digest.in_(part))
            )
        rows = [
            {
                "source": source,
                "digest": digest,
                "url": wanted[digest],
                "failures": 0,
                "due": naive(now),
            }
            for digest in sorted(wanted.keys() - known)
        ]
        if rows:
            connection.execute(sa.insert(t.link), rows)


def due_links(ledger: Database, source: str, now: datetime, limit: int) -> list[RecordLink]:
    """Return the links of a source to check, the longest due first."""
    c = t.link.c
    query = (
        sa.select(t.link)
        .where(c.source == source, c.due <= naive(now))
        .order_by(c.due, c.digest)
        .limit(limit)
    )
    with ledger.transaction() as connection:
        return [_link(row) for row in connection.execute(query).mappings().all()]


def links(ledger: Database, source: str, state: LinkState | None = None) -> Iterator[RecordLink]:
    """Yield the links of a source, of one state if it is given, by digest."""
    c = t.link.c
    query = sa.select(t.link).where(c.source == source).order_by(c.digest).limit(_BATCH)
    query = query.where(c.state == state.value) if state else query
    last = ""
    while True:
        with ledger.transaction() as connection:
            rows = connection.execute(query.where(c.digest > last)).mappings().all()
        yield from map(_link, rows)
        if len(rows) < _BATCH:
            return
        last = rows[-1]["digest"]


def save_link(ledger: Database, before: RecordLink, link: RecordLink) -> None:
    """Store a link after a check, and the change of its state if there is one, in one transaction."""
    c = t.link.c
    values = {
        "state": link.state.value if link.state else None, "since": naive(link.since), "answer": link.answer, "location": link.location,
        "checked": naive(link.checked), "failures": link.failures, "failing_since": naive(link.failing_since), "due": naive(link.due),
    }  # fmt: skip
    with ledger.transaction() as connection:
        connection.execute(
            sa.update(t.link).where(c.source == link.source, c.digest == link.digest).values(values)
        )
        if link.state and (link.state, link.location) != (before.state, before.location):
            event = {
                "source": link.source,
                "digest": link.digest,
                "time": naive(link.checked),
                "answer": link.answer,
            }
            connection.execute(
                sa.insert(t.link_state).values(
                    {**event, "state": link.state.value, "location": link.location}
                )
            )


def link_history(ledger: Database, source: str, url: str) -> list[LinkEvent]:
    """Return the states that a link had, the oldest first."""
    c = t.link_state.c
    query = (
        sa.select(t.link_state).where(c.source == source, c.digest == _digest(url)).order_by(c.id)
    )
    with ledger.transaction() as connection:
        rows = connection.execute(query).all()
    return [
        LinkEvent(LinkState(row.state), utc(row.time), row.answer, row.location) for row in rows
    ]


def _digest(url: str) -> str:
    return sha256(url.encode()).hexdigest()[:32]


def _link(row: Any) -> RecordLink:
    times = {name: aware(row[name]) for name in ("since", "checked", "failing_since")}
    state = LinkState(row["state"]) if row["state"] else None
    return RecordLink(**{**row, **times, "state": state, "due": utc(row["due"])})
