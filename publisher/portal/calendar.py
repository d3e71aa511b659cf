"""A calendar month: weeks of days with their events."""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from publisher.projections.facets.queries import ListItem


@dataclass(frozen=True, slots=True)
class Month:
    """A month: *weeks* begin on Monday; days outside the month are None."""

    year: int
    number: int
    weeks: tuple[tuple[date | None, ...], ...]
    lines_by_day: dict[date, list[ListItem]]

    @property
    def first(self) -> str:
        """Return its first day."""
        return f"{self.year:04d}-{self.number:02d}-01"

    @property
    def last(self) -> str:
        """Return its last day."""
        return f"{self.year:04d}-{self.number:02d}-{calendar.monthrange(self.year, self.number)[1]:02d}"

    def shifted(self, step: int) -> str:
        """Return the month *step* months later.

        >>> parse_month("2025-12").shifted(1), parse_month("2025-01").shifted(-1)
        ('2026-01', '2024-12')
        """
        whole = self.year * 12 + self.number - 1 + step
        return f"{whole // 12:04d}-{whole % 12 + 1:02d}"


def parse_month(text: str) -> Month:
    """Parse a month as YYYY-MM; raises ValueError.

    >>> parse_month("2025-02").last
    '2025-02-28'
    """
    first = date.fromisoformat(f"{text}-01")
    if not 1 < first.year < 9998:
        raise ValueError(f"{text} is no month of a calendar")
    days = calendar.Calendar().monthdatescalendar(first.year, first.month)
    weeks = tuple(tuple(day if day.month == first.month else None for day in week) for week in days)
    return Month(first.year, first.month, weeks, {})


def with_events(month: Month, lines: Iterable[ListItem]) -> Month:
    """Return the month with the events of each day; events without a full date are left out."""
    for line in lines:
        begins, ends = parse_day(line.begins), parse_day(line.ends) or parse_day(line.begins)
        for week in month.weeks:
            for day in week:
                if day and begins and ends and begins <= day <= ends:
                    month.lines_by_day.setdefault(day, []).append(line)
    return month


def parse_day(text: str | None) -> date | None:
    """Return the day of a date or a time, None if the text has none.

    >>> parse_day("2025-05-01T12:00:00Z"), parse_day("2025") is None
    (datetime.date(2025, 5, 1), True)
    """
    try:
        return date.fromisoformat((text or "")[:10])
    except ValueError:
        return None
