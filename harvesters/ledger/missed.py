"""Missed: the ledger's part on what a run did not meet, and on what it met under another key or at another source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.account import FRESH, SERVED, Draft, Outcome, Presence, Run
from harvesters.ledger.drafts import Drafts
from harvesters.ledger.rows import aware, staged_row

_NEW = [Outcome.NEW.value, Outcome.REIDENTIFIED.value]  # a plan may be drawn again
_SERVED = [presence.value for presence in SERVED]


@dataclass(frozen=True, slots=True)
class Absentee:
    """A record that is served and did not come; *misses* counts the complete sweeps before that missed it."""

    key: str
    presence: Presence
    misses: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Twin:
    """A record of another source that seems to be of the same thing; *page*: it has the same web address, else the same content."""

    key: str
    source: str
    other: str
    page: bool


class Missed(Drafts):
    """The ledger's part on what was missed."""

    def absent(self, run: Run) -> Iterator[Absentee]:
        """Give the records of the source that are served and that this run did not meet, by key."""
        c = t.record.c
        query = sa.select(c.key, c.state, c.misses, c.vanished_since).where(_missing(run)).order_by(c.key)
        yield from (Absentee(key, Presence(state), misses, aware(since)) for key, state, misses, since in self._stream(query))

    def moved(self, run: Run) -> dict[str, str]:
        """Find the new drafts that say what a record says that the run did not meet: new key by old key.

        Where several say the same, which is which cannot be told, and they are new.
        """
        s, r = t.staged, t.record
        mine = sa.and_(s.c.run == run.id, s.c.outcome.in_(_NEW), s.c.likeness.is_not(None))
        single = sa.select(s.c.likeness).where(mine).group_by(s.c.likeness).having(sa.func.count() == 1)
        join = s.join(r, sa.and_(r.c.likeness == s.c.likeness, r.c.source == s.c.source))
        query = sa.select(r.c.key, s.c.key).select_from(join).where(mine, _missing(run), s.c.likeness.in_(single))
        with self._begin() as connection:
            pairs = [(old, new) for old, new in connection.execute(query).all()]
        often = Counter(new for _, new in pairs)
        return {old: new for old, new in pairs if often[new] == 1}

    def heirs(self, run: Run, keys: Sequence[str]) -> dict[str, str]:
        """Find for each of these keys the one other record that is published here and says the same."""
        a, b = t.record.alias("a"), t.record.alias("b")
        join = a.join(b, sa.and_(b.c.likeness == a.c.likeness, b.c.source == a.c.source, b.c.key != a.c.key))
        mine = sa.and_(a.c.source == run.source, a.c.key.in_(keys), b.c.state == Presence.PUBLISHED.value)
        query = sa.select(a.c.key, sa.func.min(b.c.key)).select_from(join).where(mine).group_by(a.c.key).having(sa.func.count() == 1)
        with self._begin() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def plan(self, run: Run, moved: Mapping[str, str], missed: Callable[[], Iterator[Draft]]) -> None:
        """Write down which drafts are re-identified (*moved* has new keys by old) and what was missed, in place of what was."""
        s = t.staged
        mine = s.c.run == run.id
        rows = [staged_row(run, -number, draft) for number, draft in enumerate(missed(), 1)]
        renamed = [{"its": new, "old": old} for old, new in moved.items()]
        rename = sa.update(s).where(mine, s.c.key == sa.bindparam("its"), s.c.outcome == Outcome.NEW.value)
        with self._begin() as connection:
            connection.execute(sa.delete(s).where(mine, s.c.seq < 0))
            again = sa.and_(mine, s.c.outcome == Outcome.REIDENTIFIED.value)
            connection.execute(sa.update(s).where(again).values(outcome=Outcome.NEW.value, other=None))
            if renamed:
                connection.execute(rename.values(outcome=Outcome.REIDENTIFIED.value, other=sa.bindparam("old")), renamed)
            if rows:
                connection.execute(sa.insert(s), rows)

    def twins(self, run: Run, limit: int) -> list[Twin]:
        """Find records of other sources that say the same as what is new or changed in this run, or have its web address."""
        with self._begin() as connection:
            if connection.scalar(sa.select(t.record.c.source).where(t.record.c.source != run.source).limit(1)) is None:
                return []
            found: list[Twin] = []
            for name in ("likeness", "page"):
                rows = connection.execute(_twins(run, name).limit(limit)).all()
                found += [Twin(key, below or above, other, name == "page") for key, below, above, other in rows]
        told: dict[str, Twin] = {}
        for twin in found:
            told.setdefault(twin.key, twin)
        return list(told.values())[:limit]


def _missing(run: Run) -> sa.ColumnElement[bool]:
    s = t.staged.alias("came")
    came = sa.select(sa.literal(1)).select_from(s).where(s.c.run == run.id, s.c.key == t.record.c.key, s.c.seq >= 0).correlate(t.record)
    return sa.and_(t.record.c.source == run.source, t.record.c.state.in_(_SERVED), ~sa.exists(came))


def _twins(run: Run, name: str) -> sa.Select[Any]:
    """Look for another source before and behind ours in the index, a step each, however many records of ours say the same."""
    s, r = t.staged, t.record

    def beside(column: str, side: sa.ColumnElement[bool]) -> sa.ScalarSelect[Any]:
        same = sa.and_(r.c[name] == s.c[name], side, r.c.state.in_(_SERVED))
        return sa.select(r.c[column]).where(same).order_by(r.c.source).limit(1).correlate(s).scalar_subquery()

    below, above = (beside("source", side) for side in (r.c.source < run.source, r.c.source > run.source))
    other = sa.func.coalesce(beside("key", r.c.source < run.source), beside("key", r.c.source > run.source))
    fresh = s.c.outcome.in_([outcome.value for outcome in FRESH])
    inner = sa.select(s.c.seq, s.c.key, below.label("below"), above.label("above"), other.label("other"))
    found = inner.where(s.c.run == run.id, fresh, s.c[name].is_not(None)).subquery()
    columns = (found.c.key, found.c.below, found.c.above, found.c.other)
    return sa.select(*columns).where(found.c.other.is_not(None)).order_by(found.c.seq)
