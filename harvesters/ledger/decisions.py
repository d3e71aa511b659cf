"""Decisions: what persons did, what they let pass once, what they hold and what they ask for, as the ledger keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.door import Door
from harvesters.ledger.rows import aware, naive, utc


class Deed(Enum):
    """What a person did."""

    APPROVED = "approved"
    REJECTED = "rejected"
    HELD = "held"
    RELEASED = "released"
    ASKED = "asked for a run"


@dataclass(frozen=True, slots=True)
class Act:
    """One act of a person, or of whoever a key stands for; *when* is UTC, *what* a Deed's value or the desk's own word."""

    when: datetime
    who: str
    what: str
    source: str | None = None
    run: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """A limit that is raised once: the next run that needs it uses it up, and after *until* (UTC) it is void."""

    limit: str
    value: float
    until: datetime


@dataclass(frozen=True, slots=True)
class Given:
    """An override that was given; *used* is the run that needed it."""

    id: int
    source: str
    override: Override
    by: str
    given: datetime
    used: str | None


@dataclass(frozen=True, slots=True)
class Hold:
    """A source whose plans all wait for a person."""

    source: str
    since: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Errand:
    """A run that was asked for; *taken* is when the schedule took it up, *run* what came of it."""

    id: int
    source: str
    full: bool
    asked: datetime
    by: str
    taken: datetime | None = None
    run: str | None = None


class Decisions(Door):
    """The ledger's part on persons."""

    def note(self, act: Act) -> None:
        """Write down an act."""
        with self._begin() as connection:
            connection.execute(sa.insert(t.act).values(_act_row(act)))

    def acts(self, limit: int = 50, source: str | None = None) -> list[Act]:
        """List the newest acts, on one source or on all."""
        query = sa.select(t.act).order_by(t.act.c.id.desc()).limit(limit)
        with self._begin() as connection:
            rows = connection.execute(query.where(t.act.c.source == source) if source else query).all()
        return [Act(utc(row.when), row.who, row.what, row.source, row.run, row.note) for row in rows]

    # ---- holds

    def hold(self, hold: Hold) -> None:
        """Put a source on hold; who held it before no longer counts."""
        values = {"source": hold.source, "since": naive(hold.since), "by": hold.by, "reason": hold.reason}
        with self._begin() as connection:
            connection.execute(sa.delete(t.hold).where(t.hold.c.source == hold.source))
            connection.execute(sa.insert(t.hold).values(values))

    def release(self, source: str) -> bool:
        """Take a source off hold; tell whether it was on hold."""
        with self._begin() as connection:
            return connection.execute(sa.delete(t.hold).where(t.hold.c.source == source)).rowcount > 0

    def holds(self) -> dict[str, Hold]:
        """Give the sources that are on hold, by name."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(t.hold).order_by(t.hold.c.source)).all()
        return {row.source: Hold(row.source, utc(row.since), row.by, row.reason) for row in rows}

    # ---- overrides

    def give(self, source: str, override: Override, by: str, at: datetime) -> int:
        """Keep an override for a source; give its number."""
        values = {"limit": override.limit, "value": override.value, "until": naive(override.until)}
        with self._begin() as connection:
            made = connection.execute(sa.insert(t.override).values(source=source, by=by, given=naive(at), **values))
            return int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0

    def overrides(self, source: str) -> list[Given]:
        """List all overrides that a source was given, the oldest first."""
        query = sa.select(t.override).where(t.override.c.source == source).order_by(t.override.c.id)
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return [_given(row) for row in rows]

    def use(self, numbers: list[int], run: str) -> None:
        """Say that a run used overrides up."""
        with self._begin() as connection:
            connection.execute(sa.update(t.override).where(t.override.c.id.in_(numbers)).values(used=run))

    # ---- errands

    def ask_for(self, source: str, full: bool, by: str, at: datetime) -> int:
        """Ask for a run of a source; give the errand's number. The schedule takes it up."""
        with self._begin() as connection:
            made = connection.execute(sa.insert(t.errand).values(source=source, full=full, by=by, asked=naive(at)))
            return int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0

    def errands(self, limit: int = 50) -> list[Errand]:
        """List the newest errands."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(t.errand).order_by(t.errand.c.id.desc()).limit(limit)).all()
        return [_errand(row) for row in rows]

    def errand(self, number: int) -> Errand | None:
        """Give an errand by its number, None where there is none."""
        with self._begin() as connection:
            row = connection.execute(sa.select(t.errand).where(t.errand.c.id == number)).one_or_none()
        return _errand(row) if row else None

    def waiting(self) -> list[Errand]:
        """List the errands that nobody has taken up, the oldest first."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(t.errand).where(t.errand.c.taken.is_(None)).order_by(t.errand.c.id)).all()
        return [_errand(row) for row in rows]

    def errands_taken(self) -> list[Errand]:
        """List the errands that were taken up and of which nothing is known yet."""
        query = sa.select(t.errand).where(t.errand.c.taken.is_not(None), t.errand.c.run.is_(None)).order_by(t.errand.c.id)
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return [_errand(row) for row in rows]

    def take(self, errand: int, at: datetime) -> bool:
        """Take an errand up; tell whether no one else had."""
        query = sa.update(t.errand).where(t.errand.c.id == errand, t.errand.c.taken.is_(None)).values(taken=naive(at))
        with self._begin() as connection:
            return connection.execute(query).rowcount > 0

    def put_back(self, errand: int) -> None:
        """Leave an errand to be taken up again."""
        with self._begin() as connection:
            connection.execute(sa.update(t.errand).where(t.errand.c.id == errand).values(taken=None))

    def put_back_all(self) -> None:
        """Leave to be taken up again what was taken and has come to nothing, since who took it is no more."""
        with self._begin() as connection:
            connection.execute(sa.update(t.errand).where(t.errand.c.run.is_(None)).values(taken=None))

    def done(self, errand: int, run: str) -> None:
        """Say what came of an errand: a run's id, or why there was none."""
        with self._begin() as connection:
            connection.execute(sa.update(t.errand).where(t.errand.c.id == errand).values(run=run))


def _act_row(act: Act) -> dict[str, Any]:
    return {"when": naive(act.when), "who": act.who, "what": act.what, "source": act.source, "run": act.run, "note": act.note}


def _given(row: Any) -> Given:
    override = Override(row.limit, row.value, utc(row.until))
    return Given(row.id, row.source, override, row.by, utc(row.given), row.used)


def _errand(row: Any) -> Errand:
    return Errand(row.id, row.source, row.full, utc(row.asked), row.by, aware(row.taken), row.run)
