"""Stage a run's result for each record, page by page, and list it by outcome."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from operator import itemgetter

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.compression import decompress
from harvesters.ledger.models import (
    SERVED,
    UPSERTED,
    Outcome,
    RecordState,
    Run,
    StagedDiff,
    StagedRecord,
    StoredRecord,
)
from harvesters.ledger.row_mapping import (
    batches,
    description_rows,
    row_to_staged,
    staged_reasons,
    staged_row,
    unchanged_row,
)
from harvesters.ledger.runs import Runs
from harvesters.reasons import Reason
from harvesters.stored_response import SourcePosition

_BATCH_SIZE = 500  # records whose descriptions are read at once
# codes of the reasons of duplicates that lose a record
KEY_CONFLICTS = ("key_repeated", "key_repeated_in_table")
_NOT_PUBLISHED = (Outcome.WITHHELD, Outcome.UNREADABLE, Outcome.DUPLICATE)


class Staging(Runs):
    """The part of the ledger for staged records."""

    def stored_records(self, source: str, keys: Sequence[str]) -> dict[str, StoredRecord]:
        """Return the stored state of these keys."""
        c = t.record.c
        query = sa.select(c.key, c.digest, c.content, c.first_seen, c.state).where(
            c.source == source, c.key.in_(keys)
        )
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return {
            key: StoredRecord(digest, content, first.replace(tzinfo=UTC), RecordState(state))
            for key, digest, content, first, state in rows
        }

    def current_descriptions(self, source: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the current descriptions of these keys, compressed."""
        r, d = t.record, t.description
        join = r.join(d, sa.and_(d.c.run == r.c.run, d.c.seq == r.c.seq))
        query = (
            sa.select(r.c.key, d.c.statements)
            .select_from(join)
            .where(r.c.source == source, r.c.key.in_(keys))
        )
        with self._begin() as connection:
            return {key: bytes(statements) for key, statements in connection.execute(query).all()}

    def published_descriptions(self, source: str) -> Iterator[bytes]:
        """Yield the current description of each published record of a source, compressed."""
        r, d = t.record, t.description
        join = r.join(d, sa.and_(d.c.run == r.c.run, d.c.seq == r.c.seq))
        query = sa.select(r.c.key, d.c.statements).select_from(join).where(r.c.source == source)
        query = (
            query.where(r.c.state.in_([state.value for state in SERVED]))
            .order_by(r.c.key)
            .limit(_BATCH_SIZE)
        )
        last = ""
        while True:
            with self._begin() as connection:
                rows = connection.execute(query.where(r.c.key > last)).all()
            yield from (bytes(statements) for _, statements in rows)
            if len(rows) < _BATCH_SIZE:
                return
            last = rows[-1].key

    def already_staged(self, run: Run, keys: Sequence[str]) -> dict[str, str | None]:
        """Return those of these keys that this run has staged already, with the digest of the
        first record.
        """
        s = t.staged.c
        of_run = sa.and_(s.run == run.id, s.key.in_(keys), s.outcome != Outcome.DUPLICATE.value)
        with self._begin() as connection:
            rows = connection.execute(sa.select(s.key, s.digest).where(of_run)).all()
        return {row.key: row.digest for row in rows}

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
        rows = [
            staged_row(run, number, staged) for number, staged in enumerate(staged_records, first)
        ]
        with self._begin() as connection:
            if rows:
                connection.execute(sa.insert(t.staged), rows)
            if texts := description_rows(run, staged_records, first):
                connection.execute(sa.insert(t.description), texts)
            if unchanged := unchanged_row(run, staged_records, first):
                connection.execute(sa.insert(t.unchanged), unchanged)
            if is_checkpoint:
                self._save(connection, run)

    def discard_part(self, run: Run) -> None:
        """Delete what was staged of a page since the run's last checkpoint: the page is read again."""
        with self._begin() as connection:
            for table, number in (
                (t.staged, t.staged.c.seq),
                (t.description, t.description.c.seq),
                (t.unchanged, t.unchanged.c.page),
            ):
                connection.execute(
                    sa.delete(table).where(table.c.run == run.id, number >= run.fetched)
                )

    def outcomes(self, run: Run) -> dict[Outcome, int]:
        """Count the run's outcomes, also those of a finished run."""
        s, u = t.staged.c, t.unchanged.c
        query = (
            sa.select(s.outcome, sa.func.count())
            .where(s.run == run.id, s.outcome != Outcome.UNCHANGED.value)
            .group_by(s.outcome)
        )
        with self._begin() as connection:
            counts = {Outcome(name): count for name, count in connection.execute(query).all()}
            counts[Outcome.UNCHANGED] = (
                connection.scalar(sa.select(sa.func.sum(u.count)).where(u.run == run.id)) or 0
            )
        return {outcome: counts.get(outcome, 0) for outcome in Outcome}

    def count_published(self, source: str) -> int:
        """Count the source's published records, including vanished ones."""
        served = [presence.value for presence in SERVED]
        query = (
            sa.select(sa.func.count())
            .select_from(t.record)
            .where(t.record.c.source == source, t.record.c.state.in_(served))
        )
        with self._begin() as connection:
            return connection.scalar(query) or 0

    def count_missing(self, source: str) -> int:
        """Count the source's records that have vanished and are still published."""
        of_run = sa.and_(
            t.record.c.source == source, t.record.c.state == RecordState.VANISHED.value
        )
        with self._begin() as connection:
            return (
                connection.scalar(sa.select(sa.func.count()).select_from(t.record).where(of_run))
                or 0
            )

    def changes(
        self, run: Run, outcomes: Iterable[Outcome], presence: RecordState | None = None
    ) -> Iterator[StagedDiff]:
        """Yield the run's staged records with these outcomes in order, with what is stored; only
        those now in *presence*, if set.
        """
        s, r, now, old = t.staged, t.record, t.description.alias("now"), t.description.alias("old")
        join = s.outerjoin(now, sa.and_(now.c.run == s.c.run, now.c.seq == s.c.seq))
        join = join.outerjoin(r, sa.and_(r.c.source == s.c.source, r.c.key == s.c.key))
        join = join.outerjoin(old, sa.and_(old.c.run == r.c.run, old.c.seq == r.c.seq))
        of_run = sa.and_(
            s.c.run == run.id, s.c.outcome.in_([outcome.value for outcome in outcomes])
        )
        first = sa.func.coalesce(s.c.first_seen, r.c.first_seen).label("first_seen")
        columns = [column for column in s.c if column.name != "first_seen"]
        query = (
            sa.select(
                *columns, first, now.c.statements, old.c.statements.label("before"), r.c.state
            )
            .select_from(join)
            .where(of_run)
        )
        query = query.where(r.c.state == presence.value) if presence else query
        for row in self.stream(query.order_by(s.c.seq)):
            state = RecordState(row.state) if row.state else None
            yield StagedDiff(
                row.seq,
                row_to_staged(row, decompress(row.statements)),
                decompress(row.before),
                state,
            )

    def changed_descriptions(self, run: Run) -> Iterator[tuple[str, str, str]]:
        """Yield key, new and previous description of each new or changed record, in order."""
        s, r, now, old = t.staged, t.record, t.description.alias("now"), t.description.alias("old")
        join = s.join(now, sa.and_(now.c.run == s.c.run, now.c.seq == s.c.seq))
        join = join.outerjoin(r, sa.and_(r.c.source == s.c.source, r.c.key == s.c.key))
        join = join.outerjoin(old, sa.and_(old.c.run == r.c.run, old.c.seq == r.c.seq))
        of_run = sa.and_(
            s.c.run == run.id, s.c.outcome.in_([outcome.value for outcome in UPSERTED])
        )
        query = (
            sa.select(s.c.key, now.c.statements, old.c.statements)
            .select_from(join)
            .where(of_run)
            .order_by(s.c.seq)
        )
        yield from (
            (key, decompress(after), decompress(before))
            for key, after, before in self.stream(query)
        )

    def staged_records(self, run: Run, outcomes: Iterable[Outcome]) -> Iterator[StagedRecord]:
        """Yield the run's records with these outcomes, without descriptions: the unchanged first,
        page by page.
        """
        selected = list(outcomes)
        if Outcome.UNCHANGED in selected:
            yield from self._unchanged(run)
        s = t.staged
        names = [outcome.value for outcome in selected if outcome is not Outcome.UNCHANGED]
        query = sa.select(s).where(s.c.run == run.id, s.c.outcome.in_(names))
        # seen records, then absent ones
        yield from map(
            row_to_staged, self.stream(query.order_by(s.c.seq < 0, sa.func.abs(s.c.seq)))
        )

    def _unchanged(self, run: Run) -> Iterator[StagedRecord]:
        u = t.unchanged
        for row in self.stream(sa.select(u).where(u.c.run == run.id).order_by(u.c.page)):
            position = (
                SourcePosition(row.file, row.offset, row.length) if row.file is not None else None
            )
            yield from (
                StagedRecord(key, Outcome.UNCHANGED, position=position)
                for key in json.loads(decompress(row.keys))
            )

    def described(
        self, source: str, records: Iterable[StagedRecord]
    ) -> Iterator[tuple[StagedRecord, str]]:
        """Yield records of a source, each with its current description, "" if it has none."""
        for batch in batches(records, _BATCH_SIZE):
            current = self.current_descriptions(
                source, [record.key for record in batch if record.key is not None]
            )
            yield from ((record, decompress(current.get(record.key or ""))) for record in batch)

    def failures(self, run: Run) -> list[StagedRecord]:
        """Return the records that the run did not publish, with the reasons."""
        return list(self.staged_records(run, _NOT_PUBLISHED))

    def failure_reasons(self, run: Run) -> dict[str, int]:
        """Count the reasons for which records were not published, the commonest first."""
        s = t.staged.c
        of_run = sa.and_(
            s.run == run.id, s.outcome.in_([outcome.value for outcome in _NOT_PUBLISHED])
        )
        count = sa.func.count().label("count")
        query = (
            sa.select(s.reason, count)
            .where(of_run)
            .group_by(s.reason)
            .order_by(count.desc(), s.reason)
        )
        with self._begin() as connection:
            return {reason or "": number for reason, number in connection.execute(query).all()}

    def key_conflicts(self, run: Run) -> list[tuple[Reason, int]]:
        """Count the records that repeat the key of a record with other content, by reason, the
        commonest first.
        """
        s = t.staged
        of_run = sa.and_(s.c.run == run.id, s.c.outcome == Outcome.DUPLICATE.value)
        count = sa.func.count()
        query = (
            sa.select(s.c.reason, s.c.reasons, count.label("number"))
            .where(of_run)
            .group_by(s.c.reason, s.c.reasons)
            .order_by(count.desc(), s.c.reason)
        )
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return [
            (reason, row.number)
            for row in rows
            for reason in staged_reasons(row)
            if reason.code in KEY_CONFLICTS
        ]

    def largest_description(self, run: Run, most: int) -> tuple[str, int] | None:
        """Return the key of the new or changed record with the most statements, and their number;
        None if none has more than *most*.
        """
        s, d = t.staged.c, t.description.c
        join = t.staged.join(t.description, sa.and_(d.run == s.run, d.seq == s.seq))
        # A statement takes more than a byte, also compressed.
        large = sa.and_(s.run == run.id, sa.func.length(d.statements) > most)
        query = sa.select(s.key, d.statements).select_from(join).where(large).order_by(s.seq)
        counts = (
            (key or "", decompress(statements).count("\n") + 1)
            for key, statements in self.stream(query)
        )
        largest = max(counts, key=itemgetter(1), default=("", 0))
        return largest if largest[1] > most else None

    def description_bytes(self, run: Run) -> int:
        """Return the compressed size of the run's new and changed descriptions."""
        d = t.description.c
        query = sa.select(sa.func.sum(sa.func.length(d.statements))).where(d.run == run.id)
        with self._begin() as connection:
            return int(connection.scalar(query) or 0)

    def last_key(self, run: Run) -> str | None:
        """Return the key of the last record that the run received, None if it received no key."""
        s = t.staged.c
        query = sa.select(s.key).where(s.run == run.id, s.seq >= 0, s.key.is_not(None))
        with self._begin() as connection:
            return connection.scalar(query.order_by(s.seq.desc()).limit(1))
