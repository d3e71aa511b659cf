"""Store submissions of stakeholders with their authors, history, links and pictures, and comments of
readers on posts. Mail addresses are in these tables and the outbox alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database, insert, select_objects
from harvesters.ledger.participation import (
    SUBMITTER,
    Content,
    Link,
    Picture,
    Purpose,
    Submission,
    SubmissionEvent,
    SubmissionState,
    Submitter,
)

_ID_BYTES = 6  # random bytes: an id names one record, and is no secret
_SECRET_BYTES = 32
_NEVER = datetime.min.replace(tzinfo=UTC)
_s, _event, _link, _who = (
    t.submission.c,
    t.submission_event.c,
    t.submission_link.c,
    t.submitter.c,
)


def new_id() -> str:
    return secrets.token_hex(_ID_BYTES)


def add(ledger: Database, *items: tuple[Submission, SubmissionEvent]) -> None:
    """Store new submissions, all or none, each with the first line of its history."""
    with ledger.transaction() as connection:
        for submission, event in items:
            names = {
                "picture": picture_of(submission.content),
                "published_picture": picture_of(submission.published),
            }
            insert(connection, submission, **names)
            insert(connection, event, submission=submission.id)


def find(ledger: Database, id: str) -> Submission | None:
    return ledger.first(Submission, _s.id == id)


def change(
    ledger: Database, submission: Submission, event: SubmissionEvent, values: Mapping[str, Any]
) -> bool:
    """Set *values*, columns of a submission, if it still has the version of *submission*, and add
    *event* to its history; return whether it had. The version is counted up, and pictures that
    nothing names any more are deleted.
    """
    values = {**values, "version": submission.version + 1}
    for content, column in (("content", "picture"), ("published", "published_picture")):
        if content in values:
            values[column] = picture_of(values[content])
    update = sa.update(t.submission).where(_s.id == submission.id, _s.version == submission.version)
    with ledger.transaction() as connection:
        is_changed = connection.execute(update.values(values)).rowcount > 0
        if is_changed:
            insert(connection, event, submission=submission.id)
    if names := picture_names(submission):
        delete_unused(ledger, names)
    return is_changed


def annotate(ledger: Database, id: str, event: SubmissionEvent, values: Mapping[str, Any]) -> None:
    """Add a line to the history, and change *values* that are no part of a version, such as the
    assigned moderator.
    """
    with ledger.transaction() as connection:
        if values:
            connection.execute(sa.update(t.submission).where(_s.id == id).values(dict(values)))
        insert(connection, event, submission=id)


def delete_draft(ledger: Database, id: str) -> None:
    is_draft = sa.and_(_s.id == id, _s.state == SubmissionState.DRAFT)
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.submission_event).where(_event.submission == id))
        connection.execute(sa.delete(t.submission_link).where(_link.submission == id))
        connection.execute(sa.delete(t.submission).where(is_draft))


def history(ledger: Database, id: str, *, internal: bool) -> list[SubmissionEvent]:
    """Return the history of a submission, the oldest first; with the *internal* lines, or without."""
    where = [_event.submission == id, *([] if internal else [_event.internal.is_(False)])]
    return ledger.select(SubmissionEvent, *where, order=[_event.id])


def unname(ledger: Database, id: str, organization: str) -> None:
    """Replace an organization by "the submitter" in the history of a submission that it gave away."""
    by_organization = (_event.submission == id, _event.who == organization)
    ledger.update(t.submission_event, *by_organization, who=SUBMITTER)


def forget_contents(ledger: Database, id: str) -> None:
    """Delete the former versions of a submission from its history."""
    ledger.update(t.submission_event, _event.submission == id, content=None)


def of_submitter(ledger: Database, submitter: str) -> list[Submission]:
    return ledger.select(Submission, _s.submitter == submitter, order=[_s.updated.desc(), _s.id])


def in_states(ledger: Database, states: Sequence[SubmissionState], limit: int) -> list[Submission]:
    """Return submissions in these states: those that wait longest first, then the newest."""
    order = [_s.waiting_since.is_(None), _s.waiting_since, _s.updated.desc(), _s.id]
    return ledger.select(Submission, _s.state.in_(states), order=order, limit=limit)


def comments(ledger: Database, post: str, limit: int) -> list[Submission]:
    """Return the accepted comments on a post, the oldest first."""
    where = [_s.post == post, _s.published.is_not(None)]
    return ledger.select(Submission, *where, order=[_s.created, _s.id], limit=limit)


def count_waiting_comments(ledger: Database) -> int:
    return ledger.count(t.submission, _s.post.is_not(None), _s.waiting_since.is_not(None))


def waiting(ledger: Database) -> tuple[int, datetime | None]:
    """Return how many submissions wait for a moderator, and since when the oldest does."""
    since = sa.func.min(_s.waiting_since)
    query = sa.select(since, sa.func.count()).where(_s.waiting_since.is_not(None))
    [(oldest, number)] = ledger.rows(query)
    return number, oldest


def with_title(ledger: Database, title: str, limit: int, *, unpublished: bool) -> list[Submission]:
    """Return submissions with this title, whatever its case: the published ones, and with
    *unpublished* those that wait.
    """
    states = (
        SubmissionState.SUBMITTED,
        SubmissionState.CHANGES_REQUESTED,
        SubmissionState.ACCEPTED,
    )
    where = [sa.func.lower(_s.title) == title.lower(), _s.state.in_(states), _s.post.is_(None)]
    if not unpublished:
        where.append(_s.published.is_not(None))
    return ledger.select(Submission, *where, order=[_s.id], limit=limit)


def published(ledger: Database) -> Iterator[tuple[str, Content | None]]:
    """Yield the records of the source of submissions by id: the accepted content with the day on
    which it was last confirmed (``lastReviewed``), None if it was withdrawn after that.
    """
    query = sa.select(_s.id, _s.published, _s.withdrawn, _s.confirmed)
    accepted = query.where(_s.first_accepted.is_not(None), _s.post.is_(None)).order_by(_s.id)
    for id, content, withdrawn, confirmed in ledger.stream(accepted):
        if withdrawn is not None:
            yield id, None
        elif content is not None:
            reviewed = {"lastReviewed": f"{confirmed:%Y-%m-%d}"} if confirmed else {}
            yield id, {**content, **reviewed}


def to_remind(
    ledger: Database, confirmed_before: datetime, reminded_before: datetime, limit: int
) -> list[tuple[Submission, str]]:
    """Return published submissions of persons that were last confirmed before a time, each with
    its mail address.

    Submissions that wait for somebody are left out, and those whose submitter was reminded after
    *reminded_before*.
    """
    last = sa.func.coalesce(_s.confirmed, _s.first_accepted)
    is_published = (_s.state == SubmissionState.ACCEPTED) & _s.published.is_not(None)
    is_published &= _s.post.is_(None)
    is_unasked = sa.or_(_s.reminded.is_(None), _s.reminded < reminded_before)
    query = (
        select_objects(Submission)
        .add_columns(_who.mail)
        .join(t.submitter, _who.id == _s.submitter)
        .where(is_published, _who.mail.is_not(None), last < confirmed_before, is_unasked)
    )
    rows = ledger.rows(query.order_by(last, _s.id).limit(limit))
    return [(Submission(*values), mail) for *values, mail in rows]


def submitter_of(
    ledger: Database,
    *,
    mail: str | None = None,
    organization: str | None = None,
    id: str | None = None,
) -> Submitter | None:
    """Return the submitter with this address, organization or id; None if there is none."""
    by_name = _who.organization == organization if organization else _who.mail == mail
    return ledger.first(Submitter, _who.id == id if id else by_name)


def ensure_submitter(ledger: Database, submitter: Submitter) -> Submitter:
    """Store a submitter unless its address or organization is known; return the stored one."""
    ledger.add_once(submitter)
    names = {"mail": submitter.mail, "organization": submitter.organization}
    return submitter_of(ledger, **names) or submitter


def delete_submitter(ledger: Database, submitter: Submitter) -> None:
    """Delete a submitter, its links, its messages in the outbox, its unpublished submissions and
    pictures; the others lose their author.
    """
    is_own = _s.submitter == submitter.id
    unpublished = sa.select(_s.id).where(is_own, _s.first_accepted.is_(None))
    links = _link.submitter == submitter.id
    with ledger.transaction() as connection:
        _delete_submissions(connection, unpublished)
        connection.execute(sa.update(t.submission).where(is_own).values(submitter=None))
        if submitter.mail:
            links |= _link.mail == submitter.mail
            connection.execute(sa.delete(t.outbox).where(t.outbox.c.address == submitter.mail))
        connection.execute(sa.delete(t.submission_link).where(links))
        connection.execute(sa.delete(t.submitter).where(_who.id == submitter.id))


def _delete_submissions(connection: sa.Connection, ids: sa.Select[Any]) -> None:
    connection.execute(sa.delete(t.submission_event).where(_event.submission.in_(ids)))
    connection.execute(sa.delete(t.submission).where(_s.id.in_(ids.scalar_subquery())))


def create_link(ledger: Database, link: Link) -> str:
    """Store a link; return its secret, which is not stored."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    ledger.add(link, hash=_hash(secret))
    return secret


