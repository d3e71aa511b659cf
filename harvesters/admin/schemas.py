"""Define the responses of the admin API, and read them from the ledger, also the records of a run by outcome, and
what a plan would change in each and by country and goal. Times are UTC, and only NewKey holds a token.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel

from harvesters.admin.context import AdminContext
from harvesters.errors import require
from harvesters.ledger import operators
from harvesters.ledger import tables as t
from harvesters.ledger.database import select_objects
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import (
    INTERNAL,
    TOMBSTONED,
    UPSERTED,
    AuditEntry,
    GrantedOverride,
    Key,
    Notice,
    Outcome,
    Run,
    SourceHold,
    StagedDiff,
    State,
    decompress,
)
from harvesters.reasons import Reason
from harvesters.runs.commit import changed_statements
from harvesters.runs.removal import find_undoable
from harvesters.runs.run_log import interrupted_runs
from harvesters.runs.status_file import source_statuses
from harvesters.site import NotFound
from harvesters.source import Source
from languages.translations import current_locale, gettext
from vocab.field_changes import FieldView, Value, field_views, last_segment, value_text
from vocab.iris import Iris
from vocab.provenance import SourceStatus, freshness

Item = TypeVar("Item")


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
class NewKey(KeyView):
    """A key that was just created; *key* is its token, shown once."""

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
    hold: SourceHold | None


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


def source_views(context: AdminContext) -> list[SourceView]:
    """Return all sources with a valid definition, by name."""
    now, holds = context.now(), context.ledger.holds()
    statuses = {status.source: status for status in source_statuses(context.reader(), now)}
    return [
        _source_view(source, statuses[source.name], holds.get(source.name), now)
        for source in context.sources()
        if source.name in statuses
    ]


def source_view(context: AdminContext, name: str) -> SourceView:
    """Return one source; raise NotFound."""
    context.source(name)
    return next(view for view in source_views(context) if view.name == name)


def _source_view(
    source: Source, status: SourceStatus, hold: SourceHold | None, now: datetime
) -> SourceView:
    return SourceView(
        name=source.name,
        title=source.title,
        protocol=source.protocol,
        mapping=source.mapping,
        url=source.url,
        every=source.every,
        enabled=source.enabled,
        freshness=freshness(status.marks, now).value,
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


MAX_ROWS = 500  # rows a page


class Listing(BaseModel, Generic[Item]):
    """Rows of a long list; *next* is the value of ``after`` for the next page, None at the end."""

    items: list[Item]
    next: str | None


def list_audit_entries(
    ledger: Ledger, limit: int, after: int | None = None, source: str | None = None
) -> Listing[AuditEntry]:
    """Return audit entries older than the one numbered *after*, of one source or of all."""
    c = t.audit_log.c
    query = select_objects(AuditEntry).add_columns(c.id).order_by(c.id.desc()).limit(limit + 1)
    query = query.where(c.id < after) if after is not None else query
    rows = ledger.rows(query.where(c.source == source) if source else query)
    items = [AuditEntry(*row[:-1]) for row in rows[:limit]]
    return Listing(items=items, next=str(rows[limit - 1].id) if len(rows) > limit else None)


def list_runs(
    context: AdminContext,
    limit: int,
    after: str | None = None,
    source: str | None = None,
    state: State | None = None,
    text: str = "",
    *,
    internal: bool = True,
) -> Listing[RunView]:
    """Return runs started before the run *after*, filtered by source, state and a *text* of their
    reasons and notices; with *internal* also those of the vocabulary, the clusters and the links.

    Raises NotFound if *after* is unknown.
    """
    c, ledger = t.run.c, context.ledger
    query = sa.select(c.id).order_by(c.started.desc(), c.id.desc()).limit(limit + 1)
    if after is not None:
        started = require(
            ledger.run(after), NotFound("There is no such run to continue after.")
        ).started
        query = query.where(
            sa.or_(c.started < started, sa.and_(c.started == started, c.id < after))
        )
    query = query.where(c.source == source) if source else query
    query = query if internal else query.where(c.source.not_in(INTERNAL))
    if text:
        notices = sa.select(t.notice.c.run).where(t.notice.c.text.icontains(text, autoescape=True))
        withheld = sa.select(t.staged.c.run).where(
            t.staged.c.reason.icontains(text, autoescape=True)
        )
        reasons = c.reasons.icontains(text, autoescape=True)
        query = query.where(sa.or_(reasons, c.id.in_(notices), c.id.in_(withheld)))
    ids = ledger.scalars(query.where(c.state == state) if state else query)
    items = run_views(context, [get_run(ledger, run_id) for run_id in ids[:limit]])
    return Listing(items=items, next=items[-1].id if len(ids) > limit else None)


def run_views(context: AdminContext, runs: Sequence[Run]) -> list[RunView]:
    """Return the views of runs. A run is "interrupted" if its process has exited."""
    interrupted = interrupted_runs(context.ledger, context.data, runs)
    return [run_view(run, is_interrupted=run.id in interrupted) for run in runs]


def get_run(ledger: Ledger, run_id: str) -> Run:
    """Return a run by its id; raise NotFound."""
    return require(
        ledger.run(run_id),
        NotFound("There is no run with that identifier. GET /admin/runs lists the runs."),
    )


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan: its run, whether it is open, records by outcome, the source's limits, and granted
    overrides.
    """

    run: RunView
    open: bool
    published: int
    outcomes: dict[str, int]
    limits: dict[str, float]
    overrides: list[GrantedOverride]
    notices: list[Notice]
    hold: SourceHold | None
    undoable: bool
    approved_by: list[str]


