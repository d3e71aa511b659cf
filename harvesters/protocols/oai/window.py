"""Windows of time: how an OAI-PMH list that cannot be read as a whole is cut into shorter ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from harvesters.protocols.datestamps import read_stamp

Window: TypeAlias = tuple[str | None, str | None]  # from and until, both within, in the repository's granularity; None is open

FORMS = {"YYYY-MM-DD": ("%Y-%m-%d", timedelta(days=1)), "YYYY-MM-DDThh:mm:ssZ": ("%Y-%m-%dT%H:%M:%SZ", timedelta(seconds=1))}


@dataclass(frozen=True, slots=True)
class Calendar:
    """A repository's time: how it writes it, its smallest *step*, its *earliest* datestamp and its clock; None where it tells none."""

    form: str
    step: timedelta
    earliest: datetime | None = None
    now: datetime | None = None

    def text(self, moment: datetime) -> str:
        """Write a moment, cut to the granularity."""
        return f"{moment.astimezone(UTC):{self.form}}"

    def floor(self, stamp: str) -> str | None:
        """Write a datestamp in the granularity, None where it is no date."""
        moment = read_stamp(stamp)
        return None if moment is None else self.text(moment)

    def after(self, text: str) -> str:
        """Give the next step."""
        return self._moved(text, self.step)

    def before(self, text: str) -> str:
        """Give the step before."""
        return self._moved(text, -self.step)

    def _moved(self, text: str, step: timedelta) -> str:
        return self.text((read_stamp(text) or datetime.min.replace(tzinfo=UTC)) + step)


def step(window: Window) -> bool:
    """Tell whether *window* is a single step, which cannot be cut."""
    return window[0] is not None and window[0] == window[1]


def by_stamps(window: Window, stamps: Sequence[str], calendar: Calendar) -> tuple[Window, ...]:
    """Cut *window* so that each half has half of the records with these *stamps*; a stamp that all have gets a window of its own.

    The halves leave no moment out, whatever the order of the list, and each is shorter than the window. Empty where no cut can be made.

    >>> days = Calendar(*FORMS["YYYY-MM-DD"])
    >>> by_stamps((None, None), ["2026-01-01", "2026-01-02", "2026-01-05", "2026-01-09"], days)
    ((None, '2026-01-02'), ('2026-01-03', None))
    >>> by_stamps((None, "2026-01-05"), ["2026-01-05"], days)
    ((None, '2026-01-04'), ('2026-01-05', '2026-01-05'))
    """
    start, until = window
    floors = (calendar.floor(stamp) for stamp in stamps)
    inside = sorted(text for text in floors if text and (start is None or text >= start) and (until is None or text <= until))
    if not inside or step(window):
        return ()
    middle = inside[(len(inside) - 1) // 2]
    if middle == inside[-1]:
        middle = next((text for text in reversed(inside) if text < middle), middle)
    if until is None or middle < until:
        return (start, middle), (calendar.after(middle), until)
    return (start, calendar.before(middle)), (middle, until)


def by_time(window: Window, calendar: Calendar) -> tuple[Window, ...]:
    """Cut *window* at its middle moment; empty where it is one step long or its ends are not known.

    >>> by_time(("2026-01-01", "2026-01-04"), Calendar(*FORMS["YYYY-MM-DD"]))
    (('2026-01-01', '2026-01-02'), ('2026-01-03', '2026-01-04'))
    """
    start, until = window
    first = read_stamp(start) if start else calendar.earliest
    last = read_stamp(until) if until else calendar.now
    if first is None or last is None or calendar.text(first) >= calendar.text(last):
        return ()
    middle = calendar.text(first + (last - first) // 2)
    return (start, middle), (calendar.after(middle), until)
