"""Store the problems that readers report about records and pages, until the record changes or a
person answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import LedgerPart
from harvesters.ledger.row_mapping import naive, utc

TOPIC = "problem "  # begins the topic of a problem's messages to the registry; the number follows


class ProblemState(Enum):
    """What became of a problem: *sent* to the registry, *answered* by a person here, or *fixed* by
    a later harvest.
    """

    OPEN = "open"
    SENT = "sent"
    ANSWERED = "answered"
    FIXED = "fixed"


UNDECIDED = (ProblemState.OPEN, ProblemState.SENT)


@dataclass(frozen=True, slots=True)
class ReportedProblem:
    """A problem with a record; without *key* with the source, without *source* with a page of ours
    at the path *key*. Times are UTC.

    *digest* is of the statements that it is about, as they were. *address* is the reader's, deleted
    when the problem is closed; *run* is the run that changed the statements, *answer* what a person
    wrote.
    """

    id: int
    source: str
    key: str
    category: str
    text: str
    address: str | None
    language: str
    state: ProblemState
    digest: str
    created: datetime
    changed: datetime
    answer: str | None = None
    run: str | None = None

    @property
    def is_about_record(self) -> bool:
        """Return whether it is about a record: a later harvest may fix it."""
        return bool(self.source and self.key)


class ReportedProblems(LedgerPart):
    """The part of the ledger for reported problems."""

    def add_problem(
        self,
        source: str,
        key: str,
        category: str,
        text: str,
        address: str | None,
        language: str,
        digest: str,
        now: datetime,
    ) -> int:
        """Store a problem; return its number."""
        values = {
            "source": source,
            "key": key,
            "category": category,
            "text": text,
            "address": address,
            "language": language,
            "state": ProblemState.OPEN.value,
            "digest": digest,
            "created": naive(now),
            "changed": naive(now),
        }
        with self._begin() as connection:
            inserted = connection.execute(sa.insert(t.problem).values(values))
            return int(inserted.inserted_primary_key[0]) if inserted.inserted_primary_key else 0

    def reported_problem(self, id: int) -> ReportedProblem | None:
        """Return a problem by its number, or None."""
        return next(iter(self._problems(sa.select(t.problem).where(t.problem.c.id == id))), None)

    def undecided_problems(
        self, source: str | None = None, limit: int = 1000
    ) -> list[ReportedProblem]:
        """Return the problems that are neither answered nor fixed, of one source or of all, oldest
        first.
        """
        c = t.problem.c
        query = (
            sa.select(t.problem)
            .where(c.state.in_([state.value for state in UNDECIDED]))
            .order_by(c.id)
            .limit(limit)
        )
        return self._problems(query.where(c.source == source) if source else query)

    def decide_problem(
        self,
        id: int,
        state: ProblemState,
        now: datetime,
        *,
        answer: str | None = None,
        run: str | None = None,
    ) -> bool:
        """Close an undecided problem and delete its address; return whether it was undecided."""
        values = {
            "state": state.value,
            "changed": naive(now),
            "answer": answer,
            "run": run,
            "address": None,
        }
        undecided = t.problem.c.state.in_([state.value for state in UNDECIDED])
        with self._begin() as connection:
            return (
                connection.execute(
                    sa.update(t.problem).where(t.problem.c.id == id, undecided).values(values)
                ).rowcount
                > 0
            )

    def mark_problem_sent(self, topic: str, now: datetime) -> None:
        """Mark the open problem of a delivered message as sent; other topics are ignored."""
        number = topic.removeprefix(TOPIC)
        if not topic.startswith(TOPIC) or not number.isdecimal():
            return
        c = t.problem.c
        query = sa.update(t.problem).where(c.id == int(number), c.state == ProblemState.OPEN.value)
        with self._begin() as connection:
            connection.execute(query.values(state=ProblemState.SENT.value, changed=naive(now)))

    def _problems(self, query: sa.Select[Any]) -> list[ReportedProblem]:
        with self._begin() as connection:
            rows: Sequence[Any] = connection.execute(query).mappings().all()
        return [
            ReportedProblem(
                **{
                    **row,
                    "state": ProblemState(row["state"]),
                    "created": utc(row["created"]),
                    "changed": utc(row["changed"]),
                }
            )
            for row in rows
        ]
