"""Find records that a run did not see, or saw under another key or at another source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.models import SERVED, UPSERTED, Outcome, RecordState, Run, StagedRecord
from harvesters.ledger.row_mapping import aware, staged_row
from harvesters.ledger.staging import Staging

_NEW = [Outcome.NEW.value, Outcome.REIDENTIFIED.value]  # both, since a plan may be computed again
_SERVED = [presence.value for presence in SERVED]


@dataclass(frozen=True, slots=True)
class AbsentRecord:
    """A published record that was not seen; *misses* counts the earlier full harvests that did not
    see it either.
    """

    key: str
    state: RecordState
    misses: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class CrossSourceDuplicate:
    """A record of another source that seems to be the same; *same_page*: by web address, else by
    content.
    """

    key: str
    source: str
    other: str
    same_page: bool


class AbsenceQueries(Staging):
    """The part of the ledger for absent records."""

    def absent(self, run: Run) -> Iterator[AbsentRecord]:
        """Yield the source's published records that this run did not see, by key."""
        c = t.record.c
        query = (
            sa.select(c.key, c.state, c.misses, c.vanished_since)
            .where(_is_absent(run))
            .order_by(c.key)
        )
        yield from (
            AbsentRecord(key, RecordState(state), misses, aware(since))
            for key, state, misses, since in self.stream(query)
        )

    def rekeyed(self, run: Run) -> dict[str, str]:
        """Return the new key, by old key, of absent records whose content is staged as new.

        Records with the same content as others are excluded, since they cannot be distinguished.
        """
        s, r = t.staged, t.record
        of_run = sa.and_(s.c.run == run.id, s.c.outcome.in_(_NEW), s.c.fingerprint.is_not(None))
        single = (
            sa.select(s.c.fingerprint)
            .where(of_run)
            .group_by(s.c.fingerprint)
            .having(sa.func.count() == 1)
        )
        join = s.join(r, sa.and_(r.c.fingerprint == s.c.fingerprint, r.c.source == s.c.source))
        query = (
            sa.select(r.c.key, s.c.key)
            .select_from(join)
            .where(of_run, _is_absent(run), s.c.fingerprint.in_(single))
        )
        with self._begin() as connection:
            pairs = [(old, new) for old, new in connection.execute(query).all()]
        occurrences = Counter(new for _, new in pairs)
        return {old: new for old, new in pairs if occurrences[new] == 1}

    def replacements(self, run: Run, keys: Sequence[str]) -> dict[str, str]:
        """Return, for each of these keys, the only other published record with the same content."""
        a, b = t.record.alias("a"), t.record.alias("b")
        join = a.join(
            b,
            sa.and_(
                b.c.fingerprint == a.c.fingerprint, b.c.source == a.c.source, b.c.key != a.c.key
            ),
        )
        of_run = sa.and_(
            a.c.source == run.source, a.c.key.in_(keys), b.c.state == RecordState.PUBLISHED.value
        )
        query = (
            sa.select(a.c.key, sa.func.min(b.c.key))
            .select_from(join)
            .where(of_run)
            .group_by(a.c.key)
            .having(sa.func.count() == 1)
        )
        with self._begin() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def save_plan(
        self, run: Run, rekeyed: Mapping[str, str], absent: Callable[[], Iterator[StagedRecord]]
    ) -> None:
        """Store which records are re-identified (*rekeyed* has new keys by old) and which are
        absent, replacing an earlier plan.
        """
        s = t.staged
        of_run = s.c.run == run.id
        rows = [staged_row(run, -number, staged) for number, staged in enumerate(absent(), 1)]
        renamed = [{"its": new, "old": old} for old, new in rekeyed.items()]
        rename = sa.update(s).where(
            of_run, s.c.key == sa.bindparam("its"), s.c.outcome == Outcome.NEW.value
        )
        with self._begin() as connection:
            connection.execute(sa.delete(s).where(of_run, s.c.seq < 0))
            reidentified = sa.and_(of_run, s.c.outcome == Outcome.REIDENTIFIED.value)
            connection.execute(
                sa.update(s).where(reidentified).values(outcome=Outcome.NEW.value, other=None)
            )
            if renamed:
                connection.execute(
                    rename.values(outcome=Outcome.REIDENTIFIED.value, other=sa.bindparam("old")),
                    renamed,
                )
            if rows:
                connection.execute(sa.insert(s), rows)

    def cross_source_duplicates(self, run: Run, limit: int) -> list[CrossSourceDuplicate]:
        """Return records of other sources with the content or the web address of new or changed
        ones.
        """
        with self._begin() as connection:
            if (
                connection.scalar(
                    sa.select(t.record.c.source).where(t.record.c.source != run.source).limit(1)
                )
                is None
            ):
                return []
            duplicates: list[CrossSourceDuplicate] = []
            for name in ("fingerprint", "page"):
                rows = connection.execute(_duplicates_query(run, name).limit(limit)).all()
                duplicates += [
                    CrossSourceDuplicate(key, below or above, other, name == "page")
                    for key, below, above, other in rows
                ]
        by_key: dict[str, CrossSourceDuplicate] = {}
        for duplicate in duplicates:
            by_key.setdefault(duplicate.key, duplicate)
        return list(by_key.values())[:limit]


def _is_absent(run: Run) -> sa.ColumnElement[bool]:
    s = t.staged.alias("came")
    seen = (
        sa.select(sa.literal(1))
        .select_from(s)
        .where(s.c.run == run.id, s.c.key == t.record.c.key, s.c.seq >= 0)
        .correlate(t.record)
    )
    return sa.and_(t.record.c.source == run.source, t.record.c.state.in_(_SERVED), ~sa.exists(seen))


def _duplicates_query(run: Run, name: str) -> sa.Select[Any]:
    """Look up the next source before and after this one in the index, so that the cost does not
    grow with equal records.
    """
    s, r = t.staged, t.record

    def nearest(column: str, side: sa.ColumnElement[bool]) -> sa.ScalarSelect[Any]:
        same = sa.and_(r.c[name] == s.c[name], side, r.c.state.in_(_SERVED))
        return (
            sa.select(r.c[column])
            .where(same)
            .order_by(r.c.source)
            .limit(1)
            .correlate(s)
            .scalar_subquery()
        )

    below, above = (
        nearest("source", side) for side in (r.c.source < run.source, r.c.source > run.source)
    )
    other = sa.func.coalesce(
        nearest("key", r.c.source < run.source), nearest("key", r.c.source > run.source)
    )
    upserted = s.c.outcome.in_([outcome.value for outcome in UPSERTED])
    inner = sa.select(
        s.c.seq, s.c.key, below.label("below"), above.label("above"), other.label("other")
    )
    duplicates = inner.where(s.c.run == run.id, upserted, s.c[name].is_not(None)).subquery()
    columns = (duplicates.c.key, duplicates.c.below, duplicates.c.above, duplicates.c.other)
    return sa.select(*columns).where(duplicates.c.other.is_not(None)).order_by(duplicates.c.seq)
