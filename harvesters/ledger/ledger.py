"""Store runs and their changes of records: pages are staged, a plan is computed from them in SQL, and a commit applies it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database, insert, insert_all, insertable
from harvesters.ledger.models import (
    NOT_PUBLISHED,
    OPEN_STATES,
    PUBLISHED_RUNS,
    SERVED,
    UPSERTED,
    GrantedOverride,
    LogLine,
    Notice,
    Outcome,
    RecordState,
    Removal,
    RemovalKind,
    Run,
    SourceHold,
    StagedDiff,
    StagedRecord,
    State,
    StateChange,
    StoredRecord,
    compress,
    decompress,
)
from harvesters.ledger.participation import UNDECIDED, ReportedProblem
from harvesters.page_model import SourcePosition, Validator
from harvesters.reasons import Reason, other

Item = TypeVar("Item")
LISTED_RUNS = 30  # runs of a source whose records stay listed: a month of daily runs
# Codes of the reasons of duplicates that lose a record.
KEY_CONFLICTS = ("key_repeated", "key_repeated_in_table")
_BATCH_SIZE = 500  # records whose descriptions are in memory at once: one or two megabytes
_NEW = (Outcome.NEW, Outcome.REIDENTIFIED)  # An earlier plan may have changed one to the other.

_run, _record, _staged = t.run.c, t.record.c, t.staged.c
_description, _unchanged, _undo = t.description.c, t.unchanged.c, t.undo.c
is_current = sa.and_(_description.run == _record.run, _description.seq == _record.seq)
is_stored = sa.and_(_record.source == _staged.source, _record.key == _staged.key)
_newest_first = _run.number.desc()


class Ledger(Database):
    """The ledger, as runs use it. See ``Database`` for how it is opened."""

    # ---- runs

    def run(self, id: str) -> Run | None:
        return self.first(Run, _run.id == id)

    def open_run(self, source: str) -> Run | None:
        return self.last_run(source, [State.RUNNING, State.COMMITTING])

    def last_run(
        self,
        source: str,
        states: Iterable[State],
        *,
        full_only: bool = False,
        fetched_only: bool = False,
        wrote_only: bool = False,
        before: int | None = None,
    ) -> Run | None:
        """Return the source's newest run in one of *states*, optionally of full harvests, of runs
        that fetched or of runs with a journal entry only, or with a number below *before*.
        """
        of_source = (_run.source == source, _run.state.in_(list(states)))
        only = [
            *([_run.is_full] if full_only else []),
            *([_run.last_fetched.is_(None)] if fetched_only else []),
            *([_run.entry.is_not(None)] if wrote_only else []),
            *([_run.number < before] if before is not None else []),
        ]
        return self.first(Run, *of_source, *only, order=[_newest_first])

    def fetched_runs(self, source: str, states: Iterable[State]) -> list[Run]:
        """Return the runs in *states* that fetched, newest first, since the last full harvest;
        empty if there was none.
        """
        last_full = self.last_run(
            source, [State.COMMITTED, State.UNCHANGED], full_only=True, fetched_only=True
        )
        if last_full is None:
            return []
        fetched = (_run.last_fetched.is_(None), _run.number >= last_full.number)
        of_source = (_run.source == source, _run.state.in_(list(states)))
        return self.select(Run, *of_source, *fetched, order=[_newest_first])

    def runs(self, source: str | None = None, limit: int = 50) -> list[Run]:
        """Return the newest runs, of one source or of all."""
        of_source = [_run.source == source] if source else []
        order = [_run.started.desc(), _newest_first, _run.id.desc()]
        return self.select(Run, *of_source, order=order, limit=limit)

    def count_runs(self) -> list[tuple[str, State, int, int]]:
        """Count the runs of each source by state, and the records that they received."""
        groups = (_run.source, _run.state)
        query = sa.select(*groups, sa.func.count(), sa.func.sum(_run.fetched))
        rows = self.rows(query.group_by(*groups).order_by(*groups))
        return [(source, state, count, int(fetched)) for source, state, count, fetched in rows]

    def last_runs(self) -> list[Run]:
        newest = sa.select(_run.source, sa.func.max(_run.number)).group_by(_run.source)
        is_newest = sa.tuple_(_run.source, _run.number).in_(newest)
        return self.select(Run, is_newest, order=[_run.source])

    def awaiting_review(self) -> list[Run]:
        """Return the runs whose plans await approval, the oldest first."""
        return self.select(Run, _run.state == State.HELD, order=[_run.started, _run.id])

    def sources(self) -> list[str]:
        """Return the names of all sources that had a run."""
        return self.scalars(sa.select(_run.source).distinct().order_by(_run.source))

    def latest_time(self, source: str) -> datetime | None:
        times = [sa.func.max(column) for column in (_run.started, _run.planned, _run.ended)]
        [row] = self.rows(sa.select(*times).where(_run.source == source))
        return max((time for time in row if time), default=None)

    def create_run(
        self,
        source: str,
        started: datetime,
        rules: str,
        *,
        is_full: bool = False,
        since: datetime | None = None,
        last_fetched: datetime | None = None,
    ) -> Run:
        """Create a run; its id is the source's name and its number. *last_fetched* is of one that
        fetches nothing.
        """
        last = sa.select(sa.func.max(_run.number)).where(_run.source == source)
        with self.transaction() as connection:
            number = (connection.scalar(last) or 0) + 1
            run = Run(
                f"{source}.{number}",
                source,
                number,
                State.RUNNING,
                is_full,
                since,
                started,
                rules,
                last_fetched=last_fetched,
            )
            insert(connection, run)
        return run

    def save(self, *runs: Run) -> None:
        """Update the rows of runs in one transaction; durably if the journal is written next, so
        that the ledger is never behind it.
        """
        durable = any(run.state is State.COMMITTING for run in runs)
        with self.transaction(durable=durable) as connection:
            for run in runs:
                _save(connection, run)

    def replace_notices(self, run: Run, kind: str, notices: Sequence[Notice]) -> None:
        """Store the run's notices of this kind, replacing earlier ones."""
        n = t.notice.c
        with self.transaction() as connection:
            connection.execute(sa.delete(t.notice).where(n.run == run.id, n.kind == kind))
            rows = [insertable(notice) | {"run": run.id} for notice in notices]
            insert_all(connection, t.notice, rows)

    def notices(self, run: Run) -> list[Notice]:
        return self.select(Notice, t.notice.c.run == run.id, order=[t.notice.c.id])

    def balance(self, last_entry: int) -> tuple[int, int]:
        """Return the last counted entry up to *last_entry* and the number of quads after it; (0, 0)
        if there is none.
        """
        c = t.balance.c
        query = sa.select(c.entry, c.after).where(c.entry <= last_entry)
        rows = self.rows(query.order_by(c.entry.desc()).limit(1))
        return (rows[0].entry, rows[0].after) if rows else (0, 0)

    def set_balance(self, entry: int, added: int, removed: int, after: int) -> None:
        """Store how many quads an entry adds and removes, and how many exist after it."""
        values = {"entry": entry, "added": added, "removed": removed, "after": after}
        self.upsert(t.balance, values)

    # ---- the log of a run

    def append_log(self, lines: Sequence[LogLine]) -> None:
        """Store lines of a run's log."""
        self.execute(sa.insert(t.run_log), [insertable(line) for line in lines])

    def log_lines(
        self,
        *,
        run: str | None = None,
        source: str | None = None,
        level: str | None = None,
        text: str = "",
        before: int | None = None,
        limit: int = 100,
    ) -> list[LogLine]:
        """Return the newest lines, newest first: of one run or source, of one level, with a *text*.

        *before* is the number of a line: only older ones are returned.
        """
        c = t.run_log.c
        where = [
            column == value
            for column, value in ((c.run, run), (c.source, source), (c.level, level))
            if value
        ]
        if text:
            texts = [column.icontains(text, autoescape=True) for column in (c.event, c.fields)]
            where.append(sa.or_(*texts))
        if before is not None:
            where.append(c.number < before)
        return self.select(LogLine, *where, order=[c.number.desc()], limit=limit)

    # ---- staging

    def stored_records(self, source: str, keys: Sequence[str]) -> dict[str, StoredRecord]:
        r = _record
        query = sa.select(r.key, r.digest, r.content, r.first_seen, r.state)
        rows = self.rows(query.where(r.source == source, r.key.in_(keys)))
        return {key: StoredRecord(*values) for key, *values in rows}

    def current_descriptions(self, source: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the current descriptions of these keys, compressed."""
        rows = self.rows(_current_descriptions(source).where(_record.key.in_(keys)))
        return {key: bytes(statements) for key, statements in rows}

    def published_descriptions(self, source: str) -> Iterator[bytes]:
        """Return the current description of each published record of a source, compressed."""
        query = _current_descriptions(source).where(_record.state.in_(SERVED))
        return (bytes(packed) for _, packed in self.stream(query.order_by(_record.key)))

    def already_staged(self, run: Run, keys: Sequence[str]) -> dict[str, str | None]:
        """Return the digest of the first record of each of these keys that this run has staged."""
        query = sa.select(_staged.key, _staged.digest).where(
            _staged.run == run.id, _staged.key.in_(keys), _staged.outcome != Outcome.DUPLICATE
        )
        return {row.key: row.digest for row in self.rows(query)}

    def stage(
        self,
        run: Run,
        staged_records: Sequence[StagedRecord],
        first: int,
        *,
        is_checkpoint: bool = True,
    ) -> None:
        """Write a page's records, numbered from *first*, and the run's checkpoint in one
        transaction. Without *is_checkpoint* they are a part of a page, and the rest follows.
        """
        numbered = list(enumerate(staged_records, first))
        texts = [
            {"run": run.id, "seq": number, "statements": compress(staged.description)}
            for number, staged in numbered
            if staged.description
        ]
        unchanged = [item for item in staged_records if item.outcome is Outcome.UNCHANGED]
        with self.transaction() as connection:
            rows = [_staged_row(run, number, staged) for number, staged in numbered]
            insert_all(connection, t.staged, rows)
            insert_all(connection, t.description, texts)
            if unchanged:
                keys = compress(json.dumps([item.key for item in unchanged]))
                row = {"run": run.id, "page": first, "count": len(unchanged), "keys": keys}
                position = _position_row(unchanged[0].position)
                connection.execute(sa.insert(t.unchanged), row | position)
            if is_checkpoint:
                _save(connection, run)

    def discard_part(self, run: Run) -> None:
        """Delete the records staged since the run's last checkpoint, whose page is read again."""
        with self.transaction() as connection:
            for number in (_staged.seq, _description.seq, _unchanged.page):
                is_behind = sa.and_(number.table.c.run == run.id, number >= run.fetched)
                connection.execute(sa.delete(number.table).where(is_behind))

    def outcomes(self, run: Run) -> dict[Outcome, int]:
        """Count the run's outcomes, also those of a finished run."""
        query = sa.select(_staged.outcome, sa.func.count()).where(_staged.run == run.id)
        unchanged = sa.select(sa.func.sum(_unchanged.count)).where(_unchanged.run == run.id)
        with self.transaction() as connection:
            rows = connection.execute(query.group_by(_staged.outcome)).all()
            counts: dict[Outcome, int] = dict(rows)
            counts[Outcome.UNCHANGED] = connection.scalar(unchanged) or 0
        return {outcome: counts.get(outcome, 0) for outcome in Outcome}

    def count_published(self, source: str) -> int:
        """Count the source's published records, including vanished ones."""
        return self.count(t.record, _record.source == source, _record.state.in_(SERVED))

    def count_missing(self, source: str) -> int:
        """Count the source's records that have vanished and are still published."""
        return self.count(t.record, _record.source == source, _record.state == RecordState.VANISHED)

    def changes(
        self,
        run: Run,
        outcomes: Iterable[Outcome],
        presence: RecordState | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> Iterator[StagedDiff]:
        """Yield the run's staged records with these outcomes in order, with what is stored; only
        those now in *presence*, if set, and at most *limit* behind the one numbered *after*.
        """
        first = sa.func.coalesce(_staged.first_seen, _record.first_seen).label("first_seen")
        columns = [column for column in _staged if column.name != "first_seen"]
        query, now, old = _changes(run, outcomes, *columns, first, _record.state)
        query = query.add_columns(now.c.statements, old.c.statements.label("before"))
        query = query.where(_record.state == presence) if presence else query
        query = query if after is None else query.where(_staged.seq > after)
        for row in self.stream(query.limit(limit)):
            staged = row_to_staged(row, decompress(row.statements))
            yield StagedDiff(row.seq, staged, decompress(row.before), row.state)

    def changed_descriptions(self, run: Run) -> Iterator[tuple[str, str, str]]:
        """Yield key, new and previous description of each new or changed record, in order."""
        query, now, old = _changes(run, UPSERTED, _staged.key)
        query = query.add_columns(now.c.statements, old.c.statements)
        for key, after, before in self.stream(query.where(now.c.statements.is_not(None))):
            yield key, decompress(after), decompress(before)

    def staged_records(self, run: Run, outcomes: Iterable[Outcome]) -> Iterator[StagedRecord]:
        """Yield the run's records with these outcomes, without descriptions: the unchanged first,
        page by page.
        """
        selected = set(outcomes)
        if Outcome.UNCHANGED in selected:
            pages = sa.select(t.unchanged).where(_unchanged.run == run.id)
            for row in self.stream(pages.order_by(_unchanged.page)):
                for key in json.loads(decompress(row.keys)):
                    yield StagedRecord(key, Outcome.UNCHANGED, position=_position(row))
        of_run = sa.select(t.staged).where(
            _staged.run == run.id, _staged.outcome.in_(list(selected - {Outcome.UNCHANGED}))
        )
        # Numbers below 0 are of unseen records, which come last.
        in_order = of_run.order_by(_staged.seq < 0, sa.func.abs(_staged.seq))
        yield from map(row_to_staged, self.stream(in_order))

    def described(
        self, source: str, records: Iterable[StagedRecord]
    ) -> Iterator[tuple[StagedRecord, str]]:
        """Yield records of a source, each with its current description, "" if it has none."""
        for batch in batches(records, _BATCH_SIZE):
            keys = [record.key for record in batch if record.key is not None]
            current = self.current_descriptions(source, keys)
            yield from ((record, decompress(current.get(record.key or ""))) for record in batch)

    def failures(self, run: Run) -> list[StagedRecord]:
        """Return the records that the run did not publish, with the reasons."""
        return list(self.staged_records(run, NOT_PUBLISHED))

    def failure_reasons(self, run: Run) -> dict[str, int]:
        """Count the reasons for which records were not published, the commonest first."""
        rows = self._reasons(run, NOT_PUBLISHED, _staged.reason)
        return {reason or "": number for reason, number in rows}

    def key_conflicts(self, run: Run) -> list[tuple[Reason, int]]:
        """Count the records that repeat the key of a record with other content, by reason, the
        commonest first.
        """
        rows = self._reasons(run, [Outcome.DUPLICATE], _staged.reason, _staged.reasons)
        return [
            (reason, number)
            for text, reasons, number in rows
            for reason in staged_reasons(text, reasons)
            if reason.code in KEY_CONFLICTS
        ]

    def _reasons(
        self, run: Run, outcomes: Iterable[Outcome], *columns: sa.Column[Any]
    ) -> Sequence[Any]:
        count = sa.func.count()
        of_run = (_staged.run == run.id, _staged.outcome.in_(list(outcomes)))
        query = sa.select(*columns, count).where(*of_run).group_by(*columns)
        return self.rows(query.order_by(count.desc(), columns[0]))

    def largest_description(self, run: Run, most: int) -> tuple[str, int] | None:
        """Return the key of the new or changed record with the most statements, and their number;
        None if none has more than *most*.
        """
        is_described = sa.and_(_description.run == _staged.run, _description.seq == _staged.seq)
        query = sa.select(_staged.key, _description.statements).join(t.description, is_described)
        # A statement has more than one byte, also when it is compressed.
        large = (_staged.run == run.id, sa.func.length(_description.statements) > most)
        counts = (
            (key or "", decompress(statements).count("\n") + 1)
            for key, statements in self.stream(query.where(*large).order_by(_staged.seq))
        )
        largest = max(counts, key=itemgetter(1), default=("", 0))
        return largest if largest[1] > most else None

    def description_bytes(self, run: Run) -> int:
        """Return the compressed size of the run's new and changed descriptions."""
        size = sa.func.sum(sa.func.length(_description.statements))
        return int(self.scalars(sa.select(size).where(_description.run == run.id))[0] or 0)

    def last_key(self, run: Run) -> str | None:
        """Return the key of the last record that the run received, None if it received no key."""
        received = (_staged.run == run.id, _staged.seq >= 0, _staged.key.is_not(None))
        query = sa.select(_staged.key).where(*received).order_by(_staged.seq.desc()).limit(1)
        return next(iter(self.scalars(query)), None)

    # ---- what operators decided

    def holds(self) -> dict[str, SourceHold]:
        """Return the sources on hold, by name."""
        return {item.source: item for item in self.select(SourceHold, order=[t.hold.c.source])}

    def overrides(self, source: str) -> list[GrantedOverride]:
        """Return all overrides granted to a source, the oldest first."""
        c = t.override.c
        return self.select(GrantedOverride, c.source == source, order=[c.id])

    def removals(self, source: str, kind: RemovalKind, run: str = "") -> list[Removal]:
        """Return the removals of a source that are effective or that *run* makes effective; without
        retirements that ended.
        """
        r, is_effective = t.removal.c, _run.state.in_((State.COMMITTING, *PUBLISHED_RUNS))
        effective = sa.select(_run.id).where(sa.or_(is_effective, _run.id == run))
        where = (r.source == source, r.kind == kind, r.ended.is_(None), r.run.in_(effective))
        return self.select(Removal, *where)

    def is_retired(self, source: str, run: str = "") -> bool:
        """Return whether a source was retired and not resumed since, or is retired by *run*."""
        return bool(self.removals(source, RemovalKind.RETIRE, run))

    def forgotten_keys(self, source: str) -> frozenset[str]:
        """Return the digests of the keys that must not be published again."""
        removed = self.removals(source, RemovalKind.FORGET)
        return frozenset(item.key_digest for item in removed if item.key_digest)

    def undecided_problems(self, source: str | None = None) -> list[ReportedProblem]:
        """Return the problems that are neither answered nor fixed, of one source or of all, the
        oldest first.
        """
        c = t.problem.c
        where = [c.state.in_(UNDECIDED), *([c.source == source] if source else [])]
        return self.select(ReportedProblem, *where, order=[c.id])

    # ---- plans

    def unseen(self, run: Run) -> Iterator[Any]:
        """Yield a row for each of the source's published records that this run did not see, by key:
        *key*, *state*, *misses*, the number of earlier full harvests that did not see it either, and
        *since* when.
        """
        r = _record
        query = sa.select(r.key, r.state, r.misses, r.vanished_since.label("since"))
        return self.stream(query.where(is_unseen(run)).order_by(r.key))

    def rekeyed(self, run: Run) -> dict[str, str]:
        """Return the new key, by old key, of unseen records whose content is staged as new.

        Records with the same content as others are excluded, since they cannot be distinguished.
        """
        s, r = _staged, _record
        new = sa.and_(s.run == run.id, s.outcome.in_(_NEW), s.fingerprint.is_not(None))
        single = sa.select(s.fingerprint).where(new).group_by(s.fingerprint)
        is_single = s.fingerprint.in_(single.having(sa.func.count() == 1))
        same = sa.and_(r.fingerprint == s.fingerprint, r.source == s.source)
        query = sa.select(r.key, s.key).select_from(t.staged.join(t.record, same))
        pairs = self.rows(query.where(new, is_unseen(run), is_single))
        occurrences = Counter(key for _, key in pairs)
        return {old: key for old, key in pairs if occurrences[key] == 1}

    def save_plan(
        self, run: Run, rekeyed: Mapping[str, str], unseen: Iterable[StagedRecord]
    ) -> None:
        """Store which records are re-identified (*rekeyed* has new keys by old) and which are
        unseen, replacing an earlier plan.
        """
        of_run = _staged.run == run.id
        rows = [_staged_row(run, -number, staged) for number, staged in enumerate(unseen, 1)]
        renamed = [{"new_key": new, "old_key": old} for old, new in rekeyed.items()]
        reset = sa.update(t.staged).where(of_run, _staged.outcome == Outcome.REIDENTIFIED)
        is_renamed = sa.and_(_staged.key == sa.bindparam("new_key"), _staged.outcome == Outcome.NEW)
        rename = sa.update(t.staged).where(of_run, is_renamed)
        with self.transaction() as connection:
            connection.execute(sa.delete(t.staged).where(of_run, _staged.seq < 0))
            connection.execute(reset.values(outcome=Outcome.NEW, other=None))
            if renamed:
                values = {"outcome": Outcome.REIDENTIFIED, "other": sa.bindparam("old_key")}
                connection.execute(rename.values(values), renamed)
            insert_all(connection, t.staged, rows)

    # ---- graphs that belong to no record, and the HTTP validators of sources

    def graph(self, iri: str) -> str:
        """Return the last description of a graph, empty if there is none."""
        query = sa.select(t.graph.c.description).where(t.graph.c.iri == iri)
        return decompress(next(iter(self.scalars(query)), None))

    def graph_iris(self) -> list[str]:
        return self.scalars(sa.select(t.graph.c.iri).order_by(t.graph.c.iri))

    def graphs_below(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield the IRI and the last description of each graph whose IRI begins with *prefix*."""
        c = t.graph.c
        query = sa.select(c.iri, c.description).where(c.iri.startswith(prefix, autoescape=True))
        return ((iri, decompress(description)) for iri, description in self.stream(query))

    def set_graphs(self, graphs: Iterable[tuple[str, str]]) -> None:
        """Store the descriptions of graphs, by IRI, in one transaction."""
        insert = self.insert(t.graph)
        insert = insert.on_conflict_do_update(
            index_elements=["iri"], set_={"description": insert.excluded.description}
        )
        if rows := [{"iri": iri, "description": compress(text)} for iri, text in graphs]:
            self.execute(insert, rows)

    def validators(self, source: str) -> dict[str, Validator]:
        """Return the validators of the source's last complete run, by address."""
        c = t.validator.c
        query = sa.select(c.url, c.etag, c.modified, c.digest).where(c.source == source)
        return {url: Validator(*values) for url, *values in self.rows(query)}

    def set_validators(self, source: str, seen: Mapping[str, Validator]) -> None:
        rows = [
            {"source": source, "url": url, **values}
            for url, item in seen.items()
            if any((values := asdict(item)).values())
        ]
        with self.transaction() as connection:
            connection.execute(sa.delete(t.validator).where(t.validator.c.source == source))
            insert_all(connection, t.validator, rows)

    # ---- the end of a run

    def apply_run(self, run: Run, state_changes: Iterable[StateChange]) -> None:
        """Apply a committed run's staged records, in one transaction with the run's new state."""
        with self.transaction() as connection:
            self._apply_state_changes(connection, run, state_changes)
            self._upsert_records(connection, run)
            _update_seen(connection, run)
            _delete_unchanged(connection, run)
            # Earlier approvals cannot be undone any more, since this run builds on them.
            earlier = sa.select(_run.id).where(_run.source == run.source, _run.number < run.number)
            connection.execute(sa.delete(t.undo).where(_undo.run.in_(earlier)))
            _prune(connection, run)
            _save(connection, run)

    def _apply_state_changes(
        self, connection: sa.Connection, run: Run, state_changes: Iterable[StateChange]
    ) -> None:
        """Replace current descriptions by tombstones and marked descriptions."""
        this_record = sa.and_(_record.source == run.source, _record.key == sa.bindparam("its_key"))
        old = sa.select(_record.run, _record.seq).where(this_record)
        drop = sa.delete(t.description).where(
            sa.tuple_(_description.run, _description.seq).in_(old)
        )
        new: dict[str, Any] = {
            name: sa.bindparam(f"new_{name}", type_=_record[name].type)
            for name in ("state", "seq", "vanished_since")
        }
        update = sa.update(t.record).where(this_record).values(run=run.id, **new)
        for batch in batches(state_changes, _BATCH_SIZE):
            connection.execute(drop, [{"its_key": change.staged.key} for change, *_ in batch])
            texts = [
                {"run": run.id, "seq": change.seq, "statements": compress(description)}
                for change, _, description in batch
            ]
            connection.execute(sa.insert(t.description), texts)
            states = [
                {
                    "its_key": change.staged.key,
                    "new_state": state,
                    "new_seq": change.seq,
                    "new_vanished_since": run.started if state is RecordState.VANISHED else None,
                }
                for change, state, _ in batch
            ]
            connection.execute(update, states)
        deleted = sa.and_(
            _record.source == run.source, _record.run == run.id, _record.state == RecordState.GONE
        )
        empty = {"digest": "", "content": "", "misses": 0, "fingerprint": None, "page": None}
        connection.execute(sa.update(t.record).where(deleted).values(empty))

    def _upsert_records(self, connection: sa.Connection, run: Run) -> None:
        """Delete the descriptions that this run replaces, and store its records."""
        upserted = sa.and_(_staged.run == run.id, _staged.outcome.in_(UPSERTED))
        replaced = sa.select(_record.run, _record.seq).join(t.staged, is_stored).where(upserted)
        _delete_descriptions(connection, replaced)
        values: dict[str, Any] = {
            column.name: _staged[column.name] for column in _record if column.name in _staged
        }
        values["state"] = sa.literal(RecordState.PUBLISHED, _record.state.type)
        values |= {"misses": sa.literal(0), "vanished_since": sa.null()}
        rows = self.insert(t.record).from_select(
            [*values], sa.select(*values.values()).where(upserted)
        )
        updates = {name: rows.excluded[name] for name in values if name not in ("source", "key")}
        connection.execute(
            rows.on_conflict_do_update(index_elements=["source", "key"], set_=updates)
        )

    def discard_run(self, run: Run) -> None:
        """Discard what a run would have published, and update its row; the records that it saw stay
        listed.
        """
        with self.transaction() as connection:
            connection.execute(sa.delete(t.description).where(_description.run == run.id))
            _delete_unchanged(connection, run)
            _prune(connection, run)
            _save(connection, run)

    def delete_run(self, run: Run) -> None:
        """Delete a run completely, such as a dry run."""
        with self.transaction() as connection:
            for table in (t.staged, t.description, t.unchanged, t.notice, t.run_log):
                connection.execute(sa.delete(table).where(table.c.run == run.id))
            connection.execute(sa.delete(t.run).where(_run.id == run.id))


# ---- rows


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield *items* in lists of *size*, the last one shorter, so that few are in memory at once."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _save(connection: sa.Connection, run: Run) -> None:
    connection.execute(sa.update(t.run).where(_run.id == run.id).values(insertable(run)))


def _position(row: Any) -> SourcePosition | None:
    return SourcePosition(row.file, row.offset, row.length) if row.file is not None else None


def _position_row(position: SourcePosition | None) -> dict[str, str | int | None]:
    file, offset, length = position or (None, None, None)
    return {"file": file, "offset": offset, "length": length}


def _staged_row(run: Run, seq: int, staged: StagedRecord) -> dict[str, object]:
    # Reasons without codes are stored as a text alone.
    has_codes = any(reason.code != "other" for reason in staged.reasons)
    return {
        "run": run.id,
        "seq": seq,
        "source": run.source,
        "key": staged.key,
        "outcome": staged.outcome,
        "digest": staged.digest,
        "content": staged.content,
        "first_seen": staged.first_seen,
        "reason": staged.reason,
        "reasons": staged.reasons if has_codes else None,
        **_position_row(staged.position),
        "other": staged.other,
        "fingerprint": staged.fingerprint,
        "page": staged.page,
    }


def staged_reasons(text: str | None, reasons: tuple[Reason, ...] | None) -> tuple[Reason, ...]:
    """Return the reasons of a row of staged records, which may have a text alone."""
    return reasons or ((other(text),) if text else ())


def row_to_staged(row: Any, description: str = "") -> StagedRecord:
    return StagedRecord(
        row.key,
        row.outcome,
        row.digest,
        row.content,
        row.first_seen,
        description,
        staged_reasons(row.reason, row.reasons),
        _position(row),
        row.other,
        row.fingerprint,
        row.page,
    )


# ---- parts of queries


def _current_descriptions(source: str) -> sa.Select[Any]:
    joined = t.record.join(t.description, is_current)
    query = sa.select(_record.key, _description.statements).select_from(joined)
    return query.where(_record.source == source)


def _changes(
    run: Run, outcomes: Iterable[Outcome], *columns: Any
) -> tuple[sa.Select[Any], Any, Any]:
    """Return the query for the run's records with these outcomes in order, and the aliases of their
    new and stored descriptions.
    """
    now, old = t.description.alias("now"), t.description.alias("old")
    joined = t.staged.outerjoin(now, sa.and_(now.c.run == _staged.run, now.c.seq == _staged.seq))
    joined = joined.outerjoin(t.record, is_stored)
    joined = joined.outerjoin(old, sa.and_(old.c.run == _record.run, old.c.seq == _record.seq))
    query = sa.select(*columns).select_from(joined)
    of_run = (_staged.run == run.id, _staged.outcome.in_(list(outcomes)))
    return query.where(*of_run).order_by(_staged.seq), now, old


def is_unseen(run: Run) -> sa.ColumnElement[bool]:
    """Return the condition of a published record that a run did not see."""
    seen = t.staged.alias("seen").c
    # The index of keys has this column; for all columns, SQLite would scan the run's rows.
    listed = sa.exists(seen.key).where(seen.run == run.id, seen.key == _record.key, seen.seq >= 0)
    of_source = sa.and_(_record.source == run.source, _record.state.in_(SERVED))
    return sa.and_(of_source, ~listed.correlate(t.record))


# ---- parts of a commit


def _delete_descriptions(connection: sa.Connection, numbers: sa.Select[Any]) -> None:
    is_old = sa.tuple_(_description.run, _description.seq).in_(numbers)
    connection.execute(sa.delete(t.description).where(is_old))


def _update_seen(connection: sa.Connection, run: Run) -> None:
    """Update the digests of unchanged records (their bytes may differ), and count misses."""
    of_run = sa.and_(_staged.run == run.id, is_stored)
    is_unchanged = _staged.outcome.in_((Outcome.UNCHANGED, Outcome.RETURNED))
    is_other = sa.and_(of_run, is_unchanged, _record.digest != _staged.digest)
    is_seen = sa.and_(of_run, _staged.seq >= 0, _record.misses > 0)
    is_unseen = sa.and_(of_run, _staged.outcome.in_((Outcome.VANISHED, Outcome.MISSING)))
    update = sa.update(t.record)
    connection.execute(update.where(is_other).values(digest=_staged.digest))
    connection.execute(update.where(is_seen).values(misses=0))
    connection.execute(update.where(is_unseen).values(misses=_record.misses + 1))


def _delete_unchanged(connection: sa.Connection, run: Run) -> None:
    """Delete the staged rows of unchanged records, which are listed by page."""
    is_unchanged = (_staged.run == run.id, _staged.outcome == Outcome.UNCHANGED)
    connection.execute(sa.delete(t.staged).where(*is_unchanged))


def _prune(connection: sa.Connection, run: Run) -> None:
    """Delete the rows of the source's old runs; their counts stay."""
    old = sa.select(_run.id).where(
        _run.source == run.source,
        _run.number <= run.number - LISTED_RUNS,
        _run.state.not_in(OPEN_STATES),
    )
    for table in (t.staged, t.unchanged, t.notice, t.run_log):
        connection.execute(sa.delete(table).where(table.c.run.in_(old)))
