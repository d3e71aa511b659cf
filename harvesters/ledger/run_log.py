"""Store the log lines of runs, and search them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import LedgerPart
from harvesters.ledger.row_mapping import naive, utc


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a run's log; *fields* are its other values, *number* orders the lines of all runs."""

    run: str
    source: str
    time: datetime
    level: str
    event: str
    fields: Mapping[str, Any]
    number: int = 0


class RunLogs(LedgerPart):
    """The part of the ledger for the logs of runs."""

    def append_log(self, lines: Sequence[LogLine]) -> None:
        """Store lines of a run's log."""
        rows = [
            {
                "run": line.run,
                "source": line.source,
                "time": naive(line.time),
                "level": line.level,
                "event": line.event,
                "fields": json.dumps(dict(line.fields), ensure_ascii=False, default=str),
            }
            for line in lines
        ]
        with self._begin() as connection:
            connection.execute(sa.insert(t.run_log), rows)

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
        query = sa.select(t.run_log).order_by(c.id.desc()).limit(limit)
        for column, value in ((c.run, run), (c.source, source), (c.level, level)):
            query = query.where(column == value) if value else query
        if text:
            query = query.where(
                sa.or_(
                    c.event.icontains(text, autoescape=True),
                    c.fields.icontains(text, autoescape=True),
                )
            )
        query = query.where(c.id < before) if before is not None else query
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return [
            LogLine(
                row.run,
                row.source,
                utc(row.time),
                row.level,
                row.event,
                json.loads(row.fields),
                row.id,
            )
            for row in rows
        ]
