"""Expand recurring events: each date gets a stable key.

Source: https://www.rfc-editor.org/rfc/rfc5545#section-3.8.5
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import prod
from types import FrameType
from typing import Any

import icalendar
import recurring_ical_events

from harvesters.errors import ParseError
from harvesters.parsing import parser_errors

_MAX_HISTORY = timedelta(days=20 * 365)  # before the horizon; earlier dates are left out
_MAX_PER_DAY = 24  # per day
_TIMES = ("BYHOUR", "BYMINUTE", "BYSECOND")
# no real event recurs so often, and expanding it never ends
_REFUSED_FREQUENCIES = frozenset(("SECONDLY", "MINUTELY", "HOURLY"))
_REPEATS = ("RRULE", "RDATE", "RECURRENCE-ID")
_MAX_DATES = 10_000  # dates per event, listed or expanded: 20 years of daily dates are 7,300
_MAX_RULES = 10  # per event; RFC 5545 recommends one
_DAYS = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}  # in months with fewer than 31
# Python function calls to expand an event: 7,300 dates take 1.2 million, in one or two seconds
_MAX_CALLS = 2_000_000
# calls for all events of a file: 25 series of daily dates for 20 years. A process that parses is
# ended after a minute, with all its events.
_MAX_FILE_CALLS = 30_000_000


@dataclass(slots=True)
class CallBudget:
    """Python function calls that the recurring events of a file may still take together; once they
    are used up, the following recurring events are refused.
    """

    left: int = _MAX_FILE_CALLS


class RecurrenceLimitError(ParseError):
    """A series recurs more often than a calendar for people would."""


def expand_series(
    calendar: Any,
    uid: str,
    events: list[icalendar.Event],
    until: datetime,
    budget: CallBudget | None = None,
) -> Iterator[tuple[str, icalendar.Event]]:
    """Yield the dates of the *events* that share *uid*, each with its key: the uid alone if the
    event does not recur.

    The key of a date is the uid and the time that the rule sets, so that a moved date keeps its
    key. Raises RecurrenceLimitError if there are more than 10,000 dates, or finding them takes more
    than 2 million calls or what is left of *budget*, and ParseError if an event is broken.
    """
    if len(events) == 1 and not any(name in events[0] for name in _REPEATS):
        yield uid, events[0]
        return
    with (
        parser_errors("a recurring event that cannot be read"),
        _limit_calls(budget or CallBudget()),
    ):
        if len(events) > _MAX_DATES:
            raise RecurrenceLimitError(f"it has {len(events)} dates, more than {_MAX_DATES}")
        for event in events:
            _check_rules(_as_list(event.get("RRULE")))
            _check_lists(event)
        series = icalendar.Calendar()
        for zone in calendar.walk("VTIMEZONE"):
            series.add_component(zone)
        for event in events:
            series.add_component(event)
        first = max(min(_to_utc(event.start) for event in events), until - _MAX_HISTORY)
        occurrences = recurring_ical_events.of(series, keep_recurrence_attributes=True).between(
            first, max(first, until)
        )
        if len(occurrences) > _MAX_DATES:
            raise RecurrenceLimitError(f"it has {len(occurrences)} dates, more than {_MAX_DATES}")
        keyed = [(f"{uid}#{_recurrence_id(event)}", event) for event in occurrences]
    yield from keyed


@contextmanager
def _limit_calls(budget: CallBudget) -> Iterator[None]:
    """Raise RecurrenceLimitError if the block makes more calls than one event may, or than are left
    of *budget*: a rule that never matches is searched up to the year 9999.

    Calls are counted, not seconds, so that the result is the same on every machine.
    """
    granted = left = min(_MAX_CALLS, budget.left)
    before = sys.gettrace()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise RecurrenceLimitError(
                "finding its dates takes too long"
                if granted == _MAX_CALLS
                else "finding the dates of all events of its calendar takes too long"
            )

    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)
        budget.left -= granted - max(left, 0)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _check_rules(rules: list[Any]) -> None:
    """Raise an error for rules that give too many dates, or none."""
    if len(rules) > _MAX_RULES:
        raise RecurrenceLimitError(f"it recurs by {len(rules)} rules, more than {_MAX_RULES}")
    for rule in rules:
        if any(int(number) < 1 for number in rule.get("INTERVAL", [])):
            raise ValueError("its rule has an INTERVAL below 1")
        months, days = (
            [abs(int(number)) for number in _as_list(rule.get(name))]
            for name in ("BYMONTH", "BYMONTHDAY")
        )
        if days and min(days) > max((_DAYS.get(number, 31) for number in months), default=31):
            raise ValueError("its rule names a day that does not exist in its months")
        often = _REFUSED_FREQUENCIES & {str(number).upper() for number in rule.get("FREQ", [])}
        if often:
            raise RecurrenceLimitError(f"it recurs {min(often).lower()}")
        if prod(len(rule.get(name, [1])) for name in _TIMES) > _MAX_PER_DAY:
            raise RecurrenceLimitError(f"it recurs more than {_MAX_PER_DAY} times a day")


def _check_lists(event: icalendar.Event) -> None:
    """Raise RecurrenceLimitError for an event that lists too many dates."""
    for name in ("RDATE", "EXDATE"):
        count = sum(len(getattr(dates, "dts", ())) for dates in _as_list(event.get(name)))
        if count > _MAX_DATES:
            raise RecurrenceLimitError(f"its {name} lists {count} dates, more than {_MAX_DATES}")


def _recurrence_id(event: icalendar.Event) -> str:
    """Format the time at which the rule sets a date; it stays the same when the date is moved."""
    recurrence_id = event.get("RECURRENCE-ID")
    moment = recurrence_id.dt if recurrence_id is not None else event.start
    return (
        moment.strftime("%Y%m%dT%H%M%S")
        if isinstance(moment, datetime)
        else moment.strftime("%Y%m%d")
    )


def _to_utc(start: date) -> datetime:
    if not isinstance(start, datetime):
        return datetime(start.year, start.month, start.day, tzinfo=UTC)
    return start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
