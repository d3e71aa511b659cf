"""Store the problems that readers report about records and pages, until the record changes or a
person answers.
"""

from __future__ import annotations

from datetime import datetime

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.participation.models import UNDECIDED, ProblemState, ReportedProblem

TOPIC = "problem "  # begins the topic of a problem's messages to the registry; the number follows


def add_problem(
    ledger: Database,
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
    return ledger.add(
        ReportedProblem(
            0, source, key, category, text, address, language, ProblemState.OPEN, digest, now, now
        )
    )


def reported_problem(ledger: Database, id: int) -> ReportedProblem | None:
    return ledger.first(ReportedProblem, t.problem.c.id == id)


def undecided_problems(
    ledger: Database, source: str | None = None, limit: int = 1000
) -> list[ReportedProblem]:
    """Return the problems that are neither answered nor fixed, of one source or of all, oldest
    first.
    """
    c = t.problem.c
    where = [c.state.in_(UNDECIDED), *([c.source == source] if source else [])]
    return ledger.select(ReportedProblem, *where, order=[c.id], limit=limit)


def decide_problem(
    ledger: Database,
    id: int,
    state: ProblemState,
    now: datetime,
    *,
    answer: str | None = None,
    run: str | None = None,
) -> bool:
    """Close an undecided problem and delete its address; return whether it was undecided."""
    values = {"state": state, "changed": now, "answer": answer, "run": run, "address": None}
    c = t.problem.c
    return ledger.update(t.problem, c.id == id, c.state.in_(UNDECIDED), **values) > 0


def mark_problem_sent(ledger: Database, topic: str, now: datetime) -> None:
    """Mark the open problem of a delivered message as sent; other topics are ignored."""
    number = topic.removeprefix(TOPIC)
    if topic.startswith(TOPIC) and number.isdecimal():
        c = t.problem.c
        is_open = (c.id == int(number), c.state == ProblemState.OPEN)
        ledger.update(t.problem, *is_open, state=ProblemState.SENT, changed=now)