def find_link(ledger: Database, secret: str, purpose: Purpose) -> Link | None:
    """Return the link with this secret, also if it has expired or was used; None if there is none."""
    return ledger.first(Link, _link.hash == _hash(secret), _link.purpose == purpose)


def use_link(ledger: Database, secret: str, now: datetime) -> bool:
    """Mark a link as used; return whether this call did, so that only one of two does."""
    is_unused = (_link.hash == _hash(secret), _link.used.is_(None))
    return bool(ledger.update(t.submission_link, *is_unused, used=now))


def end_link(ledger: Database, secret: str) -> None:
    """Delete a link, such as a session that ends."""
    ledger.delete(t.submission_link, _link.hash == _hash(secret))


def count_links(ledger: Database, mail: str, since: datetime) -> int:
    """Return how many links were sent to an address since a time."""
    return ledger.count(t.submission_link, _link.mail == mail, _link.created >= since)


def prune(
    ledger: Database,
    now: datetime,
    drafts_before: datetime,
    quarantined_before: datetime = _NEVER,
) -> None:
    """Delete expired links, drafts that were last changed before *drafts_before*, and persons
    without any submission or link.

    Spam and quarantined submissions that were last changed before *quarantined_before* are deleted
    too, unless they were published.
    """
    is_unwanted = _s.state.in_((SubmissionState.SPAM, SubmissionState.QUARANTINED))
    is_old = (_s.state == SubmissionState.DRAFT) & (_s.updated < drafts_before)
    is_old |= is_unwanted & _s.first_accepted.is_(None) & (_s.updated < quarantined_before)
    authored = (_s, _link, t.prize_nomination.c)
    used = sa.union(*(sa.select(c.submitter).where(c.submitter.is_not(None)) for c in authored))
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.submission_link).where(_link.expires < now))
        _delete_submissions(connection, sa.select(_s.id).where(is_old))
        connection.execute(
            sa.delete(t.submitter).where(_who.organization.is_(None), _who.id.not_in(used))
        )


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="replace")).hexdigest()


