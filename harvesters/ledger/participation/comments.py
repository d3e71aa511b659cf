"""Store the comments of readers on posts, with their authors and what moderators decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.participation.submissions import SubmissionState
from harvesters.ledger.row_mapping import aware, naive, utc


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on a *post*, which is ``post/{source}/{key}`` as in the address of its page;
    *title* is that of the post.

    The *state* is a draft until its author confirms an address, and *submitter* is None until then.
    *decided*, *decided_by* and *reason* are of the last decision of a moderator.
    """

    id: str
    post: str
    title: str
    text: str
    language: str
    state: SubmissionState
    submitter: str | None
    created: datetime
    decided: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None


def add_comment(ledger: Database, comment: Comment) -> None:
    """Store a new comment."""
    values = {
        name: getattr(comment, name)
        for name in ("id", "post", "title", "text", "language", "submitter")
    }
    with ledger.transaction() as connection:
        connection.execute(
            sa.insert(t.comment).values(
                **values, state=comment.state.value, created=naive(comment.created)
            )
        )


def find_comment(ledger: Database, id: str) -> Comment | None:
    """Return the comment with this id, None if there is none."""
    comments = _select(ledger, t.comment.c.id == id)
    return comments[0] if comments else None


def claim_comment(ledger: Database, id: str, submitter: str, state: SubmissionState) -> bool:
    """Store who confirmed the address of a draft, and its new state; return whether it was a draft."""
    c = t.comment.c
    update = sa.update(t.comment).where(c.id == id, c.state == SubmissionState.DRAFT.value)
    with ledger.transaction() as connection:
        return bool(
            connection.execute(update.values(submitter=submitter, state=state.value)).rowcount
        )


def decide_comment(
    ledger: Database,
    comment: Comment,
    state: SubmissionState,
    who: str,
    reason: str | None,
    now: datetime,
) -> bool:
    """Store a moderator's decision, if the comment still has the state of *comment*; return whether
    it had.
    """
    c = t.comment.c
    update = sa.update(t.comment).where(c.id == comment.id, c.state == comment.state.value)
    values = {"state": state.value, "decided": naive(now), "decided_by": who, "reason": reason}
    with ledger.transaction() as connection:
        return bool(connection.execute(update.values(**values)).rowcount)


def comments_in(ledger: Database, state: SubmissionState, limit: int) -> list[Comment]:
    """Return the comments in a state, the oldest first."""
    return _select(ledger, t.comment.c.state == state.value, limit=limit)


def comments_on(ledger: Database, post: str, limit: int) -> list[Comment]:
    """Return the accepted comments on a post, the oldest first."""
    return _select(
        ledger,
        t.comment.c.post == post,
        t.comment.c.state == SubmissionState.ACCEPTED.value,
        limit=limit,
    )


def comments_of(ledger: Database, submitter: str) -> list[Comment]:
    """Return the comments of a person, the oldest first."""
    return _select(ledger, t.comment.c.submitter == submitter)


def count_comments(ledger: Database, state: SubmissionState) -> int:
    """Return how many comments are in a state."""
    query = (
        sa.select(sa.func.count()).select_from(t.comment).where(t.comment.c.state == state.value)
    )
    with ledger.transaction() as connection:
        return int(connection.execute(query).scalar_one())


def delete_comment(ledger: Database, id: str, submitter: str) -> bool:
    """Delete a comment of this person; return whether there was one."""
    c = t.comment.c
    with ledger.transaction() as connection:
        return bool(
            connection.execute(
                sa.delete(t.comment).where(c.id == id, c.submitter == submitter)
            ).rowcount
        )


def delete_comments_of(ledger: Database, submitter: str) -> None:
    """Delete all comments of a person."""
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.comment).where(t.comment.c.submitter == submitter))


def prune_comments(ledger: Database, drafts_before: datetime, refused_before: datetime) -> None:
    """Delete drafts that were written before a time, and what was refused or held back and written
    before another.
    """
    c = t.comment.c
    refused = [
        state.value
        for state in (SubmissionState.SPAM, SubmissionState.QUARANTINED, SubmissionState.REJECTED)
    ]
    old = (c.state == SubmissionState.DRAFT.value) & (c.created < naive(drafts_before))
    old |= c.state.in_(refused) & (sa.func.coalesce(c.decided, c.created) < naive(refused_before))
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.comment).where(old))


def _select(
    ledger: Database, *conditions: sa.ColumnElement[bool], limit: int | None = None
) -> list[Comment]:
    query = (
        sa.select(t.comment)
        .where(*conditions)
        .order_by(t.comment.c.created, t.comment.c.id)
        .limit(limit)
    )
    with ledger.transaction() as connection:
        return [_comment(row) for row in connection.execute(query).all()]


def _comment(row: Any) -> Comment:
    values = {name: row._mapping[name] for name in Comment.__slots__}
    times = {"created": utc(values["created"]), "decided": aware(values["decided"])}
    return Comment(**{**values, **times, "state": SubmissionState(values["state"])})


_EXPORTED: Sequence[str] = ("id", "post", "title", "text", "language", "state", "created", "reason")


def exported_comments(ledger: Database, submitter: str) -> list[dict[str, Any]]:
    """Return what a person's export has of comments; moderators are not named."""
    listed = comments_of(ledger, submitter)
    return [
        {name: str(value) for name in _EXPORTED if (value := getattr(item, name)) is not None}
        for item in listed
    ]
