"""Store the pictures of submissions by the digest of their content, as long as a submission has
them. They are never in the journal, so that they can be deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.participation.models import Picture


def add_picture(
    ledger: Database, picture: Picture, now: datetime, submitter: str | None = None
) -> None:
    """Store a picture, unless it is stored already; *submitter* is who sent it, None for a draft
    without an address.
    """
    ledger.add_once(
        picture, lambda: has_picture(ledger, picture.name) or None, submitter=submitter, created=now
    )


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


def delete_unused(ledger: Database, names: Iterable[str]) -> None:
    """Delete those of these pictures that no submission has any more."""
    ledger.delete(t.picture, t.picture.c.name.in_(list(names)), _is_unused())


def prune_pictures(ledger: Database, before: datetime) -> None:
    """Delete the pictures that were sent before a time and that no submission has."""
    ledger.delete(t.picture, t.picture.c.created < before, _is_unused())


def _is_unused() -> sa.ColumnElement[bool]:
    s, name = t.submission.c, t.picture.c.name
    return ~sa.exists().where(sa.or_(s.picture == name, s.published_picture == name))
