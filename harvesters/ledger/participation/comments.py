"""Store the comments of readers on posts, with their authors and what moderators decided."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.participation.models import Comment, SubmissionState

# The fields of comments in a person's export, without the names of moderators.
_EXPORTED = ("id", "post", "title", "text", "language", "state", "created", "reason")
_c = t.comment.c


def add_comment(ledger: Database, comment: Comment) -> None:
    ledger.add(comment)


def find_comment(ledger: Database, id: str) -> Comment | None:
    return ledger.first(Comment, _c.id == id)


def claim_comment(ledger: Database, id: str, submitter: str, state: SubmissionState) -> bool:
    """Store who confirmed the address of a draft, and its new state; return whether it was a draft."""
    is_draft = _c.state == SubmissionState.DRAFT
    return bool(ledger.update(t.comment, _c.id == id, is_draft, submitter=submitter, state=state))


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
    values = {"state": state, "decided": now, "decided_by": who, "reason": reason}
    return bool(ledger.update(t.comment, _c.id == comment.id, _c.state == comment.state, **values))


def comments_in(ledger: Database, state: SubmissionState, limit: int) -> list[Comment]:
    return _select(ledger, _c.state == state, limit=limit)


def comments_on(ledger: Database, post: str, limit: int) -> list[Comment]:
    """Return the accepted comments on a post, the oldest first."""
    return _select(ledger, _c.post == post, _c.state == SubmissionState.ACCEPTED, limit=limit)


def comments_of(ledger: Database, submitter: str) -> list[Comment]:
    return _select(ledger, _c.submitter == submitter)


def count_comments(ledger: Database, state: SubmissionState) -> int:
    return ledger.count(t.comment, _c.state == state)


def delete_comment(ledger: Database, id: str, submitter: str) -> bool:
    """Delete a comment of this person; return whether there was one."""
    return bool(ledger.delete(t.comment, _c.id == id, _c.submitter == submitter))


def delete_comments_of(ledger: Database, submitter: str) -> None:
    ledger.delete(t.comment, _c.submitter == submitter)


def prune_comments(ledger: Database, drafts_before: datetime, refused_before: datetime) -> None:
    """Delete drafts that were written before a time, and what was refused or held back and written
    before another.
    """
    refused = (SubmissionState.SPAM, SubmissionState.QUARANTINED, SubmissionState.REJECTED)
    old = (_c.state == SubmissionState.DRAFT) & (_c.created < drafts_before)
    old |= _c.state.in_(refused) & (sa.func.coalesce(_c.decided, _c.created) < refused_before)
    ledger.delete(t.comment, old)


def _select(
    ledger: Database, *where: sa.ColumnElement[bool], limit: int | None = None
) -> list[Comment]:
    return ledger.select(Comment, *where, order=[_c.created, _c.id], limit=limit)


def exported_comments(ledger: Database, submitter: str) -> list[dict[str, Any]]:
    return [
        {name: str(value) for name, value in asdict(item).items() if name in _EXPORTED and value}
        for item in comments_of(ledger, submitter)
    ]
