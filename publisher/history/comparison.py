"""Compare the records at two moments of the journal: counts, new, vanished, gone and changed, by
registry, kind, country, action line and goal.

All numbers come from the log of records that ``change_writer`` writes. A *set* is one of its sets,
such as ``source:demo``, ``country:404`` or ``line:C2:declared``; a record is in it at a moment if
it is published then.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pyroaring import BitMap

from languages.translations import TranslatableText
from publisher.errors import QueryError, ReleaseNotFound
from publisher.history.change_reader import open_log
from publisher.history.change_writer import ALL, VANISHED, ChangeType, all_sets
from publisher.history.graph_changes import NAME
from publisher.history.set_ranges import Ranges, TouchedRecords, read_ranges
from publisher.store.releases.manifest import get_release

FACETS = ("kind", "source", "country", "line", "goal")  # of the sets that are counted
CHANGES = ("before", "after", "new", "vanished", "gone", "changed")
_CACHED = 64  # moments and pairs of moments whose counts are cached
_LIVE = f"type IN ({ChangeType.NEW:d}, {ChangeType.CHANGED:d})"
_SIZES = """
SELECT name, published FROM record_set JOIN set_size ON set_id = id
WHERE entry = (SELECT MAX(entry) FROM set_size WHERE set_id = id AND entry <= :entry)
"""
_MEMBERS = f"""
SELECT record.name, change.kind, change.sets FROM change JOIN record ON record.id = change.record
WHERE sequence <= :sequence AND (replaced_at IS NULL OR replaced_at > :sequence) AND {_LIVE}
"""
# The first change of each record after the earlier moment leads to its state then, the last one is
# its state at the later moment.
_PAIRS = """
FROM (
    SELECT change.record, old.kind, old.sets, old.type FROM change LEFT JOIN change old ON old.sequence = change.previous
    WHERE change.sequence > :a AND change.sequence <= :b AND coalesce(change.previous, 0) <= :a
) was JOIN (
    SELECT record, kind, sets, type FROM change WHERE sequence > :a AND sequence <= :b AND (replaced_at IS NULL OR replaced_at > :b)
) now ON now.record = was.record JOIN record ON record.id = was.record
"""
_SIDES = f"was.kind, was.sets, was.{_LIVE}, now.kind, now.sets, now.{_LIVE}"
_LISTED = f"SELECT record.name, {_SIDES} {_PAIRS}"
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


def find_moment(data: Path, history: Path, text: str, position: int) -> Moment:
    """Return the state that *text* names, not after entry *position*: a date or time in UTC,
    ``release/3``, ``entry/5`` or ``now``.

    A date is its end. Raises UnknownMoment, and ReleaseNotFound.
    """
    numbered, release = _NUMBERED.match(text.strip()), None
    with open_log(history) as file:
        if file is None:
            raise UnknownMoment(
                "the history is still being built from the journal; try again in a moment"
            )
        if numbered and numbered[1] == "release":
            if (result := get_release(data / "releases", int(numbered[2]))) is None:
                raise ReleaseNotFound(
                    TranslatableText(
                        "there is no release {number}; /releases/ lists them", number=numbered[2]
                    )
                )
            entry, release = result.position, result.number
        elif numbered or text.strip() == "now":
            entry = int(numbered[2]) if numbered else position
        else:
            entry = _entry_at(file, text.strip(), position)
        rows = file.execute(
            "SELECT sequence, stamp FROM entry WHERE number = ? AND number <= ?", (entry, position)
        ).fetchall()
        first, last = file.execute(
            "SELECT MIN(number), MAX(number) FROM entry WHERE number <= ?", (position,)
        ).fetchone()
    if not rows:
        raise UnknownMoment(
            f"{text[:40]!r} is no published entry of the journal, which has the entries {first} to {last}"
        )
    return Moment(
        text.strip(), entry, rows[0][0] or 0, datetime.fromtimestamp(rows[0][1], UTC), release
    )


def _entry_at(file: sqlite3.Connection, text: str, position: int) -> int:
    try:
        if len(text) == len("2026-01-31"):
            end = datetime.combine(
                date.fromisoformat(text) + timedelta(days=1), datetime.min.time(), UTC
            ) - timedelta(seconds=1)
        else:
            end = datetime.fromisoformat(text)
            end = end if end.tzinfo else end.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise UnknownMoment(
            f"{text[:40]!r} is no date such as 2026-01-31, release such as release/3, or entry such as entry/5"
        ) from error
    seconds = int(end.timestamp())
    entry = file.execute(
        "SELECT MAX(number) FROM entry WHERE stamp <= ? AND number <= ?", (seconds, position)
    ).fetchone()[0]
    if entry is None:
        first = file.execute("SELECT MIN(stamp) FROM entry").fetchone()[0]
        began = (
            f", which is of {datetime.fromtimestamp(first, UTC):%Y-%m-%dT%H:%M:%SZ}"
            if first is not None
            else ""
        )
        raise UnknownMoment(f"{text} is before the first entry of the journal{began}")
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
    history: Path, before: Moment, after: Moment, within: tuple[str, ...] = ()
) -> Comparison:
    """Count the records at two moments, *before* not later than *after*."""
    file = history / NAME
    key = (file, file.stat().st_ino)
    counts: tuple[Counter[str], ...]
    if within:
        counts = _changes_within(*key, before.entry, after.entry, within)
    else:
        counts = (
            _published(*key, before.entry),
            _published(*key, after.entry),
            *_changes(*key, before.entry, after.entry),
        )
    items = sorted({item for numbers_of_sets in counts for item in numbers_of_sets})
    numbers = {
        item: Numbers(*(numbers_of_sets[item] for numbers_of_sets in counts)) for item in items
    }
    by_facet: dict[str, dict[str, Numbers]] = {facet: {} for facet in FACETS}
    for item, values in numbers.items():
        facet, _, code = item.partition(":")
        is_link = facet in ("line", "goal")
        code = code.removesuffix(":declared") if is_link else code
        if (
            facet in by_facet
            and code
            and ":" not in code
            and item.endswith(":declared") == is_link
            and values != Numbers()
        ):
            by_facet[facet][code] = values
    return Comparison(before, after, within, numbers.get(ALL, Numbers()), by_facet)


def list_records(
    history: Path,
    before: Moment,
    after: Moment,
    within: tuple[str, ...],
    change: str,
    limit: int = -1,
) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of each record that the number *change*, one of CHANGES, counts,
    in order; at most *limit*.
    """
    if change not in CHANGES:
        raise QueryError(f"only is one of {', '.join(CHANGES)}, not {change[:20]!r}")
    with open_log(history) as file:
        if file is None:
            raise UnknownMoment(
                "the history is still being built from the journal; try again in a moment"
            )
        results = _counted_records(file, before, after, within, change)
        for number, item in enumerate(results):
            if number == limit:
                return
            yield item


