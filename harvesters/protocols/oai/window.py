"""Time windows: split an OAI-PMH list that cannot be read as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from harvesters.protocols.datestamps import parse_timestamp

# from and until, both inclusive, in the repository's granularity; None is open
Window: TypeAlias = tuple[str | None, str | None]

GRANULARITIES = {
    "YYYY-MM-DD": ("%Y-%m-%d", timedelta(days=1)),
    "YYYY-MM-DDThh:mm:ssZ": ("%Y-%m-%dT%H:%M:%SZ", timedelta(seconds=1)),
}


@dataclass(frozen=True, slots=True)
class Calendar:
    """A repository's date format, smallest *step*, *earliest* datestamp and clock; None if not
    declared.
    """

    time_format: str
    step: timedelta
    earliest: datetime | None = None
    now: datetime | None = None

    def format_time(self, moment: datetime) -> str:
        """Format a time in the repository's granularity."""
        return f"{moment.astimezone(UTC):{self.time_format}}"

    def truncate(self, stamp: str) -> str | None:
        """Return a datestamp in the granularity, or None if it is not a date."""
        moment = parse_timestamp(stamp)
        return None if moment is None else self.format_time(moment)

    def step_after(self, text: str) -> str:
        """Return the next step."""
        return self._shift(text, self.step)

    def step_before(self, text: str) -> str:
        """Return the previous step."""
        return self._shift(text, -self.step)

    def _shift(self, text: str, step: timedelta) -> str:
        return self.format_time((parse_timestamp(text) or datetime.min.replace(tzinfo=UTC)) + step)


def is_minimal(window: Window) -> bool:
    """Return whether *window* is a single step, which cannot be split."""
    return window[0] is not None and window[0] == window[1]


def split_by_datestamps(
    window: Window, stamps: Sequence[str], calendar: Calendar
) -> tuple[Window, ...]:
    """Split *window* so that each half has half of the records with these *stamps*; a datestamp
    that all share gets its own window.

    The halves cover the window without gaps, whatever the order of the list, and each is shorter.
    Empty if no split is possible.

    >>> days = Calendar(*GRANULARITIES["YYYY-MM-DD"])
    >>> split_by_datestamps((None, None), ["2026-01-01", "2026-01-02", "2026-01-05", "2026-01-09"], days)
    ((None, '2026-01-02'), ('2026-01-03', None))
    >>> split_by_datestamps((None, "2026-01-05"), ["2026-01-05"], days)
    ((None, '2026-01-04'), ('2026-01-05', '2026-01-05'))
    """
    start, until = window
    floors = (calendar.truncate(stamp) for stamp in stamps)
    inside = sorted(
        text
        for text in floors
        if text and (start is None or text >= start) and (until is None or text <= until)
    )
    if not inside or is_minimal(window):
        return ()
    middle = inside[(len(inside) - 1) // 2]
    if middle == inside[-1]:
        middle = next((text for text in reversed(inside) if text < middle), middle)
    if until is None or middle < until:
        return (start, middle), (calendar.step_after(middle), until)
    return (start, calendar.step_before(middle)), (middle, until)


def split_by_time(window: Window, calendar: Calendar) -> tuple[Window, ...]:
    """Split *window* at its middle; empty if it is one step long or its ends are unknown.

    >>> split_by_time(("2026-01-01", "2026-01-04"), Calendar(*GRANULARITIES["YYYY-MM-DD"]))
    (('2026-01-01', '2026-01-02'), ('2026-01-03', '2026-01-04'))
    """
    start, until = window
    first = parse_timestamp(start) if start else calendar.earliest
    last = parse_timestamp(until) if until else calendar.now
    if first is None or last is None or calendar.format_time(first) >= calendar.format_time(last):
        return ()
    middle = calendar.format_time(first + (last - first) // 2)
    return (start, middle), (calendar.step_after(middle), until)
