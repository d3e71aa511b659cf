"""Settling: the ledger takes a run's drafts over into its records, or lets them go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.account import FRESH, Outcome, Presence, Rewritten, Run, State
from harvesters.ledger.missed import Missed
from harvesters.ledger.press import pack
from harvesters.ledger.rows import naive

KEPT = 30  # runs of a source whose records are listed one by one: a month of a daily source
_AT_ONCE = 500  # records rewritten at once: a megabyte or two
_FRESH = [outcome.value for outcome in FRESH]


class Settling(Missed):
    """The ledger's part on the end of runs."""

    def settle(self, run: Run, rewritten: Iterable[Rewritten]) -> None:
        """Take a committed run's drafts over into the records, in one transaction with the run's new state."""
        with self._begin() as connection:
            self._rewrite(connection, run, rewritten)
            self._forget_old(connection, run)
            self._take_over(connection, run)
            self._refresh(connection, run)
            self._let_go(connection, run)
            self._prune(connection, run)
            self._save(connection, run)

    def _rewrite(self, connection: sa.Connection, run: Run, rewritten: Iterable[Rewritten]) -> None:
        """Put tombstones and marked descriptions in the place of those that stand."""
        r, d = t.record, t.description
        its = sa.and_(r.c.source == run.source, r.c.key == sa.bindparam("its"))
        old = sa.select(r.c.run, r.c.seq).where(its)
        drop = sa.delete(d).where(sa.tuple_(d.c.run, d.c.seq).in_(old))
        new: dict[str, sa.BindParameter[Any]] = {name: sa.bindparam(f"new_{name}") for name in ("state", "seq", "vanished_since")}
        for some in _batches(rewritten):
            connection.execute(drop, [{"its": it.key} for it in some])
            connection.execute(sa.insert(d), [{"run": run.id, "seq": it.seq, "statements": pack(it.description)} for it in some])
            names = [
                {"its": it.key, "new_state": it.presence.value, "new_seq": it.seq, "new_vanished_since": naive(it.since)} for it in some
            ]
            connection.execute(sa.update(r).where(its).values(run=run.id, **new), names)
        gone = sa.and_(r.c.source == run.source, r.c.run == run.id, r.c.state == Presence.GONE.value)
        connection.execute(sa.update(r).where(gone).values(digest="", content="", misses=0, likeness=None, page=None))

    def _forget_old(self, connection: sa.Connection, run: Run) -> None:
        """Delete the descriptions that this run's drafts replace."""
        r, s, d = t.record, t.staged, t.description
        join = sa.and_(s.c.source == r.c.source, s.c.key == r.c.key)
        pairs = sa.select(r.c.run, r.c.seq).join(s, join).where(s.c.run == run.id, s.c.outcome.in_(_FRESH))
        connection.execute(sa.delete(d).where(sa.tuple_(d.c.run, d.c.seq).in_(pairs)))

    def _take_over(self, connection: sa.Connection, run: Run) -> None:
        s = t.staged.c
        state = sa.literal(Presence.PUBLISHED.value)
        columns = [
            "source",
            "key",
            "state",
            "digest",
            "content",
            "first_seen",
            "run",
            "seq",
            "misses",
            "vanished_since",
            "likeness",
            "page",
        ]
        values = (s.source, s.key, state, s.digest, s.content, s.first_seen, s.run, s.seq, sa.literal(0), sa.null(), s.likeness, s.page)
        insert = self._insert(t.record).from_select(columns, sa.select(*values).where(s.run == run.id, s.outcome.in_(_FRESH)))
        taken = {name: insert.excluded[name] for name in columns[2:]}
        connection.execute(insert.on_conflict_do_update(index_elements=["source", "key"], set_=taken))

    def _refresh(self, connection: sa.Connection, run: Run) -> None:
        """Give the unchanged their new digests (their bytes may differ where their content does not), and count misses."""
        s, r = t.staged, t.record
        mine = sa.and_(s.c.run == run.id, r.c.source == s.c.source, r.c.key == s.c.key)
        same = s.c.outcome.in_([Outcome.UNCHANGED.value, Outcome.RETURNED.value])
        connection.execute(sa.update(r).where(mine, same, r.c.digest != s.c.digest).values(digest=s.c.digest))
        connection.execute(sa.update(r).where(mine, s.c.seq >= 0, r.c.misses > 0).values(misses=0))
        missed = s.c.outcome.in_([Outcome.VANISHED.value, Outcome.MISSING.value])
        connection.execute(sa.update(r).where(mine, missed).values(misses=r.c.misses + 1))

    def drop(self, run: Run) -> None:
        """Forget what a run would have published, and write its row anew; which records it met stays listed."""
        with self._begin() as connection:
            connection.execute(sa.delete(t.description).where(t.description.c.run == run.id))
            self._let_go(connection, run)
            self._prune(connection, run)
            self._save(connection, run)

    def forget(self, run: Run) -> None:
        """Leave no trace of a run, as of a dry one."""
        with self._begin() as connection:
            for table in (t.staged, t.description, t.unchanged, t.notice):
                connection.execute(sa.delete(table).where(table.c.run == run.id))
            connection.execute(sa.delete(t.run).where(t.run.c.id == run.id))

    def _let_go(self, connection: sa.Connection, run: Run) -> None:
        """Delete the drafts of what was unchanged: the pages list it."""
        s = t.staged.c
        connection.execute(sa.delete(t.staged).where(s.run == run.id, s.outcome == Outcome.UNCHANGED.value))

    def _prune(self, connection: sa.Connection, run: Run) -> None:
        """Delete the rows of the source's runs of long ago; their numbers stay."""
        c = t.run.c
        ended = c.state.not_in([State.HELD.value, State.RUNNING.value, State.COMMITTING.value])
        old = sa.select(c.id).where(c.source == run.source, c.number <= run.number - KEPT, ended)
        for table in (t.staged, t.unchanged, t.notice):
            connection.execute(sa.delete(table).where(table.c.run.in_(old)))


def _batches(rewritten: Iterable[Rewritten]) -> Iterator[list[Rewritten]]:
    left = iter(rewritten)
    while some := list(islice(left, _AT_ONCE)):
        yield some
