"""Store submissions of stakeholders with their authors, history and links. Mail addresses are in
these tables and the outbox alone.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from harvesters.errors import LedgerError
from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.row_mapping import aware, naive, utc

Content = Mapping[str, Any]  # the members of our own JSON that a submission may have
SUBMITTER = "submitter"  # in the history, in place of the person
_ID_BYTES = 6  # of random: an id names one record, and is no secret
_SECRET_BYTES = 32
# of a submission
_TIMES = (
    "created",
    "updated",
    "waiting_since",
    "first_accepted",
    "withdrawn",
    "confirmed",
    "reminded",
)
_FETCHED = 500  # rows at once


class SubmissionState(StrEnum):
    """What a submission waits for, or how it ended."""

    DRAFT = "draft"  # its author has not sent it
    SUBMITTED = "submitted"  # a moderator has to decide
    QUARANTINED = "quarantined"  # scored as unwanted; a moderator may decide
    CHANGES_REQUESTED = "changes-requested"  # its author has to change it
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SPAM = "spam"
    WITHDRAWN = "withdrawn"


class Purpose(StrEnum):
    """What a link is for."""

    DRAFT = "draft"  # opens a draft, as often as wanted
    CONFIRM = "confirm"  # confirms a mail address, once
    SESSION = "session"  # opens what is a submitter's, as often as wanted
    SIGN_IN = "sign-in"  # waits for the answer of a provider, once
    STILL_TRUE = "still-true"  # confirms that what is published is still true, once
    TRANSFER = "transfer"  # gives a submission to who uses it, once


@dataclass(frozen=True, slots=True)
class Submitter:
    """A person with a confirmed address, or an organization with an API key; the other is None."""

    id: str
    mail: str | None
    organization: str | None
    language: str
    created: datetime

    @property
    def name(self) -> str:
        """Return the name in the history: that of an organization; persons are not named."""
        return self.organization or SUBMITTER


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission. *content* is its newest version, *published* the accepted one; times are UTC.

    *waiting_since* is when it was sent to the moderators, None if none of them has to act.
    *confirmed* is when its submitter last sent what is published, or said that it is still true,
    *reminded* when the submitter was last asked to.
    """

    id: str
    submitter: str | None
    state: SubmissionState
    version: int
    content: Content
    published: Content | None
    title: str
    language: str
    created: datetime
    updated: datetime
    waiting_since: datetime | None = None
    first_accepted: datetime | None = None
    withdrawn: datetime | None = None
    assigned: str | None = None
    endorsed_by: str | None = None
    confirmed: datetime | None = None
    reminded: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubmissionEvent:
    """A line of the history; *internal* ones are for moderators, *content* is that of *version* if
    it changed.
    """

    what: str
    who: str
    time: datetime
    note: str | None = None
    internal: bool = False
    version: int = 1
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A link or session: what it is for, and what it opens or confirms."""

    purpose: Purpose
    created: datetime
    expires: datetime
    mail: str | None = None
    submitter: str | None = None
    submission: str | None = None
    used: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """New values of a submission: *values* are columns, *event* is added to its history."""

    event: SubmissionEvent
    values: Mapping[str, Any] = field(default_factory=dict)


def new_id() -> str:
    """Return the id of a new submission or submitter."""
    return secrets.token_hex(_ID_BYTES)


def add(ledger: Database, submission: Submission, event: SubmissionEvent) -> None:
    """Store a new submission."""
    add_all(ledger, [(submission, event)])


def add_all(ledger: Database, items: Iterable[tuple[Submission, SubmissionEvent]]) -> None:
    """Store new submissions, all or none, each with the first line of its history."""
    with ledger.transaction() as connection:
        for submission, event in items:
            connection.execute(sa.insert(t.submission).values(_row(submission)))
            _insert_event(connection, submission.id, event)


def find(ledger: Database, id: str) -> Submission | None:
    """Return the submission with this id, or None."""
    with ledger.transaction() as connection:
        row = connection.execute(
            sa.select(t.submission).where(t.submission.c.id == id)
        ).one_or_none()
    return _submission(row) if row else None


def change(ledger: Database, submission: Submission, change: Change) -> bool:
    """Change a submission, if it still has the version of *submission*; return whether it had. The
    version is counted up.
    """
    s = t.submission.c
    values = {name: _stored(value) for name, value in change.values.items()} | _picture_names(
        change.values
    )
    update = sa.update(t.submission).where(s.id == submission.id, s.version == submission.version)
    with ledger.transaction() as connection:
        if not connection.execute(update.values(version=submission.version + 1, **values)).rowcount:
            return False
        _insert_event(connection, submission.id, change.event)
    return True


def annotate(ledger: Database, id: str, event: SubmissionEvent, values: Mapping[str, Any]) -> None:
    """Add a line to the history, and change what is no part of a version, such as who it is
    assigned to.
    """
    stored = {name: _stored(value) for name, value in values.items()}
    with ledger.transaction() as connection:
        if stored:
            connection.execute(
                sa.update(t.submission).where(t.submission.c.id == id).values(**stored)
            )
        _insert_event(connection, id, event)


def delete_draft(ledger: Database, id: str) -> None:
    """Delete a draft with its history and links."""
    with ledger.transaction() as connection:
        connection.execute(
            sa.delete(t.submission_event).where(t.submission_event.c.submission == id)
        )
        connection.execute(sa.delete(t.submission_link).where(t.submission_link.c.submission == id))
        connection.execute(
            sa.delete(t.submission).where(
                t.submission.c.id == id, t.submission.c.state == SubmissionState.DRAFT.value
            )
        )


def history(ledger: Database, id: str, *, internal: bool) -> list[SubmissionEvent]:
    """Return the history of a submission, the oldest first; with the *internal* lines, or without."""
    e = t.submission_event.c
    query = sa.select(t.submission_event).where(e.submission == id).order_by(e.id)
    with ledger.transaction() as connection:
        rows = connection.execute(query if internal else query.where(e.internal.is_(False))).all()
    return [
        SubmissionEvent(
            row.what,
            row.who,
            utc(row.time),
            row.note,
            row.internal,
            row.version,
            _loaded(row.content),
        )
        for row in rows
    ]


def unname(ledger: Database, id: str, organization: str) -> None:
    """Name an organization as the submitter in the history of a submission that another has now."""
    e = t.submission_event.c
    with ledger.transaction() as connection:
        connection.execute(
            sa.update(t.submission_event)
            .where(e.submission == id, e.who == organization)
            .values(who=SUBMITTER)
        )


def forget_contents(ledger: Database, id: str) -> None:
    """Delete the former versions of a submission from its history."""
    e = t.submission_event.c
    with ledger.transaction() as connection:
        connection.execute(
            sa.update(t.submission_event).where(e.submission == id).values(content=None)
        )


def of_submitter(ledger: Database, submitter: str) -> list[Submission]:
    """Return the submissions of a submitter, the newest first."""
    s = t.submission.c
    query = sa.select(t.submission).where(s.submitter == submitter).order_by(s.updated.desc(), s.id)
    with ledger.transaction() as connection:
        return [_submission(row) for row in connection.execute(query).all()]


def in_states(ledger: Database, states: Sequence[SubmissionState], limit: int) -> list[Submission]:
    """Return submissions in these states: those that wait longest first, then the newest."""
    s = t.submission.c
    query = sa.select(t.submission).where(s.state.in_([state.value for state in states]))
    query = query.order_by(
        s.waiting_since.is_(None), s.waiting_since, s.updated.desc(), s.id
    ).limit(limit)
    with ledger.transaction() as connection:
        return [_submission(row) for row in connection.execute(query).all()]


def waiting(ledger: Database) -> tuple[int, datetime | None]:
    """Return how many submissions wait for a moderator, and since when the oldest does."""
    query = sa.select(sa.func.count(), sa.func.min(t.submission.c.waiting_since)).where(
        t.submission.c.waiting_since.is_not(None)
    )
    with ledger.transaction() as connection:
        number, oldest = connection.execute(query).one()
    return number, aware(oldest)


def with_title(ledger: Database, title: str, limit: int, *, unpublished: bool) -> list[Submission]:
    """Return submissions with this title, whatever its case: the published ones, and with
    *unpublished* those that wait.
    """
    s = t.submission.c
    states = (
        SubmissionState.SUBMITTED,
        SubmissionState.CHANGES_REQUESTED,
        SubmissionState.ACCEPTED,
    )
    query = sa.select(t.submission).where(
        sa.func.lower(s.title) == title.lower(), s.state.in_([state.value for state in states])
    )
    if not unpublished:
        query = query.where(s.published.is_not(None))
    with ledger.transaction() as connection:
        return [
            _submission(row) for row in connection.execute(query.order_by(s.id).limit(limit)).all()
        ]


def published(ledger: Database) -> Iterator[tuple[str, Content | None]]:
    """Yield what the source of submissions has, by id: the accepted content with the day on which
    it was last confirmed, as ``lastReviewed``, and None for what was withdrawn after that.
    """
    s = t.submission.c
    query = (
        sa.select(s.id, s.published, s.withdrawn, s.confirmed)
        .where(s.first_accepted.is_not(None))
        .order_by(s.id)
    )
    with ledger.transaction() as connection:
        for row in connection.execution_options(yield_per=_FETCHED).execute(query):
            if row.withdrawn is not None or row.published is not None:
                yield row.id, None if row.withdrawn is not None else _with_confirmation(row)


def _with_confirmation(row: Any) -> Content:
    content = _loaded(row.published) or {}
    return (
        {**content, "lastReviewed": f"{utc(row.confirmed):%Y-%m-%d}"}
        if row.confirmed is not None
        else content
    )


def to_remind(
    ledger: Database, confirmed_before: datetime, reminded_before: datetime, limit: int
) -> list[tuple[Submission, str]]:
    """Return published submissions of persons, each with its mail address, that were last confirmed
    before a time.

    Those whose submitter was asked after *reminded_before* are left out, and those that wait for
    somebody.
    """
    s, who = t.submission.c, t.submitter.c
    last = sa.func.coalesce(s.confirmed, s.first_accepted)
    query = (
        sa.select(t.submission, who.mail)
        .join(t.submitter, who.id == s.submitter)
        .where(
            s.state == SubmissionState.ACCEPTED.value,
            s.published.is_not(None),
            who.mail.is_not(None),
        )
        .where(
            last < naive(confirmed_before),
            sa.or_(s.reminded.is_(None), s.reminded < naive(reminded_before)),
        )
        .order_by(last, s.id)
        .limit(limit)
    )
    with ledger.transaction() as connection:
        rows = connection.execute(query).all()
    return [(_submission(row), row.mail) for row in rows]


def submitter_of(
    ledger: Database,
    *,
    mail: str | None = None,
    organization: str | None = None,
    id: str | None = None,
) -> Submitter | None:
    """Return the submitter with this address, organization or id; None if there is none."""
    c = t.submitter.c
    condition = (
        c.id == id if id else c.organization == organization if organization else c.mail == mail
    )
    with ledger.transaction() as connection:
        row = connection.execute(sa.select(t.submitter).where(condition)).one_or_none()
    return (
        Submitter(row.id, row.mail, row.organization, row.language, utc(row.created))
        if row
        else None
    )


def ensure_submitter(ledger: Database, submitter: Submitter) -> Submitter:
    """Store a submitter unless its address or organization is known; return the stored one."""
    known = submitter_of(ledger, mail=submitter.mail, organization=submitter.organization)
    if known:
        return known
    values = {name: getattr(submitter, name) for name in ("id", "mail", "organization", "language")}
    try:
        with ledger.transaction() as connection:
            connection.execute(
                sa.insert(t.submitter).values(created=naive(submitter.created), **values)
            )
    except LedgerError:  # another request stored it at the same time
        stored = submitter_of(ledger, mail=submitter.mail, organization=submitter.organization)
        if stored is None:
            raise
        return stored
    return submitter


def delete_submitter(ledger: Database, submitter: Submitter) -> None:
    """Delete a submitter, its links, its messages in the outbox, its unpublished submissions and
    pictures; the others lose their author.
    """
    s, e = t.submission.c, t.submission_event.c
    unpublished = sa.select(s.id).where(s.submitter == submitter.id, s.first_accepted.is_(None))
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.submission_event).where(e.submission.in_(unpublished)))
        connection.execute(sa.delete(t.submission).where(s.id.in_(unpublished.scalar_subquery())))
        connection.execute(
            sa.update(t.submission).where(s.submitter == submitter.id).values(submitter=None)
        )
        connection.execute(
            sa.delete(t.submission_link).where(t.submission_link.c.submitter == submitter.id)
        )
        if submitter.mail:
            connection.execute(
                sa.delete(t.submission_link).where(t.submission_link.c.mail == submitter.mail)
            )
            connection.execute(sa.delete(t.outbox).where(t.outbox.c.address == submitter.mail))
        connection.execute(sa.delete(t.submitter).where(t.submitter.c.id == submitter.id))


def create_link(ledger: Database, link: Link) -> str:
    """Store a link; return its secret, which is not stored."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    values = {name: getattr(link, name) for name in ("mail", "submitter", "submission")}
    times = {"created": naive(link.created), "expires": naive(link.expires)}
    with ledger.transaction() as connection:
        connection.execute(
            sa.insert(t.submission_link).values(
                hash=_hash(secret), purpose=link.purpose.value, **values, **times
            )
        )
    return secret


