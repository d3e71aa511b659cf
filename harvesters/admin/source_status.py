"""Describe the status of each source."""

from __future__ import annotations

from harvesters.admin.context import AdminContext
from harvesters.admin.schemas import HoldView, SourceView
from harvesters.ledger import operators
from harvesters.runs.status_file import source_statuses
from harvesters.source import Source
from vocab.freshness import freshness
from vocab.statements.provenance import SourceStatus


def source_views(context: AdminContext) -> list[SourceView]:
    """Return all sources with a valid definition, by name."""
    harvest, now = context.reader(), context.now()
    statuses = {status.source: status for status in source_statuses(harvest, now)}
    holds = {
        name: HoldView(status.since, status.by, status.reason)
        for name, status in operators.holds(harvest.ledger).items()
    }
    known = [source for source in context.sources() if source.name in statuses]
    return [
        _view(
            status,
            statuses[status.name],
            freshness(statuses[status.name].marks, now).value,
            holds.get(status.name),
        )
        for status in known
    ]


def source_view(context: AdminContext, name: str) -> SourceView:
    """Return one source; raise NotFound."""
    context.source(name)
    return next(view for view in source_views(context) if view.name == name)


def _view(source: Source, status: SourceStatus, fresh: str, hold: HoldView | None) -> SourceView:
    return SourceView(
        name=source.name,
        title=source.title,
        protocol=source.protocol,
        mapping=source.mapping,
        url=source.url,
        every=source.every,
        enabled=source.enabled,
        freshness=fresh,
        published=status.published,
        last_run=status.run,
        outcome=status.outcome,
        reason=status.reason,
        last_attempt=status.attempt,
        last_success=status.success,
        failures=status.marks.failures,
        next_due=status.due,
        open_plan=status.plan,
        hold=hold,
    )
