"""Store the pictures of submissions by the digest of their content, as long as a submission has
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from harvesters.errors import LedgerError
from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.row_mapping import naive


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: its *name* is its digest with a suffix, *content* its bytes; *width* and *height*
    are in pixels.
    """

    name: str
    content: bytes
    width: int
    height: int


def add_picture(
    ledger: Database, picture: Picture, now: datetime, submitter: str | None = None
) -> None:
    """Store a picture, unless it is stored already; *submitter* is who sent it, None for a draft
    without an address.
    """
    values = {name: getattr(picture, name) for name in Picture.__slots__}
    if has_picture(ledger, picture.name):
        return
    try:
        with ledger.transaction() as connection:
            connection.execute(
                sa.insert(t.picture).values(**values, submitter=submitter, created=naive(now))
            )
    except LedgerError:  # another request stored it at the same time
        if not has_picture(ledger, picture.name):
            raise


def has_picture(ledger: Database, name: str) -> bool:
    """Return whether there is a picture of this name."""
    with ledger.transaction() as connection:
        return (
            connection.execute(
                sa.select(t.picture.c.name).where(t.picture.c.name == name)
            ).one_or_none()
            is not None
        )


def find_picture(ledger: Database, name: str, *, published: bool = False) -> Picture | None:
    """Return the picture of this name, None if there is none; with *published*, only if an accepted
    submission has it.
    """
    query = sa.select(*(t.picture.c[column] for column in Picture.__slots__)).where(
        t.picture.c.name == name
    )
    if published:
        query = query.where(sa.exists().where(t.submission.c.published_picture == name))
    with ledger.transaction() as connection:
        row = connection.execute(query).one_or_none()
    return Picture(row.name, bytes(row.content), row.width, row.height) if row else None


def count_unused(ledger: Database, submitter: str) -> int:
    """Return how many pictures of a submitter no submission has."""
    query = (
        sa.select(sa.func.count())
        .select_from(t.picture)
        .where(t.picture.c.submitter == submitter, _is_unused())
    )
    with ledger.transaction() as connection:
        return int(connection.execute(query).scalar_one())


def delete_unused(ledger: Database, names: Iterable[str]) -> None:
    """Delete those of these pictures that no submission has any more."""
    with ledger.transaction() as connection:
        connection.execute(
            sa.delete(t.picture).where(t.picture.c.name.in_(list(names)), _is_unused())
        )


def prune_pictures(ledger: Database, before: datetime) -> None:
    """Delete the pictures that were sent before a time and that no submission has."""
    with ledger.transaction() as connection:
        connection.execute(
            sa.delete(t.picture).where(t.picture.c.created < naive(before), _is_unused())
        )


def _is_unused() -> sa.ColumnElement[bool]:
    s, name = t.submission.c, t.picture.c.name
    return ~sa.exists().where(sa.or_(s.picture == name, s.published_picture == name))
