"""Listing: long lists of the ledger, a page at a time, newest first, each going on after the last row that was shown."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from harvesters.desk.errors import Missing
from harvesters.desk.views import ActView, RunView, run_view
from harvesters.ledger import tables as t
from harvesters.ledger.account import Run, State
from harvesters.ledger.book import Ledger
from harvesters.ledger.rows import utc

MOST = 500  # rows of a page


@dataclass(frozen=True, slots=True)
class Acts:
    """Acts, newest first; *next* is what to ask for with ``after``, None at the end."""

    items: list[ActView]
    next: str | None


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs, newest first; *next* is what to ask for with ``after``, None at the end."""

    items: list[RunView]
    next: str | None


def acts(ledger: Ledger, limit: int, after: int | None = None, source: str | None = None) -> Acts:
    """List acts before the one numbered *after*, of one source or of all."""
    c = t.act.c
    query = sa.select(t.act).order_by(c.id.desc()).limit(limit + 1)
    query = query.where(c.id < after) if after is not None else query
    with ledger.transaction() as connection:
        rows = connection.execute(query.where(c.source == source) if source else query).all()
    items = [ActView(utc(row.when), row.who, row.what, row.source, row.run, row.note) for row in rows[:limit]]
    return Acts(items, str(rows[limit - 1].id) if len(rows) > limit else None)


def runs(ledger: Ledger, limit: int, after: str | None = None, source: str | None = None, state: State | None = None) -> Runs:
    """List runs begun before the run *after*, of one source or of all, in one state or in any; raise Missing for an unknown run."""
    c = t.run.c
    query = sa.select(c.id).order_by(c.started.desc(), c.id.desc()).limit(limit + 1)
    with ledger.transaction() as connection:
        if after is not None:
            begun = connection.scalar(sa.select(c.started).where(c.id == after))
            if begun is None:
                raise Missing("there is no run with that id to go on after")
            query = query.where(sa.or_(c.started < begun, sa.and_(c.started == begun, c.id < after)))
        query = query.where(c.source == source) if source else query
        ids = connection.scalars(query.where(c.state == state.value) if state else query).all()
    items = [run_view(run(ledger, number)) for number in ids[:limit]]
    return Runs(items, items[-1].id if len(ids) > limit else None)


def run(ledger: Ledger, number: str) -> Run:
    """Give a run by its id; raise Missing."""
    found = ledger.run(number)
    if found is None:
        raise Missing("there is no run with that id; GET /desk/runs lists them")
    return found
