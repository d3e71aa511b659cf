"""List rows of the ledger page by page, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from harvesters.admin.context import AdminContext
from harvesters.admin.schemas import AuditEntryView, RunView, run_view
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import INTERNAL, Run, State
from harvesters.problems import NotFound
from harvesters.runs.locks import interrupted_runs

MAX_ROWS = 500  # rows a page


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Audit entries, newest first; *next* is the value of ``after`` for the next page, None at the
    end.
    """

    items: list[AuditEntryView]
    next: str | None


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs, newest first; *next* is the value of ``after`` for the next page, None at the end."""

    items: list[RunView]
    next: str | None


def list_audit_entries(
    ledger: Ledger, limit: int, after: int | None = None, source: str | None = None
) -> AuditPage:
    """Return audit entries older than the one numbered *after*, of one source or of all."""
    c = t.audit_log.c
    query = sa.select(t.audit_log).order_by(c.id.desc()).limit(limit + 1)
    query = query.where(c.id < after) if after is not None else query
    with ledger.transaction() as connection:
        rows = connection.execute(query.where(c.source == source) if source else query).all()
    items = [
        AuditEntryView(row.when, row.who, row.what, row.source, row.run, row.note)
        for row in rows[:limit]
    ]
    return AuditPage(items, str(rows[limit - 1].id) if len(rows) > limit else None)


def list_runs(
    context: AdminContext,
    limit: int,
    after: str | None = None,
    source: str | None = None,
    state: State | None = None,
    text: str = "",
    *,
    internal: bool = True,
) -> RunPage:
    """Return runs started before the run *after*, filtered by source, state and a *text* of their
    reasons and notices; with *internal* also those of the vocabulary, the clusters and the links.

    Raises NotFound if *after* is unknown.
    """
    c, ledger = t.run.c, context.ledger
    query = sa.select(c.id).order_by(c.started.desc(), c.id.desc()).limit(limit + 1)
    with ledger.transaction() as connection:
        if after is not None:
            started = connection.scalar(sa.select(c.started).where(c.id == after))
            if started is None:
                raise NotFound("There is no such run to continue after.")
            query = query.where(
                sa.or_(c.started < started, sa.and_(c.started == started, c.id < after))
            )
        query = query.where(c.source == source) if source else query
        query = query if internal else query.where(c.source.not_in(INTERNAL))
        if text:
            notices = sa.select(t.notice.c.run).where(
                t.notice.c.text.icontains(text, autoescape=True)
            )
            withheld = sa.select(t.staged.c.run).where(
                t.staged.c.reason.icontains(text, autoescape=True)
            )
            reasons = c.reasons.icontains(text, autoescape=True)
            query = query.where(sa.or_(reasons, c.id.in_(notices), c.id.in_(withheld)))
        ids = connection.scalars(query.where(c.state == state) if state else query).all()
    items = run_views(context, [get_run(ledger, run_id) for run_id in ids[:limit]])
    return RunPage(items, items[-1].id if len(ids) > limit else None)


def run_views(context: AdminContext, runs: Sequence[Run]) -> list[RunView]:
    """Return the views of runs. A run is "interrupted" if its process has exited."""
    interrupted = interrupted_runs(context.ledger, context.data, runs)
    return [run_view(run, is_interrupted=run.id in interrupted) for run in runs]


def get_run(ledger: Ledger, run_id: str) -> Run:
    """Return a run by its id; raise NotFound."""
    run = ledger.run(run_id)
    if run is None:
        raise NotFound("There is no run with that identifier. GET /admin/runs lists the runs.")
    return run
