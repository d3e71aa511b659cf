"""The book: the ledger's one class, over any database that SQLAlchemy speaks to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from harvesters.fetch import Validator
from harvesters.ledger import tables as t
from harvesters.ledger.account import Draft, Known, Outcome, Run, State
from harvesters.ledger.decisions import Decisions
from harvesters.ledger.press import pack, unpack
from harvesters.ledger.rows import aware, descriptions, run_row, staged_row, utc


class Ledger(Decisions):
    """The ledger, whole; ``Door`` tells how it is opened."""

    # ---- runs

    def open_run(self, source: str) -> Run | None:
        """Give the source's run that was not finished, None where there is none."""
        unfinished = [State.RUNNING.value, State.COMMITTING.value]
        query = sa.select(t.run).where(t.run.c.source == source, t.run.c.state.in_(unfinished)).order_by(t.run.c.number.desc()).limit(1)
        return next(iter(self._runs(query)), None)

    def last_run(self, source: str, states: Iterable[State], *, sweeps: bool = False) -> Run | None:
        """Give the source's newest run in one of *states*, of sweeps only where asked."""
        wanted = [state.value for state in states]
        query = sa.select(t.run).where(t.run.c.source == source, t.run.c.state.in_(wanted)).order_by(t.run.c.number.desc()).limit(1)
        return next(iter(self._runs(query.where(t.run.c.sweep) if sweeps else query)), None)

    def runs(self, source: str | None = None, limit: int = 50) -> list[Run]:
        """List the newest runs, of one source or of all."""
        query = sa.select(t.run).order_by(t.run.c.started.desc(), t.run.c.id.desc()).limit(limit)
        return list(self._runs(query.where(t.run.c.source == source) if source else query))

    def sources(self) -> list[str]:
        """List the sources that were ever tried, by name."""
        with self._begin() as connection:
            return list(connection.scalars(sa.select(t.run.c.source).distinct().order_by(t.run.c.source)))

    def begin(self, source: str, started: datetime, rules: str, *, sweep: bool, since: datetime | None) -> Run:
        """Enter a new run; its id is the source's name and its number."""
        with self._begin() as connection:
            last = connection.scalar(sa.select(sa.func.max(t.run.c.number)).where(t.run.c.source == source)) or 0
            run = Run(f"{source}.{last + 1}", source, last + 1, State.RUNNING, sweep, since, started, rules)
            connection.execute(sa.insert(t.run).values(**run_row(run)))
        return run

    def save(self, run: Run) -> None:
        """Write a run's row anew."""
        with self._begin() as connection:
            self._save(connection, run)

    def _save(self, connection: sa.Connection, run: Run) -> None:
        connection.execute(sa.update(t.run).where(t.run.c.id == run.id).values(**run_row(run)))

    def _runs(self, query: sa.Select[Any]) -> Iterator[Run]:
        with self._begin() as connection:
            rows = connection.execute(query).mappings().all()
        for row in rows:
            values = {**row, "state": State(row["state"]), "counts": json.loads(row["counts"] or "{}")}
            values["network"] = json.loads(row["network"] or "{}")
            for name in ("since", "started", "planned", "ended"):
                values[name] = aware(values[name])
            yield Run(**values)

    # ---- a run's records

    def known(self, source: str, keys: Sequence[str]) -> dict[str, Known]:
        """Look up what is known of these keys."""
        c = t.record.c
        query = sa.select(c.key, c.digest, c.content, c.first_seen, c.state).where(c.source == source, c.key.in_(keys))
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return {key: Known(digest, content, first.replace(tzinfo=UTC), state == "gone") for key, digest, content, first, state in rows}

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
            self._save(connection, run)

    def staged(self, run: Run) -> int:
        """Count what the run has staged so far."""
        with self._begin() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(t.staged).where(t.staged.c.run == run.id)) or 0

    def outcomes(self, run: Run) -> dict[Outcome, int]:
        """Count the run's outcomes."""
        query = sa.select(t.staged.c.outcome, sa.func.count()).where(t.staged.c.run == run.id).group_by(t.staged.c.outcome)
        with self._begin() as connection:
            found = {Outcome(name): count for name, count in connection.execute(query).all()}
        return {outcome: found.get(outcome, 0) for outcome in Outcome}

    def published(self, source: str) -> int:
        """Count the source's published records."""
        query = sa.select(sa.func.count()).select_from(t.record).where(t.record.c.source == source, t.record.c.state == "published")
        with self._begin() as connection:
            return connection.scalar(query) or 0

    def _missing(self, run: Run) -> sa.ColumnElement[bool]:
        came = sa.select(sa.literal(1)).where(t.staged.c.run == run.id, t.staged.c.key == t.record.c.key)
        return sa.and_(t.record.c.source == run.source, t.record.c.state == "published", ~sa.exists(came))

    def vanished(self, run: Run) -> int:
        """Count the published records of the source that this run did not meet."""
        with self._begin() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(t.record).where(self._missing(run))) or 0

    def lost(self, run: Run, misses: int) -> Iterator[tuple[str, datetime, str]]:
        """Give key, first sight and description of those that vanished now and at least *misses* times before."""
        c, d = t.record.c, t.description.c
        join = t.record.join(t.description, sa.and_(d.run == c.run, d.seq == c.seq))
        query = sa.select(c.key, c.first_seen, d.statements).select_from(join)
        found = self._stream(query.where(self._missing(run), c.misses >= misses).order_by(c.key))
        yield from ((key, utc(first), unpack(data)) for key, first, data in found)

    def drafts(self, run: Run, outcomes: Iterable[Outcome]) -> Iterator[tuple[Draft, str]]:
        """Give the run's drafts with these outcomes in their order, each with the description that stands before it."""
        s, r, now, old = t.staged, t.record, t.description.alias("now"), t.description.alias("old")
        join = s.outerjoin(now, sa.and_(now.c.run == s.c.run, now.c.seq == s.c.seq))
        join = join.outerjoin(r, sa.and_(r.c.source == s.c.source, r.c.key == s.c.key))
        join = join.outerjoin(old, sa.and_(old.c.run == r.c.run, old.c.seq == r.c.seq))
        wanted = [outcome.value for outcome in outcomes]
        columns = (s.c.key, s.c.outcome, s.c.digest, s.c.content, s.c.first_seen, s.c.reason)
        query = sa.select(*columns, now.c.statements, old.c.statements.label("before")).select_from(join)
        for row in self._stream(query.where(s.c.run == run.id, s.c.outcome.in_(wanted)).order_by(s.c.seq)):
            outcome, first = Outcome(row.outcome), aware(row.first_seen)
            yield Draft(row.key, outcome, row.digest, row.content, first, unpack(row.statements), row.reason), unpack(row.before)

    # ---- commit

    def settle(self, run: Run, tombstones: Mapping[str, str]) -> None:
        """Take a committed run's drafts over into the records, in one transaction with the run's new state."""
        s = t.staged
        fresh = [Outcome.NEW.value, Outcome.CHANGED.value]
        over = [*fresh, Outcome.UNCHANGED.value, Outcome.ABSENT.value]
        with self._begin() as connection:
            if run.sweep:
                connection.execute(sa.update(t.record).where(self._missing(run)).values(misses=t.record.c.misses + 1))
            self._forget_old(connection, run, [s.c.outcome.in_(fresh)])
            self._take_over(connection, run, fresh)
            self._refresh(connection, run)
            self._bury(connection, run, tombstones)
            connection.execute(sa.delete(s).where(s.c.run == run.id, s.c.outcome.in_(over)))
            self._save(connection, run)

    def _forget_old(self, connection: sa.Connection, run: Run, which: Sequence[sa.ColumnElement[bool]]) -> None:
        """Delete the descriptions that this run's drafts replace."""
        r, s, d = t.record, t.staged, t.description
        pairs = sa.select(r.c.run, r.c.seq).join(s, sa.and_(s.c.source == r.c.source, s.c.key == r.c.key)).where(s.c.run == run.id, *which)
        connection.execute(sa.delete(d).where(sa.tuple_(d.c.run, d.c.seq).in_(pairs)))

    def _take_over(self, connection: sa.Connection, run: Run, fresh: Sequence[str]) -> None:
        s = t.staged.c
        published = (s.source, s.key, sa.literal("published"), s.digest, s.content, s.first_seen, s.run, s.seq, sa.literal(0))
        columns = ["source", "key", "state", "digest", "content", "first_seen", "run", "seq", "misses"]
        insert = self._insert(t.record).from_select(columns, sa.select(*published).where(s.run == run.id, s.outcome.in_(fresh)))
        taken = {name: insert.excluded[name] for name in columns[2:]}
        connection.execute(insert.on_conflict_do_update(index_elements=["source", "key"], set_=taken))

    def _bury(self, connection: sa.Connection, run: Run, tombstones: Mapping[str, str]) -> None:
        """Put tombstones in the place of records; they are numbered below zero, since no draft of the run stands for them."""
        r, d = t.record, t.description
        for number, (key, tombstone) in enumerate(tombstones.items(), 1):
            mine = sa.and_(r.c.source == run.source, r.c.key == key)
            old = sa.select(r.c.run, r.c.seq).where(mine)
            connection.execute(sa.delete(d).where(sa.tuple_(d.c.run, d.c.seq).in_(old)))
            connection.execute(sa.insert(d).values(run=run.id, seq=-number, statements=pack(tombstone)))
            values = {"state": "gone", "digest": "", "content": "", "run": run.id, "seq": -number}
            connection.execute(sa.update(r).where(mine).values(**values))

    def _refresh(self, connection: sa.Connection, run: Run) -> None:
        """Give the unchanged their new digests (their bytes may differ where their content does not) and forget their misses."""
        s, r = t.staged, t.record
        mine = sa.and_(s.c.run == run.id, r.c.source == s.c.source, r.c.key == s.c.key)
        other = sa.and_(s.c.outcome == Outcome.UNCHANGED.value, r.c.digest != s.c.digest)
        connection.execute(sa.update(r).where(mine, other).values(digest=s.c.digest))
        connection.execute(sa.update(r).where(mine, r.c.misses > 0).values(misses=0))

    def drop(self, run: Run) -> None:
        """Forget a run's drafts but those that name what was not published, and write its row anew."""
        kept = [Outcome.WITHHELD.value, Outcome.UNREADABLE.value, Outcome.DUPLICATE.value]
        with self._begin() as connection:
            connection.execute(sa.delete(t.staged).where(t.staged.c.run == run.id, t.staged.c.outcome.not_in(kept)))
            connection.execute(sa.delete(t.description).where(t.description.c.run == run.id))
            self._save(connection, run)

    def forget(self, run: Run) -> None:
        """Leave no trace of a run, as of a dry one."""
        with self._begin() as connection:
            connection.execute(sa.delete(t.staged).where(t.staged.c.run == run.id))
            connection.execute(sa.delete(t.description).where(t.description.c.run == run.id))
            connection.execute(sa.delete(t.run).where(t.run.c.id == run.id))

    def troubles(self, run: Run) -> list[Draft]:
        """List what the run did not publish, with the reasons."""
        kept = [Outcome.WITHHELD, Outcome.UNREADABLE, Outcome.DUPLICATE]
        return [draft for draft, _ in self.drafts(run, kept)]

    def reasons(self, run: Run) -> dict[str, int]:
        """Count the reasons for which records of the run were withheld or could not be read, the commonest first."""
        s = t.staged.c
        which = sa.and_(s.run == run.id, s.outcome.in_([Outcome.WITHHELD.value, Outcome.UNREADABLE.value]))
        count = sa.func.count().label("count")
        query = sa.select(s.reason, count).where(which).group_by(s.reason).order_by(count.desc(), s.reason)
        with self._begin() as connection:
            return {reason or "": number for reason, number in connection.execute(query).all()}

    # ---- graphs and validators

    def graph(self, iri: str) -> str:
        """Give the last description of a graph that is no record's, empty where there is none."""
        with self._begin() as connection:
            return unpack(connection.scalar(sa.select(t.graph.c.description).where(t.graph.c.iri == iri)))

    def graphs(self) -> list[str]:
        """List the graphs that are no record's."""
        with self._begin() as connection:
            return list(connection.scalars(sa.select(t.graph.c.iri).order_by(t.graph.c.iri)))

    def set_graph(self, iri: str, description: str) -> None:
        """Keep the description of a graph that is no record's."""
        insert = self._insert(t.graph).values(iri=iri, description=pack(description))
        with self._begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["iri"], set_={"description": insert.excluded.description}))

    def validators(self, source: str) -> dict[str, Validator]:
        """Give the validators of the source's last complete run, by address."""
        c = t.validator.c
        with self._begin() as connection:
            rows = connection.execute(sa.select(c.url, c.etag, c.modified).where(c.source == source)).all()
        return {url: Validator(etag, modified) for url, etag, modified in rows}

    def set_validators(self, source: str, seen: Mapping[str, Validator]) -> None:
        """Replace the source's validators."""
        rows = [{"source": source, "url": url, **asdict(item)} for url, item in seen.items() if item.etag or item.modified]
        with self._begin() as connection:
            connection.execute(sa.delete(t.validator).where(t.validator.c.source == source))
            if rows:
                connection.execute(sa.insert(t.validator), rows)