def plan_view(context: AdminContext, run: Run) -> PlanView:
    """Return the view of a plan, open or closed."""
    ledger, source = context.ledger, context.source(run.source)
    undoable = find_undoable(ledger, run.source)
    return PlanView(
        run=run_views(context, [run])[0],
        open=run.state is State.HELD,
        published=ledger.count_published(run.source),
        outcomes={outcome.value: count for outcome, count in ledger.outcomes(run).items()},
        limits=asdict(source.limits),
        overrides=ledger.overrides(run.source),
        notices=[*ledger.notices(run)],
        hold=ledger.holds().get(run.source),
        approved_by=operators.endorsements(ledger, run.id) if run.state is State.HELD else [],
        undoable=undoable is not None and undoable.id == run.id,
    )


def outcome_counts(outcomes: dict[str, int]) -> list[tuple[Outcome, int]]:
    """Return the outcomes that occur and their counts, in the order of Outcome."""
    return [(outcome, count) for outcome in Outcome if (count := outcomes.get(outcome.value, 0))]


_TITLE = re.compile(r'<http://purl\.org/dc/terms/title> "((?:[^"\\]|\\.)*)"(@en)?')
_ESCAPED = re.compile(r"\\(.)")
# The position in a group at which unchanged records begin, beyond that of any staged one.
_UNCHANGED = 10**12
MAX_DIFF_LINES = 400  # statements of one record: a page must stay readable


def list_records(
    ledger: Ledger,
    run: Run,
    outcomes: Sequence[Outcome],
    limit: int,
    after: int | None = None,
    *,
    diff: Iris | None = None,
) -> Listing[RecordView]:
    """List the run's records with any of these outcomes; the unchanged ones come last.

    With *diff*, each has also its changes, which only an open plan has.
    """
    staged = [outcome for outcome in outcomes if outcome is not Outcome.UNCHANGED]
    if staged and (after is None or after < _UNCHANGED):
        page = _list_staged(ledger, run, staged, limit, after, diff)
        if page.next or Outcome.UNCHANGED not in outcomes:
            return page
        if page.items:
            is_more = ledger.outcomes(run)[Outcome.UNCHANGED] > 0
            return Listing(items=page.items, next=str(_UNCHANGED) if is_more else None)
    return _list_unchanged(ledger, run, limit, (after or 0) % _UNCHANGED)


def _list_staged(
    ledger: Ledger,
    run: Run,
    outcomes: Sequence[Outcome],
    limit: int,
    after: int | None,
    diff: Iris | None,
) -> Listing[RecordView]:
    changes = list(ledger.changes(run, outcomes, after=after, limit=limit + 1))
    iris = diff if run.state is State.HELD else None
    items = [_record_view(run, change, iris) for change in changes[:limit]]
    return Listing(items=items, next=str(items[-1].seq) if len(changes) > limit else None)