def find_link(ledger: Database, secret: str, purpose: Purpose) -> Link | None:
    """Return the link with this secret, also if it has expired or was used; None if there is none."""
    c = t.submission_link.c
    with ledger.transaction() as connection:
        row = connection.execute(
            sa.select(t.submission_link).where(c.hash == _hash(secret), c.purpose == purpose.value)
        ).one_or_none()
    if row is None:
        return None
    return Link(
        purpose,
        utc(row.created),
        utc(row.expires),
        row.mail,
        row.submitter,
        row.submission,
        aware(row.used),
    )


def use_link(ledger: Database, secret: str, now: datetime) -> bool:
    """Mark a link as used; return whether this call did, so that only one of two does."""
    c = t.submission_link.c
    update = sa.update(t.submission_link).where(c.hash == _hash(secret), c.used.is_(None))
    with ledger.transaction() as connection:
        return bool(connection.execute(update.values(used=naive(now))).rowcount)


def end_link(ledger: Database, secret: str) -> None:
    """Delete a link, such as a session that ends."""
    with ledger.transaction() as connection:
        connection.execute(
            sa.delete(t.submission_link).where(t.submission_link.c.hash == _hash(secret))
        )


def count_links(ledger: Database, mail: str, since: datetime) -> int:
    """Return how many links were sent to an address since a time."""
    c = t.submission_link.c
    query = sa.select(sa.func.count()).where(c.mail == mail, c.created >= naive(since))
    with ledger.transaction() as connection:
        return int(connection.execute(query).scalar_one())


