"""Define the responses of the admin API; times are UTC, and only NewKey holds a token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from harvesters.admin.context import AdminContext
from harvesters.ledger import operators
from harvesters.ledger.models import Run, RunRequest, State
from harvesters.ledger.operators import Key
from harvesters.reasons import Reason
from harvesters.runs.status_file import source_statuses
from harvesters.source import Source
from vocab.freshness import freshness
from vocab.provenance import SourceStatus


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key without its secret; *state* is good, expired or revoked."""

    id: str
    name: str
    scope: str
    state: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just created; *key* is its token, shown once."""

    id: str
    name: str
    scope: str
    expires: datetime | None
    key: str


@dataclass(frozen=True, slots=True)
class RunView:
    """A run: its times, its state, and its counts by the names of the run report.

    *reason* is the English text of *reasons*, None without any.
    """

    id: str
    source: str
    number: int
    state: str
    kind: str
    since: datetime | None
    started: datetime
    planned: datetime | None
    ended: datetime | None
    pages: int
    reported_total: int | None
    entry: int | None
    reason: str | None
    reasons: list[Reason]
    counts: dict[str, int]
    network: dict[str, int]


@dataclass(frozen=True, slots=True)
class HoldView:
    """Why all plans of a source await approval."""

    since: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source and its status; *freshness* is new, live, late, failing, frozen or retired, and
    *failures* counts the failed runs since the last success.
    """

    name: str
    title: str
    protocol: str
    mapping: str
    url: str
    every: str
    enabled: bool
    freshness: str
    published: int
    last_run: str | None
    outcome: str | None
    reason: str | None
    last_attempt: datetime | None
    last_success: datetime | None
    failures: int
    next_due: datetime | None
    open_plan: str | None
    hold: HoldView | None


@dataclass(frozen=True, slots=True)
class RunRequestView:
    """A requested run; *run* is the id of the run once it exists."""

    id: int
    source: str
    full: bool
    requested: datetime
    by: str
    claimed: datetime | None
    run: str | None


@dataclass(frozen=True, slots=True)
class AuditEntryView:
    """What a person did."""

    when: datetime
    who: str
    what: str
    source: str | None
    run: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class RecordView:
    """A record of a run; *reason* is the English text of *reasons*, *other* is the key of the same
    record before or after.

    For an open plan also its title, and the statements that it removes and adds, one a string.
    """

    seq: int
    key: str | None
    outcome: str
    reason: str | None
    reasons: list[Reason]
    other: str | None
    title: str | None
    removed: list[str]
    added: list[str]


def key_view(key: Key, now: datetime) -> KeyView:
    """Return the view of a key."""
    state = "revoked" if key.revoked else "good" if key.is_valid(now) else "expired"
    return KeyView(
        key.id,
        key.name,
        key.scope.label,
        state,
        key.created,
        key.expires,
        key.revoked,
        key.last_used,
    )


def run_view(run: Run, *, is_interrupted: bool = False) -> RunView:
    """Return the view of a run; *is_interrupted* is whether no process runs it, though it is open."""
    kind = "full" if run.is_full else "changes"
    return RunView(
        id=run.id,
        source=run.source,
        number=run.number,
        state="interrupted" if is_interrupted else run.state.value,
        kind=kind,
        since=run.since,
        started=run.started,
        planned=run.planned,
        ended=run.ended,
        pages=run.pages,
        reported_total=run.reported_total,
        entry=None if run.state is State.COMMITTING else run.entry,
        reason=run.reason,
        reasons=list(run.reasons),
        counts=run.counts,
        network=run.network,
    )


def run_request_view(request: RunRequest) -> RunRequestView:
    """Return the view of a run request."""
    return RunRequestView(
        request.id,
        request.source,
        request.full,
        request.requested,
        request.by,
        request.claimed,
        request.run,
    )


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