def picture_of(content: Content | None) -> str | None:
    """Return the name of the picture in a content, None without one."""
    about = (content or {}).get("picture")
    return about.get("id") if isinstance(about, Mapping) else None


def add_picture(
    ledger: Database, picture: Picture, now: datetime, submitter: str | None = None
) -> None:
    """Store a picture, unless it is stored already; *submitter* is who sent it, None for a draft
    without an address.
    """
    ledger.add_once(picture, submitter=submitter, created=now)


def has_picture(ledger: Database, name: str) -> bool:
    return ledger.count(t.picture, t.picture.c.name == name) > 0


def find_picture(ledger: Database, name: str, *, published: bool = False) -> Picture | None:
    """Return the picture of this name, None if there is none; with *published*, only if an accepted
    submission has it.
    """
    where = [t.picture.c.name == name]
    if published:
        where.append(sa.exists().where(t.submission.c.published_picture == name))
    return ledger.first(Picture, *where)


def count_unused(ledger: Database, submitter: str) -> int:
    return ledger.count(t.picture, t.picture.c.submitter == submitter, _is_unused())


def picture_names(submission: Submission) -> list[str]:
    """Return the names of the pictures in a submission and in its published version."""
    return [*filter(None, map(picture_of, (submission.content, submission.published)))]


def delete_unused(ledger: Database, names: Iterable[str]) -> None:
    """Delete those of these pictures that no submission has any more."""
    ledger.delete(t.picture, t.picture.c.name.in_(list(names)), _is_unused())


def prune_pictures(ledger: Database, before: datetime) -> None:
    """Delete the pictures that were sent before a time and that no submission has."""
    ledger.delete(t.picture, t.picture.c.created < before, _is_unused())


def _is_unused() -> sa.ColumnElement[bool]:
    s, name = t.submission.c, t.picture.c.name
    return ~sa.exists().where(sa.or_(s.picture == name, s.published_picture == name))