def _counted_records(
    file: sqlite3.Connection, before: Moment, after: Moment, within: tuple[str, ...], change: str
) -> Iterator[tuple[str, str]]:
    if change in ("before", "after"):
        moment = before if change == "before" else after
        rows = file.execute(f"{_MEMBERS} ORDER BY record.name", {"sequence": moment.sequence})
        return (
            (kind, name)
            for name, kind, sets in rows
            if all_sets(name, kind, frozenset(sets.split())).issuperset(within)
        )
    pairs = file.execute(
        f"{_LISTED} ORDER BY record.name", {"a": before.sequence, "b": after.sequence}
    )
    return (
        (row[4] or row[1], row[0])
        for row in pairs
        if _change(
            _sets(row[0], row[1], row[2], row[3], within),
            _sets(row[0], row[4], row[5], row[6], within),
        )
        == change
    )


def _sets(
    name: str, kind: str | None, sets: str | None, is_live: int | None, within: tuple[str, ...]
) -> frozenset[str]:
    """Return the sets of a record; none if it is not published, or not in all of *within*."""
    own = (
        frozenset(all_sets(name, kind or "", frozenset((sets or "").split())))
        if is_live
        else frozenset[str]()
    )
    return own if own.issuperset(within) else frozenset()


def _change(old: frozenset[str], new: frozenset[str]) -> str:
    if old and new:
        return "vanished" if VANISHED in new - old else "changed"
    return "new" if new else "gone" if old else ""


