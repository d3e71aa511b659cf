"""Store the log lines of runs, and search them."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.models import LogLine


def append_log(ledger: Database, lines: Sequence[LogLine]) -> None:
    """Store lines of a run's log."""
    ledger.execute(sa.insert(t.run_log), [t.insertable(line) for line in lines])


def log_lines(
    ledger: Database,
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
    return ledger.select(LogLine, *where, order=[c.number.desc()], limit=limit)
