"""List the records of a run by outcome, what a plan would change in each, and what it would add and remove by country and goal."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa

from harvesters.admin.schemas import Listing, RecordView
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import (
    TOMBSTONED,
    UPSERTED,
    Outcome,
    Run,
    StagedDiff,
    State,
    decompress,
)
from harvesters.runs.commit import changed_statements
from languages.translations import current_locale, gettext
from vocab.field_changes import FieldView, Value, field_views, last_segment, value_text
from vocab.iris import Iris

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
    items = [_view(run, change, iris) for change in changes[:limit]]
    return Listing(items=items, next=str(items[-1].seq) if len(changes) > limit else None)


def _view(run: Run, change: StagedDiff, iris: Iris | None) -> RecordView:
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
    keys_found = _TITLE.findall(description)
    text = next(
        (text for text, english in keys_found if english), keys_found[0][0] if keys_found else None
    )
    return (
        None
        if text is None
        else _ESCAPED.sub(lambda match: " " if match[1] in "nrt" else match[1], text)
    )


def _list_unchanged(ledger: Ledger, run: Run, limit: int, after: int) -> Listing[RecordView]:
    """List unchanged records, stored as one row for each source page; *after* is the number already
    shown.
    """
    u = t.unchanged.c
    with ledger.transaction() as connection:
        counts = connection.execute(
            sa.select(u.page, u["count"]).where(u.run == run.id).order_by(u.page)
        ).all()
        keys_found: list[str] = []
        offset = 0
        for page, count in counts:
            if offset + count > after and len(keys_found) <= limit:
                keys = json.loads(
                    decompress(
                        connection.scalar(
                            sa.select(u["keys"]).where(u.run == run.id, u.page == page)
                        )
                    )
                )
                keys_found += keys[max(0, after - offset) :]
            offset += count
    items = [
        RecordView(number, key, Outcome.UNCHANGED.value, None, [], None, None, [], [])
        for number, key in enumerate(keys_found[:limit], after)
    ]
    is_more = len(keys_found) > limit
    return Listing(items=items, next=str(_UNCHANGED + after + limit) if is_more else None)


# The records of a plan that are read for its effect: a page must not wait for a large plan.
MAX_RECORDS = 2_000
MAX_ROWS = 10  # countries shown
_OUTCOMES = (*UPSERTED, *TOMBSTONED, Outcome.VANISHED)
_COUNTRY = re.compile(
    r"^<(?![^>\n]*/id/organization/)[^>\n]*> <http://purl\.org/dc/terms/spatial> "
    r"<(http://metadata\.un\.org/sdg/codes/geoArea/\d+)>",
    re.MULTILINE,
)
_GOAL = re.compile(r" <[^<>]*ns#goal> <(http://metadata\.un\.org/sdg/\d+)>")


@dataclass(frozen=True, slots=True)
class EffectRow:
    """A country or goal, and how many records a plan adds to it, removes from it, or marks as
    missing.
    """

    iri: str
    label: str
    added: int
    removed: int
    missing: int


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a plan; *partial* is whether only its first records were read."""

    countries: list[EffectRow]
    goals: list[EffectRow]
    partial: bool


def plan_effect(ledger: Ledger, run: Run, base: str) -> Effect:
    """Return the effect of an open plan by country (the most affected first) and by goal."""
    changes = list(islice(ledger.changes(run, _OUTCOMES), MAX_RECORDS + 1))
    partial, changes = len(changes) > MAX_RECORDS, changes[:MAX_RECORDS]
    countries = _count(changes, _COUNTRY, base)
    goals = sorted(_count(changes, _GOAL, base), key=lambda row: int(last_segment(row.iri)))
    return Effect(countries[:MAX_ROWS], goals, partial)


def _count(changes: Iterable[StagedDiff], pattern: re.Pattern[str], base: str) -> list[EffectRow]:
    added, removed, missing = Counter[str](), Counter[str](), Counter[str]()
    for change in changes:
        before, after = set(pattern.findall(change.previous)), set[str]()
        if change.staged.outcome is Outcome.VANISHED:
            missing.update(before)
            continue
        if change.staged.outcome in UPSERTED:
            after = set(pattern.findall(change.staged.description))
        added.update(after - before)
        removed.update(before - after)
    total, language = added + removed + missing, current_locale().language
    rows = ((iri, added[iri], removed[iri], missing[iri]) for iri, _ in total.most_common())
    return [
        EffectRow(iri, value_text(Value("", iri), base, language), *counts) for iri, *counts in rows
    ]


def changed_fields(removed: Iterable[str], added: Iterable[str], base: str) -> list[FieldView]:
    """Return the changes of a record field by field, with labels in the language of the request."""
    return field_views(removed, added, base, current_locale().language, gettext)
