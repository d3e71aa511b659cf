"""Compare the records at two moments of the journal: counts, new, vanished, gone and changed, by
registry, kind, country, action line and goal.

All numbers come from the log of records that ``store.changes`` writes. A *set* is one of its sets,
such as ``source:demo``, ``country:404`` or ``line:C2:declared``; a record is in it at a moment if
it is published then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from languages.translations import TranslatableText
from publisher.errors import QueryError, ReleaseNotFound
from publisher.history.change_reader import ALL, LATEST, History
from publisher.store.changes import VANISHED, ChangeType
from publisher.store.releases import get_release

FACETS = ("kind", "source", "country", "line", "goal")  # of the sets that are counted
CHANGES = ("before", "after", "new", "vanished", "gone", "changed")
_IS_MEMBER = (
    "len(list_filter($within::VARCHAR[], lambda item: NOT contains(sets, ' ' || item || ':'))) = 0"
)
# Records that are published at a moment, and in all sets of *within*.
_PUBLISHED = f"SELECT record, sequence, name, kind, sets {LATEST} AND type <> {ChangeType.DELETED:d} AND {_IS_MEMBER}"
_PAIRS = f"""
WITH was AS MATERIALIZED ({_PUBLISHED.replace("$upto", "$before")}),
now AS MATERIALIZED ({_PUBLISHED.replace("$upto", "$after")}),
pairs AS (
    SELECT coalesce(now.name, was.name) AS name, coalesce(now.kind, was.kind) AS kind, was.sets AS old, now.sets AS new,
        CASE WHEN was.sequence = now.sequence THEN 'unchanged' WHEN old IS NULL THEN 'new' WHEN new IS NULL THEN 'gone'
            WHEN contains(new, ' {VANISHED}') AND NOT contains(old, ' {VANISHED}') THEN 'vanished' ELSE 'changed' END AS change
    FROM was FULL JOIN now USING (record)
)
"""
# The Numbers of each set; of records that were in it before, after, or at both moments.
_COUNTS = f"""
{_PAIRS}
SELECT item, count(*) FILTER (role = 'before'), count(*) FILTER (role = 'after'),
    count(*) FILTER (role = 'after' AND change <> 'unchanged') - count(*) FILTER (role = 'both'),
    count(*) FILTER (role = 'both' AND change = 'vanished'),
    count(*) FILTER (role = 'before' AND change <> 'unchanged') - count(*) FILTER (role = 'both'),
    count(*) FILTER (role = 'both' AND change = 'changed')