def prune(
    ledger: Database,
    now: datetime,
    drafts_before: datetime,
    quarantined_before: datetime = datetime.min,
) -> None:
    """Delete expired links, drafts that were last changed before *drafts_before*, and persons
    without any submission or link.

    Spam and quarantined submissions that were last changed before *quarantined_before* are deleted
    too, unless they were published.
    """
    s, link, who = t.submission.c, t.submission_link.c, t.submitter.c
    is_unwanted = s.state.in_(
        (SubmissionState.SPAM.value, SubmissionState.QUARANTINED.value)
    ) & s.first_accepted.is_(None)
    is_old = (s.state == SubmissionState.DRAFT.value) & (s.updated < naive(drafts_before))
    is_old |= is_unwanted & (s.updated < quarantined_before.replace(tzinfo=None))
    old = sa.select(s.id).where(is_old)
    used = sa.union(sa.select(s.submitter).where(s.submitter.is_not(None)), sa.select(link.submitter).where(link.submitter.is_not(None)),
                    sa.select(t.comment.c.submitter).where(t.comment.c.submitter.is_not(None)),
                    sa.select(t.prize_nomination.c.submitter).where(t.prize_nomination.c.submitter.is_not(None)))  # fmt: skip
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.submission_link).where(link.expires < naive(now)))
        connection.execute(
            sa.delete(t.submission_event).where(t.submission_event.c.submission.in_(old))
        )
        connection.execute(sa.delete(t.submission).where(s.id.in_(old.scalar_subquery())))
        connection.execute(
            sa.delete(t.submitter).where(who.organization.is_(None), who.id.not_in(used))
        )


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="replace")).hexdigest()


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return naive(value)
    if isinstance(value, SubmissionState):
        return value.value
    return (
        json.dumps(value, ensure_ascii=False, sort_keys=True)
        if isinstance(value, Mapping)
        else value
    )


