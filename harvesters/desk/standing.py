"""Standing: how each source fares, for the desk's lists."""

from __future__ import annotations

from harvesters.desk.office import Office
from harvesters.desk.views import HoldView, SourceView
from harvesters.runs.status import standings
from harvesters.source import Source
from vocab.chronicle import Standing
from vocab.freshness import freshness


def source_views(office: Office) -> list[SourceView]:
    """Give all sources that have a card, by name."""
    means, at = office.looking(), office.now()
    found = {it.source: it for it in standings(means, at)}
    held = {name: HoldView(it.since, it.by, it.reason) for name, it in means.ledger.holds().items()}
    known = [source for source in office.sources() if source.name in found]
    return [_view(it, found[it.name], freshness(found[it.name].marks, at).value, held.get(it.name)) for it in known]


def source_view(office: Office, name: str) -> SourceView:
    """Give one source; raise Missing."""
    office.source(name)
    return next(view for view in source_views(office) if view.name == name)


def _view(source: Source, it: Standing, fresh: str, hold: HoldView | None) -> SourceView:
    return SourceView(
        name=source.name,
        title=source.title,
        protocol=source.protocol,
        mapping=source.mapping,
        url=source.url,
        every=source.every,
        enabled=source.enabled,
        freshness=fresh,
        published=it.published,
        last_run=it.run,
        outcome=it.outcome,
        reason=it.reason,
        last_attempt=it.attempt,
        last_success=it.success,
        failures=it.marks.failures,
        next_due=it.due,
        open_plan=it.plan,
        hold=hold,
    )