FROM (SELECT change, role, unnest(list_prepend('{ALL}:', sets)) AS item FROM (
    SELECT change, 'before' AS role, string_split(old[2:], ' ') AS sets FROM pairs WHERE old IS NOT NULL
    UNION ALL SELECT change, 'after', string_split(new[2:], ' ') FROM pairs WHERE new IS NOT NULL
    UNION ALL SELECT change, 'both', list_intersect(string_split(old[2:], ' '), string_split(new[2:], ' ')) FROM pairs
        WHERE change IN ('changed', 'vanished')
)) GROUP BY item
"""
_LISTED = f"{_PAIRS} SELECT kind, name FROM pairs WHERE $condition ORDER BY name"
_NUMBERED = re.compile(r"(release|entry)[/ :]([0-9]{1,9})\Z")
_SET = re.compile(
    r"(?:kind|source|country):[^\s:]+\Z|(?:line|goal):[^\s:]+(?::(?:declared|crosswalked))?\Z"
)


class Moment(NamedTuple):
    """The state after journal entry *entry*, whose last change is *sequence*; *text* names it,
    *time* is that of the entry in UTC.
    """

    text: str
    entry: int
    sequence: int
    time: datetime
    release: int | None = None


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many records a set has *before* and *after*, and how many of them are *new*, *vanished*
    at their source (and still published), *gone* or *changed* in between.
    """

    before: int = 0
    after: int = 0
    new: int = 0
    vanished: int = 0
    gone: int = 0
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The numbers of all records in the sets of *within*, and *by_facet* those of each code."""

    before: Moment
    after: Moment
    within: tuple[str, ...]
    total: Numbers
    by_facet: dict[str, dict[str, Numbers]]


class UnknownMoment(QueryError):
    """There is no such state; the message says which there are."""


def find_moment(history: History, data: Path, text: str) -> Moment:
    """Return the state that *text* names: a date or time in UTC, ``release/3``, ``entry/5`` or
    ``now``.

    A date is its end. Raises UnknownMoment, and ReleaseNotFound.
    """
    text = text.strip()
    numbered, release = _NUMBERED.match(text), None
    if numbered and numbered[1] == "release":
        if (result := get_release(data / "releases", int(numbered[2]))) is None:
            raise ReleaseNotFound(
                TranslatableText(
                    "there is no release {number}; /releases/ lists them", number=numbered[2]
                )
            )
        entry, release = result.position, result.number
    else:
        entry = int(numbered[2]) if numbered else _entry_at(history, text)
    query = "SELECT sequence, stamp FROM entries WHERE number = $entry"
    for sequence, stamp in history.rows(query, entry=entry):
        return Moment(text, entry, sequence, datetime.fromtimestamp(stamp, UTC), release)
    ((first, last),) = history.rows("SELECT min(number), max(number) FROM entries")
    raise UnknownMoment(
        f"{text[:40]!r} is no published entry of the journal, which has the entries {first} to {last}"
    )


def _entry_at(history: History, text: str) -> int:
    """Return the last entry at the time *text*, or the last of all if it is ``now``."""
    try:
        time = "T23:59:59" if len(text) == len("2026-01-31") else ""
        end = datetime.max if text == "now" else datetime.fromisoformat(text + time)
        seconds = end.replace(tzinfo=end.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise UnknownMoment(
            f"{text[:40]!r} is no date such as 2026-01-31, release such as release/3, or entry such as entry/5"
        ) from error
    query = "SELECT max(number) FILTER (stamp <= $seconds), min(stamp) FROM entries"
    ((entry, first),) = history.rows(query, seconds=int(seconds))
    if entry is None:
        began = datetime.fromtimestamp(first, UTC)
        raise UnknownMoment(
            f"{text} is before the first entry of the journal, which is of {began:%Y-%m-%dT%H:%M:%SZ}"
        )
    return int(entry)


def parse_within(texts: list[str]) -> tuple[str, ...]:
    """Return sets by their names, sorted. Raises QueryError with the form of a name."""
    for text in texts:
        if not _SET.match(text):
            raise QueryError(
                f"{text[:60]!r} is no set; name one as source:demo, kind:event, country:404, line:C2, goal:4 or line:C2:crosswalked"
            )
    return tuple(
        sorted(
            {
                f"{text}:declared"
                if text.startswith(("line:", "goal:")) and text.count(":") == 1
                else text
                for text in texts
            }
        )
    )


def compare(
    history: History, before: Moment, after: Moment, within: tuple[str, ...] = ()
) -> Comparison:
    """Count the records at two moments, *before* not later than *after*."""
    moments = {"before": before.sequence, "after": after.sequence}
    rows = history.rows(_COUNTS, **moments, within=[*within])
    numbers = {item: Numbers(*counts) for item, *counts in rows}
    by_facet: dict[str, dict[str, Numbers]] = {facet: {} for facet in FACETS}
    for item, values in sorted(numbers.items()):
        facet, _, code = item.removesuffix(":").partition(":")
        if facet in ("line", "goal"):
            code, _, basis = code.partition(":")
            code = code if basis == "declared" else ""
        if facet in by_facet and code:
            by_facet[facet][code] = values
    return Comparison(before, after, within, numbers.get(f"{ALL}:", Numbers()), by_facet)


def list_records(
    history: History,
    before: Moment,
    after: Moment,
    within: tuple[str, ...],
    change: str,
    limit: int | None = None,
) -> list[tuple[str, str]]:
    """Return the kind and the name of each record that the number *change*, one of CHANGES, counts,
    in order; at most *limit*.
    """
    if change not in CHANGES:
        raise QueryError(f"only must be one of {', '.join(CHANGES)}, not {change[:20]!r}")
    conditions = {"before": "old IS NOT NULL", "after": "new IS NOT NULL"}
    query = _LISTED.replace("$condition", conditions.get(change, f"change = '{change}'"))
    values = {"before": before.sequence, "after": after.sequence, "within": [*within]}
    return history.rows(f"{query} LIMIT $limit", **values, limit=limit)