def _loaded(text: str | None) -> Content | None:
    loaded: Content | None = json.loads(text) if text is not None else None
    return loaded


def picture_of(content: Content | None) -> str | None:
    """Return the name of the picture of a content, None without one."""
    about = (content or {}).get("picture")
    return about.get("id") if isinstance(about, Mapping) else None


def _picture_names(values: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the columns that name the pictures of the contents among *values*."""
    columns = {"content": "picture", "published": "published_picture"}
    return {column: picture_of(values[name]) for name, column in columns.items() if name in values}


def _row(submission: Submission) -> dict[str, Any]:
    values = {name: getattr(submission, name) for name in Submission.__slots__}
    return {**{name: _stored(value) for name, value in values.items()}, **_picture_names(values)}


def _submission(row: Any) -> Submission:
    values = {name: row._mapping[name] for name in Submission.__slots__}
    times = {name: aware(values[name]) for name in _TIMES}
    contents = {name: _loaded(values[name]) for name in ("content", "published")}
    return Submission(**{**values, **times, **contents, "state": SubmissionState(values["state"])})


def _insert_event(connection: sa.Connection, id: str, event: SubmissionEvent) -> None:
    values = {name: _stored(getattr(event, name)) for name in SubmissionEvent.__slots__}
    connection.execute(sa.insert(t.submission_event).values(submission=id, **values))
