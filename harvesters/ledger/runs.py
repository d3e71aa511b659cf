"""Store runs, their notices, and the number of quads after each journal entry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.models import Notice, Run, State
from harvesters.ledger.row_mapping import aware, run_row, utc
from harvesters.reasons import Reason


class Runs(Database):
    """The part of the ledger for runs."""

    def run(self, id: str) -> Run | None:
        """Return a run by its id, or None."""
        return next(iter(self._runs(sa.select(t.run).where(t.run.c.id == id))), None)

    def open_run(self, source: str) -> Run | None:
        """Return the source's unfinished run, or None."""
        return self.last_run(source, [State.RUNNING, State.COMMITTING])

    def last_run(
        self,
        source: str,
        states: Iterable[State],
        *,
        full_only: bool = False,
        fetched_only: bool = False,
        before: int | None = None,
    ) -> Run | None:
        """Return the source's newest run in one of *states*, optionally of full harvests or of runs
        that fetched only, or with a number below *before*.
        """
        values = [state.value for state in states]
        query = (
            sa.select(t.run)
            .where(t.run.c.source == source, t.run.c.state.in_(values))
            .order_by(t.run.c.number.desc())
            .limit(1)
        )
        query = query.where(t.run.c.last_fetched.is_(None)) if fetched_only else query
        query = query.where(t.run.c.number < before) if before is not None else query
        return next(iter(self._runs(query.where(t.run.c.is_full) if full_only else query)), None)

    def fetched_runs(self, source: str, states: Iterable[State]) -> list[Run]:
        """Return the runs in *states* that fetched, newest first, since the last full harvest;
        empty if there was none.
        """
        last_full = self.last_run(
            source, [State.COMMITTED, State.UNCHANGED], full_only=True, fetched_only=True
        )
        if last_full is None:
            return []
        c, values = t.run.c, [state.value for state in states]
        query = sa.select(t.run).where(
            c.source == source,
            c.state.in_(values),
            c.last_fetched.is_(None),
            c.number >= last_full.number,
        )
        return list(self._runs(query.order_by(c.number.desc())))

    def runs(self, source: str | None = None, limit: int = 50) -> list[Run]:
        """Return the newest runs, of one source or of all."""
        query = (
            sa.select(t.run)
            .order_by(t.run.c.started.desc(), t.run.c.number.desc(), t.run.c.id.desc())
            .limit(limit)
        )
        return list(self._runs(query.where(t.run.c.source == source) if source else query))

    def count_runs(self) -> list[tuple[str, State, int, int]]:
        """Count the runs of each source by state, and the records that they received."""
        c = t.run.c
        query = sa.select(c.source, c.state, sa.func.count(), sa.func.sum(c.fetched)).group_by(
            c.source, c.state
        )
        with self._begin() as connection:
            rows = connection.execute(query.order_by(c.source, c.state)).all()
        return [
            (source, State(state), count, int(fetched)) for source, state, count, fetched in rows
        ]

    def last_runs(self) -> list[Run]:
        """Return the newest run of each source."""
        c = t.run.c
        newest = (
            sa.select(c.source, sa.func.max(c.number).label("number")).group_by(c.source).subquery()
        )
        joined = t.run.join(
            newest, sa.and_(c.source == newest.c.source, c.number == newest.c.number)
        )
        return list(self._runs(sa.select(t.run).select_from(joined).order_by(c.source)))

    def awaiting_review(self) -> list[Run]:
        """Return the runs whose plans await approval, the oldest first."""
        return list(
            self._runs(
                sa.select(t.run)
                .where(t.run.c.state == State.HELD.value)
                .order_by(t.run.c.started, t.run.c.id)
            )
        )

    def sources(self) -> list[str]:
        """Return the names of all sources that had a run."""
        with self._begin() as connection:
            return list(
                connection.scalars(sa.select(t.run.c.source).distinct().order_by(t.run.c.source))
            )

    def latest_time(self, source: str) -> datetime | None:
        """Return the latest time in the source's runs."""
        times = [
            sa.func.max(column) for column in (t.run.c.started, t.run.c.planned, t.run.c.ended)
        ]
        with self._begin() as connection:
            row = connection.execute(sa.select(*times).where(t.run.c.source == source)).one()
        return max((utc(time) for time in row if time), default=None)

    def create_run(
        self, source: str, started: datetime, rules: str, *, is_full: bool, since: datetime | None
    ) -> Run:
        """Create a run; its id is the source's name and its number."""
        with self._begin() as connection:
            last = (
                connection.scalar(
                    sa.select(sa.func.max(t.run.c.number)).where(t.run.c.source == source)
                )
                or 0
            )
            run = Run(
                f"{source}.{last + 1}",
                source,
                last + 1,
                State.RUNNING,
                is_full,
                since,
                started,
                rules,
            )
            connection.execute(sa.insert(t.run).values(**run_row(run)))
        return run

    def save(self, run: Run) -> None:
        """Update a run's row; durably if the journal is written next, so that the ledger is never
        behind it.
        """
        with self._begin(durable=run.state is State.COMMITTING) as connection:
            self._save(connection, run)

    def _save(self, connection: sa.Connection, run: Run) -> None:
        connection.execute(sa.update(t.run).where(t.run.c.id == run.id).values(**run_row(run)))

    def _runs(self, query: sa.Select[Any]) -> Iterator[Run]:
        with self._begin() as connection:
            rows = connection.execute(query).mappings().all()
        for row in rows:
            values = {**row, "state": State(row["state"])}
            for name in ("since", "started", "planned", "ended", "last_fetched"):
                values[name] = aware(values[name])
            for name in ("counts", "network", "responses"):
                values[name] = json.loads(values[name] or "{}")
            values["reasons"] = tuple(map(Reason.from_json, json.loads(row["reasons"] or "[]")))
            if reason := row["incomplete_reason"]:
                values["incomplete_reason"] = Reason.from_json(json.loads(reason))
            yield Run(**values)

    # ---- notices

    def replace_notices(self, run: Run, kind: str, notices: Sequence[Notice]) -> None:
        """Store the run's notices of this kind, replacing earlier ones."""
        rows = [{"run": run.id, **asdict(notice)} for notice in notices]
        with self._begin() as connection:
            connection.execute(
                sa.delete(t.notice).where(t.notice.c.run == run.id, t.notice.c.kind == kind)
            )
            if rows:
                connection.execute(sa.insert(t.notice), rows)

    def notices(self, run: Run) -> list[Notice]:
        """Return the notices of a run."""
        query = sa.select(t.notice).where(t.notice.c.run == run.id).order_by(t.notice.c.id)
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return [Notice(row.kind, row.text, row.key, row.source, row.other) for row in rows]

    # ---- balances

    def balance(self, last_entry: int) -> tuple[int, int]:
        """Return the last counted entry up to *last_entry* and the number of quads after it; (0, 0)
        if there is none.
        """
        c = t.balance.c
        query = (
            sa.select(c.entry, c.after)
            .where(c.entry <= last_entry)
            .order_by(c.entry.desc())
            .limit(1)
        )
        with self._begin() as connection:
            row = connection.execute(query).one_or_none()
        return (row.entry, row.after) if row else (0, 0)

    def set_balance(self, entry: int, added: int, removed: int, after: int) -> None:
        """Store how many quads an entry adds and removes, and how many exist after it."""
        values = {"added": added, "removed": removed, "after": after}
        insert = self.insert(t.balance).values(entry=entry, **values)
        with self._begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["entry"], set_=values))
