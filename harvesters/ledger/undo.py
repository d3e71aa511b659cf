"""Store the records that an approved plan changes as they were before, until the source's next run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.compression import decompress
from harvesters.ledger.models import TOMBSTONED, UPSERTED, Outcome, RecordState, Run, StagedRecord
from harvesters.ledger.row_mapping import aware
from harvesters.ledger.runs import Runs

_COMPLETE = ""  # key of the row that is written with the others
_CHANGING = [outcome.value for outcome in (*UPSERTED, *TOMBSTONED, Outcome.VANISHED)]
_COLUMNS = ("digest", "content", "first_seen", "fingerprint", "page")


@dataclass(frozen=True, slots=True)
class PreviousRecord:
    """A record before an approval; *state* is None if it was not known. *outcome* is the approved
    one.

    *staged* has its description, digest, hashes and date, for staging them again.
    """

    outcome: Outcome
    state: RecordState | None
    staged: StagedRecord


class PreviousRecords(Runs):
    """The part of the ledger for undoing an approval."""

    def keep_previous(self, run: Run) -> None:
        """Store the current state of the records that the plan of *run* will change. Idempotent
        before the commit.
        """
        s, r, d, u = t.staged, t.record, t.description, t.undo
        join = s.join(r, sa.and_(r.c.source == s.c.source, r.c.key == s.c.key))
        join = join.outerjoin(d, sa.and_(d.c.run == r.c.run, d.c.seq == r.c.seq))
        columns = ["run", "key", "outcome", "state", *_COLUMNS, "statements"]
        values = (
            s.c.run,
            r.c.key,
            s.c.outcome,
            r.c.state,
            *(r.c[name] for name in _COLUMNS),
            d.c.statements,
        )
        changing = sa.select(*values).select_from(join).where(s.c.run == run.id)
        unmarked = r.c.state == RecordState.VANISHED.value  # a listing removes the mark
        with self._begin() as connection:
            connection.execute(sa.delete(u).where(u.c.run == run.id))
            for condition in (s.c.outcome.in_(_CHANGING), sa.and_(unmarked, s.c.seq >= 0)):
                rows = self.insert(u).from_select(columns, changing.where(condition))
                connection.execute(rows.on_conflict_do_nothing())
            marker = {
                "run": run.id,
                "key": _COMPLETE,
                "outcome": "",
                "state": "",
                "digest": "",
                "content": "",
            }
            connection.execute(sa.insert(u).values(marker))

    def has_previous(self, run: Run) -> bool:
        """Return whether the records before the run are stored."""
        query = sa.select(t.undo.c.key).where(t.undo.c.run == run.id, t.undo.c.key == _COMPLETE)
        with self._begin() as connection:
            return connection.execute(query).one_or_none() is not None

    def previous_records(self, run: Run) -> Iterator[PreviousRecord]:
        """Yield the records that the run changed as they were before, then those that it added."""
        u, s = t.undo, t.staged
        stored = sa.select(u).where(u.c.run == run.id, u.c.key != _COMPLETE).order_by(u.c.key)
        for row in self.stream(stored):
            staged = StagedRecord(
                row.key,
                Outcome.CHANGED,
                row.digest,
                row.content,
                aware(row.first_seen),
                decompress(row.statements),
                fingerprint=row.fingerprint,
                page=row.page,
            )
            yield PreviousRecord(Outcome(row.outcome), RecordState(row.state), staged)
        known = sa.select(u.c.key).where(u.c.run == run.id)
        upserted = s.c.outcome.in_([outcome.value for outcome in UPSERTED])
        added = sa.select(s.c.key, s.c.outcome, s.c.other, s.c.first_seen).where(
            s.c.run == run.id, upserted, s.c.key.not_in(known)
        )
        for row in self.stream(added.order_by(s.c.key)):
            staged = StagedRecord(
                row.key, Outcome.DELETED, first_seen=aware(row.first_seen), other=row.other
            )
            yield PreviousRecord(Outcome(row.outcome), None, staged)

    def begin_undo(self, undone: Run, undo: Run) -> None:
        """Save both runs in one transaction, durably, since the journal is written next."""
        with self._begin(durable=True) as connection:
            self._save(connection, undone)
            self._save(connection, undo)
