"""Count what a plan would add and remove by country and goal, and name the fields that it changes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import TOMBSTONED, UPSERTED, Outcome, Run, StagedDiff
from languages.request_locale import current_locale
from languages.translations import gettext
from vocab.field_changes import FieldView, Value, field_views, last_segment, value_text

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