def _record_view(run: Run, change: StagedDiff, iris: Iris | None) -> RecordView:
    staged = change.staged
    title, removed, added = None, list[str](), list[str]()
    if iris:
        title = _title(staged.description or change.previous)
        removed, added = changed_statements(run, change, iris, {})
    return RecordView(
        change.seq,
        staged.key,
        staged.outcome.value,
        staged.reason,
        [*staged.reasons],
        staged.other,
        title,
        removed[:MAX_DIFF_LINES],
        added[:MAX_DIFF_LINES],
    )


def _title(description: str) -> str | None:
    """Return the record's title, in English if there is one."""
    titles = sorted(_TITLE.findall(description), key=lambda title: not title[1])
    texts = (
        _ESCAPED.sub(lambda match: " " if match[1] in "nrt" else match[1], text)
        for text, _ in titles
    )
    return next(texts, None)


def _list_unchanged(ledger: Ledger, run: Run, limit: int, after: int) -> Listing[RecordView]:
    """List unchanged records, stored as one row for each source page; *after* is the number already
    shown.
    """
    u = t.unchanged.c
    pages = ledger.stream(sa.select(u["keys"]).where(u.run == run.id).order_by(u.page))
    keys = (key for (packed,) in pages for key in json.loads(decompress(packed)))
    listed = list(islice(keys, after, after + limit + 1))
    items = [
        RecordView(number, key, Outcome.UNCHANGED.value, None, [], None, None, [], [])
        for number, key in enumerate(listed[:limit], after)
    ]
    is_more = len(listed) > limit
    return Listing(items=items, next=str(_UNCHANGED + after + limit) if is_more else None)


# The records of a plan that are read for its effect: a page must not wait for a large plan.
MAX_RECORDS = 2_000
_MAX_COUNTRIES = 10  # countries shown
_OUTCOMES = (*UPSERTED, *TOMBSTONED, Outcome.VANISHED)
_COUNTRY = re.compile(
    r"^<(?![^>\n]*/id/organization/)[^>\n]*> <http://purl\.org/dc/terms/spatial> "
    r"<(http://metadata\.un\.org/sdg/codes/geoArea/\d+)>",
    re.MULTILINE,
)
_GOAL = re.compile(r" <[^<>]*ns#goal> <(http://metadata\.un\.org/sdg/\d+)>")


def plan_effect(ledger: Ledger, run: Run, base: str) -> dict[str, Any]:
    """Return the effect of an open plan by country (the most affected first) and by goal: how many
    records it adds to each, removes from it, or marks as missing. It is *partial* if only the first
    records were read.
    """
    changes = list(islice(ledger.changes(run, _OUTCOMES), MAX_RECORDS + 1))
    partial, changes = len(changes) > MAX_RECORDS, changes[:MAX_RECORDS]
    countries = _count(changes, _COUNTRY, base)
    goals = sorted(_count(changes, _GOAL, base), key=lambda row: int(last_segment(row["iri"])))
    return {"countries": countries[:_MAX_COUNTRIES], "goals": goals, "partial": partial}


def _count(
    changes: Iterable[StagedDiff], pattern: re.Pattern[str], base: str
) -> list[dict[str, Any]]:
    counts = {kind: Counter[str]() for kind in ("added", "removed", "missing")}
    for change in changes:
        outcome, before = change.staged.outcome, set(pattern.findall(change.previous))
        text = change.staged.description if outcome in UPSERTED else ""
        after = set(pattern.findall(text))
        counts["added"].update(after - before)
        counts["missing" if outcome is Outcome.VANISHED else "removed"].update(before - after)
    total, language = sum(counts.values(), Counter[str]()), current_locale().language
    return [
        {
            "iri": iri,
            "label": value_text(Value("", iri), base, language),
            **{kind: count[iri] for kind, count in counts.items()},
        }
        for iri, _ in total.most_common()
    ]


def changed_fields(removed: Iterable[str], added: Iterable[str], base: str) -> list[FieldView]:
    """Return the changes of a record field by field, with labels in the language of the request."""
    return field_views(removed, added, base, current_locale().language, gettext)
