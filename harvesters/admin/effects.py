"""Count what a plan would add and remove by country and goal, and name the fields that it changes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import TOMBSTONED, UPSERTED, Outcome, Run, StagedDiff
from languages.request_locale import current_locale
from languages.translations import gettext
from vocab.field_changes import FIELD_NAMES, FieldChange, Value, compare_fields, last_segment
from vocab.schemes import label

MAX_RECORDS = 2_000  # records of a plan that are read for its effect: a page must not wait for a large plan
MAX_ROWS = 10  # countries shown
_OUTCOMES = (*UPSERTED, *TOMBSTONED, Outcome.VANISHED)
_COUNTRY = re.compile(
    r"<[^>]*/id/(?!organization/)[^>]*> <http://purl\.org/dc/terms/spatial> "
    r"<(http://metadata\.un\.org/sdg/codes/geoArea/\d+)>"
)
_GOAL = re.compile(r" <[^>]*ns#goal> <(http://metadata\.un\.org/sdg/\d+)>")


@dataclass(frozen=True, slots=True)
class EffectRow:
    """A country or goal, and how many records a plan adds to it, removes from it, or marks as missing."""

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


@dataclass(frozen=True, slots=True)
class FieldView:
    """A changed field with its label, and its removed and added values as text."""

    label: str
    removed: list[str]
    added: list[str]


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
        if change.draft.outcome is Outcome.VANISHED:
            missing.update(before)
            continue
        if change.draft.outcome in UPSERTED:
            after = set(pattern.findall(change.draft.description))
        added.update(after - before)
        removed.update(before - after)
    total = added + removed + missing
    rows = ((iri, added[iri], removed[iri], missing[iri]) for iri, _ in total.most_common())
    return [EffectRow(iri, _text(Value("", iri), base), *counts) for iri, *counts in rows]


def field_views(removed: Iterable[str], added: Iterable[str], base: str) -> list[FieldView]:
    """Return the changes of a record field by field, with labels in the language of the request."""
    return list(_views(compare_fields(removed, added), base))


def _views(changes: Iterable[FieldChange], base: str) -> Iterator[FieldView]:
    for change in changes:
        name = _field_name(change, base)
        yield FieldView(
            f"{change.part}: {name}" if change.part else name,
            [_text(value, base) for value in change.removed],
            [_text(value, base) for value in change.added],
        )


def _field_name(change: FieldChange, base: str) -> str:
    if known := FIELD_NAMES.get(change.predicate):
        return gettext(known)
    return label(change.predicate, current_locale().language, base) or change.local_name


def _text(value: Value, base: str) -> str:
    """Return a value as people read it: the name of an IRI, or a literal's text."""
    if value.text or not value.iri:
        return value.text
    name = label(value.iri, current_locale().language, base)
    if name and "/sdg/codes/" not in value.iri and "/metadata.un.org/sdg/" in value.iri:
        return f"{last_segment(value.iri)} {name}"  # goals and targets are known by their numbers
    return name or (last_segment(value.iri) if "/id/" in value.iri else value.iri)
