"""Store what operators planned to remove or retire. It holds once the plan's run is committed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.compression import decompress
from harvesters.ledger.database import LedgerPart
from harvesters.ledger.models import TOMBSTONED, State
from harvesters.ledger.row_mapping import naive
from harvesters.stored_response import SourcePosition

_EFFECTIVE = [
    state.value for state in (State.COMMITTING, State.COMMITTED, State.UNCHANGED, State.INCOMPLETE)
]


class RemovalKind(Enum):
    """What an operator removes: all records of a source, one record for good, or the source from
    the schedule.
    """

    CLEAR = "clear"
    FORGET = "forget"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True)
class Removal:
    """A planned or committed removal; *run* is its plan, *key_digest* that of a forgotten record's
    key, else None.
    """

    run: str
    source: str
    kind: RemovalKind
    key_digest: str | None = None


class Removals(LedgerPart):
    """The part of the ledger for removals."""

    def plan_removal(self, removal: Removal) -> None:
        """Store a removal; it holds when its run is committed."""
        values = {
            "run": removal.run,
            "source": removal.source,
            "kind": removal.kind.value,
            "key_digest": removal.key_digest,
        }
        with self._begin() as connection:
            connection.execute(sa.insert(t.removal).values(values))

    def removal(self, run: str) -> Removal | None:
        """Return the removal that a run plans, or None."""
        c = t.removal.c
        with self._begin() as connection:
            row = connection.execute(sa.select(t.removal).where(c.run == run)).one_or_none()
        return Removal(row.run, row.source, RemovalKind(row.kind), row.key_digest) if row else None

    def is_retired(self, source: str, run: str = "") -> bool:
        """Return whether a source was retired and not resumed since, or is retired by *run*."""
        c, u = t.removal.c, t.run.c
        holds = sa.or_(u.state.in_(_EFFECTIVE), u.id == run)
        query = sa.select(c.run).join(t.run, u.id == c.run)
        query = query.where(
            c.source == source, c.kind == RemovalKind.RETIRE.value, c.ended.is_(None), holds
        )
        with self._begin() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def resume_source(self, source: str, now: datetime) -> bool:
        """End the retirement of a source; return whether it was retired."""
        c = t.removal.c
        if not self.is_retired(source):
            return False
        open_ones = sa.and_(
            c.source == source, c.kind == RemovalKind.RETIRE.value, c.ended.is_(None)
        )
        with self._begin() as connection:
            connection.execute(sa.update(t.removal).where(open_ones).values(ended=naive(now)))
        return True

    def forgotten_keys(self, source: str) -> frozenset[str]:
        """Return the digests of the keys that must not be published again."""
        c, u = t.removal.c, t.run.c
        query = sa.select(c.key_digest).join(t.run, u.id == c.run)
        query = query.where(
            c.source == source, c.kind == RemovalKind.FORGET.value, u.state.in_(_EFFECTIVE)
        )
        with self._begin() as connection:
            return frozenset(connection.scalars(query))

    def archived_positions(self, source: str, key: str) -> list[SourcePosition]:
        """Return where the responses are archived in which the listed runs of a source saw a
        record's key.
        """
        s, u = t.staged.c, t.unchanged
        query = sa.select(s.file, s.offset, s.length).where(
            s.source == source, s.key == key, s.file.is_not(None)
        )
        runs = sa.select(t.run.c.id).where(t.run.c.source == source)
        unchanged = sa.select(u).where(u.c.run.in_(runs), u.c.file.is_not(None))
        with self._begin() as connection:
            positions = {SourcePosition(*row) for row in connection.execute(query)}
        pages = (row for row in self._stream(unchanged) if key in json.loads(decompress(row.keys)))
        return sorted(
            positions | {SourcePosition(row.file, row.offset, row.length) for row in pages}
        )

    def erase_record(self, source: str, key: str) -> None:
        """Delete what the ledger stores about a removed record beside its tombstone: reasons,
        positions, and texts kept for an undo.
        """
        s, u = t.staged, t.undo
        runs = sa.select(t.run.c.id).where(t.run.c.source == source)
        with self._begin() as connection:
            connection.execute(sa.delete(u).where(u.c.key == key, u.c.run.in_(runs)))
            seen = sa.and_(s.c.source == source, s.c.key == key)
            connection.execute(
                sa.update(s)
                .where(seen, s.c.outcome.not_in([outcome.value for outcome in TOMBSTONED]))
                .values(reason=None)
            )
            connection.execute(
                sa.delete(t.notice).where(t.notice.c.key == key, t.notice.c.run.in_(runs))
            )
            connection.execute(
                sa.delete(t.run_log).where(
                    t.run_log.c.source == source, t.run_log.c.fields.contains(key, autoescape=True)
                )
            )