# a past state never changes; the inode distinguishes a history that was rebuilt
@lru_cache(_CACHED)
def _published(path: Path, _inode: int, entry: int) -> Counter[str]:
    """Return the number of published records of each set after *entry*."""
    with open_log(path.parent) as file:
        return Counter(dict(file.execute(_SIZES, {"entry": entry}))) if file else Counter()


@lru_cache(_CACHED)
def _changes(path: Path, _inode: int, before: int, after: int) -> tuple[Counter[str], ...]:
    """Return the number of records of each set that are new, vanished, gone and changed after entry
    *before* up to entry *after*.
    """
    with open_log(path.parent) as file:
        if file is None:
            return Counter(), Counter(), Counter(), Counter()
        names, ranges = _set_names(file), read_ranges(file, before + 1, after)
    return _count_changes({names[number]: touched for number, touched in ranges.items()})


@lru_cache(_CACHED)
def _changes_within(
    path: Path, _inode: int, before: int, after: int, within: tuple[str, ...]
) -> tuple[Counter[str], ...]:
    """Return the number of records of each set that are in all of *within* too: before, after, new,
    vanished, gone and changed.
    """
    with open_log(path.parent) as file:
        names = _set_names(file) if file else {}
        if file is None or not set(within) <= set(names.values()):
            return tuple(Counter[str]() for _ in CHANGES)
        state, changes = read_ranges(file, 0, before), read_ranges(file, before + 1, after)
    touched = _limit({names[number]: item for number, item in changes.items()}, within)
    sizes = [_sizes(state, names, within)]
    for number, item in changes.items():
        state.setdefault(number, TouchedRecords()).extend(item.before, item.after)
    return (*sizes, _sizes(state, names, within), *_count_changes(touched))


def _set_names(file: sqlite3.Connection) -> dict[int, str]:
    return dict(file.execute("SELECT id, name FROM record_set"))


def _sizes(state: Ranges, names: Mapping[int, str], within: tuple[str, ...]) -> Counter[str]:
    """Return how many records of each set are in all of *within*, after the range of *state*, which
    begins with the first entry.
    """
    members = {names[number]: item.after for number, item in state.items()}
    common = _intersect(members, within)
    return Counter(
        {name: common.intersection_cardinality(records) for name, records in members.items()}
    )


def _limit(
    touched: Mapping[str, TouchedRecords], within: tuple[str, ...]
) -> dict[str, TouchedRecords]:
    """Return the touched records of each set that are in all of *within* too."""
    before = _intersect({name: item.before for name, item in touched.items()}, within)
    after = _intersect({name: item.after for name, item in touched.items()}, within)
    return {
        name: TouchedRecords(item.before & before, item.after & after)
        for name, item in touched.items()
    }


def _intersect(sets: Mapping[str, BitMap], names: tuple[str, ...]) -> BitMap:
    return BitMap.intersection(*(sets.get(name, BitMap()) for name in names))


def _count_changes(touched: Mapping[str, TouchedRecords]) -> tuple[Counter[str], ...]:
    new_ones, vanished_ones = Counter[str](), Counter[str]()
    gone_ones, changed_ones = Counter[str](), Counter[str]()
    marked = touched.get(VANISHED, TouchedRecords())
    vanished = marked.after - marked.before
    for name, item in touched.items():
        stayed = item.before & item.after
        new_ones[name] = item.after.difference_cardinality(item.before)
        vanished_ones[name] = stayed.intersection_cardinality(vanished)
        gone_ones[name] = item.before.difference_cardinality(item.after)
        changed_ones[name] = stayed.difference_cardinality(vanished)
    return new_ones, vanished_ones, gone_ones, changed_ones
