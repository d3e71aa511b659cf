"""Fragment the event stream by time into months, days and pages.

All fragments except the last of each kind are closed: nothing is added to them, since the stamps of
entries never decrease. They are the same in every copy of the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

PAGE_SIZE = 250  # members on a page, some 2 MB of TriG
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Span:
    """The period of a fragment: from *begin* on, before *end* (seconds since 1970); *name* is
    ``2026-03`` or ``2026-03-02``.
    """

    name: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Day:
    """A day and its changes: those numbered above *after* up to *last*; *over*: the day is closed."""

    span: Span
    after: int
    last: int
    over: bool

    @property
    def pages(self) -> int:
        """Return its number of pages; a full page is always followed by another, which may be
        empty.
        """
        return (self.last - self.after) // PAGE_SIZE + 1

    def page(self, number: int) -> tuple[int, int]:
        """Return the exclusive lower and inclusive upper bound of page *number*, counted from 1."""
        after = self.after + (number - 1) * PAGE_SIZE
        return after, min(after + PAGE_SIZE, self.last)

    def closed(self, number: int) -> bool:
        """Return whether nothing can be added to a page."""
        return self.over or number < self.pages


def days(changed_days: Sequence[tuple[int, int]]) -> list[Day]:
    """Return the days of *changed_days*: pairs of a day, counted from 1970, and the number of its
    last change.
    """
    afters = [0, *(last for _, last in changed_days)]
    return [
        Day(_span(day), afters[index], last, index + 1 < len(changed_days))
        for index, (day, last) in enumerate(changed_days)
    ]


def months(changed_days: Sequence[Day]) -> dict[str, list[Day]]:
    """Return the days by month, such as ``2026-03``."""
    return {
        name: list(month_days)
        for name, month_days in groupby(changed_days, key=lambda day: day.span.name[:7])
    }


def month(name: str) -> Span:
    """Return the span of a month.

    >>> month("1970-12")
    Span(name='1970-12', begin=28857600, end=31536000)
    """
    first = date.fromisoformat(f"{name}-01")
    after = (first + timedelta(days=31)).replace(day=1)
    return Span(name, _seconds(first), _seconds(after))


def _span(day: int) -> Span:
    return Span((date(1970, 1, 1) + timedelta(days=day)).isoformat(), day * _DAY, (day + 1) * _DAY)


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
