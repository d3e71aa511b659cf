"""Drafts: the ledger's part on what a run makes of each record, kept page by page, and listed by outcome afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.account import FRESH, SERVED, Change, Draft, Known, Outcome, Presence, Run
from harvesters.ledger.press import unpack
from harvesters.ledger.rows import descriptions, draft_of, staged_row, unchanged_row
from harvesters.ledger.runs import Runs
from harvesters.record import Position

_NOT_PUBLISHED = (Outcome.WITHHELD, Outcome.UNREADABLE, Outcome.DUPLICATE)


class Drafts(Runs):
    """The ledger's part on drafts."""

    def known(self, source: str, keys: Sequence[str]) -> dict[str, Known]:
        """Look up what is known of these keys."""
        c = t.record.c
        query = sa.select(c.key, c.digest, c.content, c.first_seen, c.state).where(c.source == source, c.key.in_(keys))
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return {key: Known(digest, content, first.replace(tzinfo=UTC), Presence(state)) for key, digest, content, first, state in rows}

    def standing(self, source: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Give the present descriptions of these keys, packed."""
        r, d = t.record, t.description
        join = r.join(d, sa.and_(d.c.run == r.c.run, d.c.seq == r.c.seq))
        query = sa.select(r.c.key, d.c.statements).select_from(join).where(r.c.source == source, r.c.key.in_(keys))
        with self._begin() as connection:
            return {key: bytes(statements) for key, statements in connection.execute(query).all()}

    def met(self, run: Run, keys: Sequence[str]) -> set[str]:
        """Tell which of these keys this run has met already."""
        query = sa.select(t.staged.c.key).where(t.staged.c.run == run.id, t.staged.c.key.in_(keys))
        with self._begin() as connection:
            return set(connection.scalars(query))

    def stage(self, run: Run, drafts: Sequence[Draft], first: int) -> None:
        """Write a page's drafts, numbered from *first*, and the run's checkpoint in one transaction."""
        rows = [staged_row(run, number, draft) for number, draft in enumerate(drafts, first)]
        with self._begin() as connection:
            if rows:
                connection.execute(sa.insert(t.staged), rows)
            if described := descriptions(run, drafts, first):
                connection.execute(sa.insert(t.description), described)
            if same := unchanged_row(run, drafts):
                connection.execute(sa.insert(t.unchanged), same)
            self._save(connection, run)

    def staged(self, run: Run) -> int:
        """Count what has come in the run so far."""
        with self._begin() as connection:
            query = sa.select(sa.func.count()).select_from(t.staged).where(t.staged.c.run == run.id, t.staged.c.seq >= 0)
            return connection.scalar(query) or 0

    def outcomes(self, run: Run) -> dict[Outcome, int]:
        """Count the run's outcomes, also those of a run that was settled."""
        s, u = t.staged.c, t.unchanged.c
        query = sa.select(s.outcome, sa.func.count()).where(s.run == run.id, s.outcome != Outcome.UNCHANGED.value).group_by(s.outcome)
        with self._begin() as connection:
            found = {Outcome(name): count for name, count in connection.execute(query).all()}
            found[Outcome.UNCHANGED] = connection.scalar(sa.select(sa.func.sum(u.count)).where(u.run == run.id)) or 0
        return {outcome: found.get(outcome, 0) for outcome in Outcome}

    def published(self, source: str) -> int:
        """Count the source's records that are served, those that have vanished too."""
        served = [presence.value for presence in SERVED]
        query = sa.select(sa.func.count()).select_from(t.record).where(t.record.c.source == source, t.record.c.state.in_(served))
        with self._begin() as connection:
            return connection.scalar(query) or 0

    def missing(self, source: str) -> int:
        """Count the source's records that have vanished and are still served."""
        mine = sa.and_(t.record.c.source == source, t.record.c.state == Presence.VANISHED.value)
        with self._begin() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(t.record).where(mine)) or 0

    def changes(self, run: Run, outcomes: Iterable[Outcome], presence: Presence | None = None) -> Iterator[Change]:
        """Give the run's drafts with these outcomes in their order, each with what stands before it.

        With *presence*, only those whose record stands there now.
        """
        s, r, now, old = t.staged, t.record, t.description.alias("now"), t.description.alias("old")
        join = s.outerjoin(now, sa.and_(now.c.run == s.c.run, now.c.seq == s.c.seq))
        join = join.outerjoin(r, sa.and_(r.c.source == s.c.source, r.c.key == s.c.key))
        join = join.outerjoin(old, sa.and_(old.c.run == r.c.run, old.c.seq == r.c.seq))
        mine = sa.and_(s.c.run == run.id, s.c.outcome.in_([outcome.value for outcome in outcomes]))
        first = sa.func.coalesce(s.c.first_seen, r.c.first_seen).label("first_seen")
        columns = [column for column in s.c if column.name != "first_seen"]
        query = sa.select(*columns, first, now.c.statements, old.c.statements.label("before"), r.c.state).select_from(join).where(mine)
        query = query.where(r.c.state == presence.value) if presence else query
        for row in self._stream(query.order_by(s.c.seq)):
            stands = Presence(row.state) if row.state else None
            yield Change(row.seq, draft_of(row, unpack(row.statements)), unpack(row.before), stands)

    def texts(self, run: Run) -> Iterator[tuple[str, str, str]]:
        """Give key, description and what stands before it of each new or changed draft, in their order."""
        s, r, now, old = t.staged, t.record, t.description.alias("now"), t.description.alias("old")
        join = s.join(now, sa.and_(now.c.run == s.c.run, now.c.seq == s.c.seq))
        join = join.outerjoin(r, sa.and_(r.c.source == s.c.source, r.c.key == s.c.key))
        join = join.outerjoin(old, sa.and_(old.c.run == r.c.run, old.c.seq == r.c.seq))
        mine = sa.and_(s.c.run == run.id, s.c.outcome.in_([outcome.value for outcome in FRESH]))
        query = sa.select(s.c.key, now.c.statements, old.c.statements).select_from(join).where(mine).order_by(s.c.seq)
        yield from ((key, unpack(after), unpack(before)) for key, after, before in self._stream(query))

    def listed(self, run: Run, outcomes: Iterable[Outcome]) -> Iterator[Draft]:
        """List the run's records with these outcomes, without descriptions: what was unchanged page by page, then the others."""
        wanted = list(outcomes)
        if Outcome.UNCHANGED in wanted:
            yield from self._unchanged(run)
        s = t.staged
        names = [outcome.value for outcome in wanted if outcome is not Outcome.UNCHANGED]
        query = sa.select(s).where(s.c.run == run.id, s.c.outcome.in_(names))
        yield from map(draft_of, self._stream(query.order_by(s.c.seq < 0, sa.func.abs(s.c.seq))))  # what came, then what did not

    def _unchanged(self, run: Run) -> Iterator[Draft]:
        u = t.unchanged
        for row in self._stream(sa.select(u).where(u.c.run == run.id).order_by(u.c.page)):
            at = Position(row.file, row.offset, row.length) if row.file is not None else None
            yield from (Draft(key, Outcome.UNCHANGED, at=at) for key in json.loads(unpack(row.keys)))

    def troubles(self, run: Run) -> list[Draft]:
        """List what the run did not publish, with the reasons."""
        return list(self.listed(run, _NOT_PUBLISHED))

    def reasons(self, run: Run) -> dict[str, int]:
        """Count the reasons for which records of the run were withheld or could not be read, the commonest first."""
        s = t.staged.c
        which = sa.and_(s.run == run.id, s.outcome.in_([Outcome.WITHHELD.value, Outcome.UNREADABLE.value]))
        count = sa.func.count().label("count")
        query = sa.select(s.reason, count).where(which).group_by(s.reason).order_by(count.desc(), s.reason)
        with self._begin() as connection:
            return {reason or "": number for reason, number in connection.execute(query).all()}
