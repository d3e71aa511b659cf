"""Apply a run's staged records to the stored records, or discard them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.absence import AbsenceQueries
from harvesters.ledger.compression import compress
from harvesters.ledger.models import UPSERTED, Outcome, RecordState, Run, State, StateChange
from harvesters.ledger.row_mapping import batches, naive

LISTED_RUNS = 30  # runs of a source whose records stay listed: a month of daily runs
_BATCH_SIZE = 500  # records: one or two megabytes
_UPSERTED = [outcome.value for outcome in UPSERTED]


class Finalization(AbsenceQueries):
    """The part of the ledger that ends runs."""

    def apply_run(self, run: Run, state_changes: Iterable[StateChange]) -> None:
        """Apply a committed run's staged records, in one transaction with the run's new state."""
        with self._begin() as connection:
            self._apply_state_changes(connection, run, state_changes)
            self._delete_replaced(connection, run)
            self._upsert_records(connection, run)
            self._update_seen(connection, run)
            self._delete_unchanged(connection, run)
            self._delete_undo(connection, run)
            self._prune(connection, run)
            self._save(connection, run)

    def _apply_state_changes(
        self, connection: sa.Connection, run: Run, state_changes: Iterable[StateChange]
    ) -> None:
        """Replace current descriptions by tombstones and marked descriptions."""
        r, d = t.record, t.description
        this_record = sa.and_(r.c.source == run.source, r.c.key == sa.bindparam("its"))
        old = sa.select(r.c.run, r.c.seq).where(this_record)
        drop = sa.delete(d).where(sa.tuple_(d.c.run, d.c.seq).in_(old))
        new: dict[str, sa.BindParameter[Any]] = {
            name: sa.bindparam(f"new_{name}") for name in ("state", "seq", "vanished_since")
        }
        for batch in batches(state_changes, _BATCH_SIZE):
            connection.execute(drop, [{"its": change.key} for change in batch])
            connection.execute(
                sa.insert(d),
                [
                    {"run": run.id, "seq": change.seq, "statements": compress(change.description)}
                    for change in batch
                ],
            )
            names = [
                {
                    "its": change.key,
                    "new_state": change.state.value,
                    "new_seq": change.seq,
                    "new_vanished_since": naive(change.since),
                }
                for change in batch
            ]
            connection.execute(sa.update(r).where(this_record).values(run=run.id, **new), names)
        deleted = sa.and_(
            r.c.source == run.source, r.c.run == run.id, r.c.state == RecordState.GONE.value
        )
        connection.execute(
            sa.update(r)
            .where(deleted)
            .values(digest="", content="", misses=0, fingerprint=None, page=None)
        )

    def _delete_replaced(self, connection: sa.Connection, run: Run) -> None:
        """Delete the descriptions that this run replaces."""
        r, s, d = t.record, t.staged, t.description
        join = sa.and_(s.c.source == r.c.source, s.c.key == r.c.key)
        pairs = (
            sa.select(r.c.run, r.c.seq)
            .join(s, join)
            .where(s.c.run == run.id, s.c.outcome.in_(_UPSERTED))
        )
        connection.execute(sa.delete(d).where(sa.tuple_(d.c.run, d.c.seq).in_(pairs)))

    def _upsert_records(self, connection: sa.Connection, run: Run) -> None:
        s = t.staged.c
        state = sa.literal(RecordState.PUBLISHED.value)
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
            "fingerprint",
            "page",
        ]
        values = (
            s.source,
            s.key,
            state,
            s.digest,
            s.content,
            s.first_seen,
            s.run,
            s.seq,
            sa.literal(0),
            sa.null(),
            s.fingerprint,
            s.page,
        )
        insert = self.insert(t.record).from_select(
            columns, sa.select(*values).where(s.run == run.id, s.outcome.in_(_UPSERTED))
        )
        updates = {name: insert.excluded[name] for name in columns[2:]}
        connection.execute(
            insert.on_conflict_do_update(index_elements=["source", "key"], set_=updates)
        )

    def _update_seen(self, connection: sa.Connection, run: Run) -> None:
        """Update the digests of unchanged records (their bytes may differ), and count misses."""
        s, r = t.staged, t.record
        of_run = sa.and_(s.c.run == run.id, r.c.source == s.c.source, r.c.key == s.c.key)
        is_unchanged = s.c.outcome.in_([Outcome.UNCHANGED.value, Outcome.RETURNED.value])
        connection.execute(
            sa.update(r)
            .where(of_run, is_unchanged, r.c.digest != s.c.digest)
            .values(digest=s.c.digest)
        )
        connection.execute(
            sa.update(r).where(of_run, s.c.seq >= 0, r.c.misses > 0).values(misses=0)
        )
        is_absent = s.c.outcome.in_([Outcome.VANISHED.value, Outcome.MISSING.value])
        connection.execute(sa.update(r).where(of_run, is_absent).values(misses=r.c.misses + 1))

    def discard_run(self, run: Run) -> None:
        """Discard what a run would have published, and update its row; the records that it saw stay
        listed.
        """
        with self._begin() as connection:
            connection.execute(sa.delete(t.description).where(t.description.c.run == run.id))
            self._delete_unchanged(connection, run)
            self._prune(connection, run)
            self._save(connection, run)

    def delete_run(self, run: Run) -> None:
        """Delete a run completely, such as a dry run."""
        with self._begin() as connection:
            for table in (t.staged, t.description, t.unchanged, t.notice, t.run_log):
                connection.execute(sa.delete(table).where(table.c.run == run.id))
            connection.execute(sa.delete(t.run).where(t.run.c.id == run.id))

    def _delete_unchanged(self, connection: sa.Connection, run: Run) -> None:
        """Delete the staged rows of unchanged records, which are listed by page."""
        s = t.staged.c
        connection.execute(
            sa.delete(t.staged).where(s.run == run.id, s.outcome == Outcome.UNCHANGED.value)
        )

    def _delete_undo(self, connection: sa.Connection, run: Run) -> None:
        """Delete what would undo an earlier approval: this run builds on it."""
        c = t.run.c
        earlier = sa.select(c.id).where(c.source == run.source, c.number < run.number)
        connection.execute(sa.delete(t.undo).where(t.undo.c.run.in_(earlier)))

    def _prune(self, connection: sa.Connection, run: Run) -> None:
        """Delete the rows of the source's old runs; their counts stay."""
        c = t.run.c
        ended = c.state.not_in([State.HELD.value, State.RUNNING.value, State.COMMITTING.value])
        old = sa.select(c.id).where(
            c.source == run.source, c.number <= run.number - LISTED_RUNS, ended
        )
        for table in (t.staged, t.unchanged, t.notice, t.run_log):
            connection.execute(sa.delete(table).where(table.c.run.in_(old)))
