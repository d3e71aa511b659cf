"""Runs: the ledger's part on runs, what is to be known of them, and how many quads stand after each journal entry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.account import Notice, Run, State
from harvesters.ledger.door import Door
from harvesters.ledger.rows import aware, run_row, utc


class Runs(Door):
    """The ledger's part on runs."""

    def run(self, id: str) -> Run | None:
        """Give a run by its id, None where there is none."""
        return next(iter(self._runs(sa.select(t.run).where(t.run.c.id == id))), None)

    def open_run(self, source: str) -> Run | None:
        """Give the source's run that was not finished, None where there is none."""
        return self.last_run(source, [State.RUNNING, State.COMMITTING])

    def last_run(self, source: str, states: Iterable[State], *, sweeps: bool = False, asking: bool = False) -> Run | None:
        """Give the source's newest run in one of *states*, of sweeps only or of those that asked the source, where that is wanted."""
        wanted = [state.value for state in states]
        query = sa.select(t.run).where(t.run.c.source == source, t.run.c.state.in_(wanted)).order_by(t.run.c.number.desc()).limit(1)
        query = query.where(t.run.c.heard.is_(None)) if asking else query
        return next(iter(self._runs(query.where(t.run.c.sweep) if sweeps else query)), None)

    def heard(self, source: str, states: Iterable[State]) -> list[Run]:
        """List the runs in *states* that asked the source, the newest first, down to the last complete sweep; none where none is."""
        sweep = self.last_run(source, [State.COMMITTED, State.UNCHANGED], sweeps=True, asking=True)
        if sweep is None:
            return []
        c, wanted = t.run.c, [state.value for state in states]
        query = sa.select(t.run).where(c.source == source, c.state.in_(wanted), c.heard.is_(None), c.number >= sweep.number)
        return list(self._runs(query.order_by(c.number.desc())))

    def runs(self, source: str | None = None, limit: int = 50) -> list[Run]:
        """List the newest runs, of one source or of all."""
        query = sa.select(t.run).order_by(t.run.c.started.desc(), t.run.c.number.desc(), t.run.c.id.desc()).limit(limit)
        return list(self._runs(query.where(t.run.c.source == source) if source else query))

    def held(self) -> list[Run]:
        """List the runs whose plans wait for a person, the oldest first."""
        return list(self._runs(sa.select(t.run).where(t.run.c.state == State.HELD.value).order_by(t.run.c.started, t.run.c.id)))

    def sources(self) -> list[str]:
        """List the sources that were ever tried, by name."""
        with self._begin() as connection:
            return list(connection.scalars(sa.select(t.run.c.source).distinct().order_by(t.run.c.source)))

    def latest(self, source: str) -> datetime | None:
        """Give the latest time that the source's runs tell."""
        times = [sa.func.max(column) for column in (t.run.c.started, t.run.c.planned, t.run.c.ended)]
        with self._begin() as connection:
            found = connection.execute(sa.select(*times).where(t.run.c.source == source)).one()
        return max((utc(time) for time in found if time), default=None)

    def begin(self, source: str, started: datetime, rules: str, *, sweep: bool, since: datetime | None) -> Run:
        """Enter a new run; its id is the source's name and its number."""
        with self._begin() as connection:
            last = connection.scalar(sa.select(sa.func.max(t.run.c.number)).where(t.run.c.source == source)) or 0
            run = Run(f"{source}.{last + 1}", source, last + 1, State.RUNNING, sweep, since, started, rules)
            connection.execute(sa.insert(t.run).values(**run_row(run)))
        return run

    def save(self, run: Run) -> None:
        """Write a run's row anew; one that is about to write the journal must not know less than the journal, even without power."""
        with self._begin(lasting=run.state is State.COMMITTING) as connection:
            self._save(connection, run)

    def _save(self, connection: sa.Connection, run: Run) -> None:
        connection.execute(sa.update(t.run).where(t.run.c.id == run.id).values(**run_row(run)))

    def _runs(self, query: sa.Select[Any]) -> Iterator[Run]:
        with self._begin() as connection:
            rows = connection.execute(query).mappings().all()
        for row in rows:
            values = {**row, "state": State(row["state"])}
            for name in ("since", "started", "planned", "ended", "heard"):
                values[name] = aware(values[name])
            for name in ("counts", "network"):
                values[name] = json.loads(values[name] or "{}")
            yield Run(**values)

    # ---- notices

    def tell(self, run: Run, kind: str, notices: Sequence[Notice]) -> None:
        """Write down what is to be known of a run, in place of what was of this kind."""
        rows = [{"run": run.id, **asdict(notice)} for notice in notices]
        with self._begin() as connection:
            connection.execute(sa.delete(t.notice).where(t.notice.c.run == run.id, t.notice.c.kind == kind))
            if rows:
                connection.execute(sa.insert(t.notice), rows)

    def notices(self, run: Run) -> list[Notice]:
        """List what is to be known of a run."""
        query = sa.select(t.notice).where(t.notice.c.run == run.id).order_by(t.notice.c.id)
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return [Notice(row.kind, row.text, row.key, row.source, row.other) for row in rows]

    # ---- balances

    def balance(self, upto: int) -> tuple[int, int]:
        """Give the last entry up to *upto* whose quads were counted, and how many stand after it; (0, 0) where none was."""
        c = t.balance.c
        query = sa.select(c.entry, c.after).where(c.entry <= upto).order_by(c.entry.desc()).limit(1)
        with self._begin() as connection:
            row = connection.execute(query).one_or_none()
        return (row.entry, row.after) if row else (0, 0)

    def set_balance(self, entry: int, added: int, removed: int, after: int) -> None:
        """Keep how many quads an entry adds and removes, and how many stand after it."""
        values = {"added": added, "removed": removed, "after": after}
        insert = self._insert(t.balance).values(entry=entry, **values)
        with self._begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["entry"], set_=values))
