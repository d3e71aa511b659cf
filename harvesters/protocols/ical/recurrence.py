"""Series: the dates of an event that recurs, each with a key that stays.

Source: https://www.rfc-editor.org/rfc/rfc5545#section-3.8.5
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from math import prod
from types import FrameType
from typing import Any

import icalendar
import recurring_ical_events

from harvesters.errors import ParseError
from harvesters.parsing import parser_errors

_LONGEST = timedelta(days=20 * 365)  # before the horizon: what lies further back of a series is told no more
_DAILY = 24  # times a day
_TIMES = ("BYHOUR", "BYMINUTE", "BYSECOND")
_OFTEN = frozenset(("SECONDLY", "MINUTELY", "HOURLY"))  # no event of people's recurs so; to unfold them takes for ever
_REPEATS = ("RRULE", "RDATE", "RECURRENCE-ID")
_MOST = 10_000  # dates of an event, also those that it lists: each day of 20 years makes 7,300
_RULES = 10  # of an event; RFC 5545 advises one
_DAYS = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}  # of months that have fewer than 31
_STEPS = 2_000_000  # calls of Python functions in which an event's dates are found: 7,300 take 1.2 million, and one or two seconds


class TooOften(ParseError):
    """A series that recurs too often for a calendar of people."""


def dates(calendar: Any, uid: str, events: list[icalendar.Event], until: datetime) -> Iterator[tuple[str, icalendar.Event]]:
    """Give the dates of the *events* that share *uid*, each with its key: the uid alone where there is no series.

    A date of a series has the time at which the rule sets it behind its uid, so that one that is moved keeps its key. Raises
    TooOften where there are more than 10,000 or their rule needs too many steps, and ParseError where an event is broken.
    """
    if len(events) == 1 and not any(name in events[0] for name in _REPEATS):
        yield uid, events[0]
        return
    with parser_errors("a series that cannot be read"), _limited(_STEPS):
        if len(events) > _MOST:
            raise TooOften(f"it has {len(events)} dates, more than {_MOST}")
        for event in events:
            _check(_many(event.get("RRULE")))
            for name in ("RDATE", "EXDATE"):
                if (count := sum(len(getattr(it, "dts", ())) for it in _many(event.get(name)))) > _MOST:
                    raise TooOften(f"its {name} lists {count} dates, more than {_MOST}")
        alone = icalendar.Calendar()
        for zone in calendar.walk("VTIMEZONE"):
            alone.add_component(zone)
        for event in events:
            alone.add_component(event)
        first = max(min(_moment(event.start) for event in events), until - _LONGEST)
        found = recurring_ical_events.of(alone, keep_recurrence_attributes=True).between(first, max(first, until))
        if len(found) > _MOST:
            raise TooOften(f"it has {len(found)} dates, more than {_MOST}")
        keyed = [(f"{uid}#{_set(event)}", event) for event in found]
    yield from keyed


@contextmanager
def _limited(steps: int) -> Iterator[None]:
    """Raise TooOften where the block calls functions more than *steps* times: a rule that never fits is looked for up to the year 9999.

    Steps are counted, not seconds, so that an event is read or refused alike on every machine.
    """
    left = steps
    before = sys.gettrace()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooOften("finding its dates takes too long")

    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _check(rules: list[Any]) -> None:
    """Refuse rules that give more dates than people keep, or none."""
    if len(rules) > _RULES:
        raise TooOften(f"it recurs by {len(rules)} rules, more than {_RULES}")
    for rule in rules:
        if any(int(it) < 1 for it in rule.get("INTERVAL", [])):
            raise ValueError("its rule has an INTERVAL below 1")
        months, days = ([abs(int(it)) for it in _many(rule.get(name))] for name in ("BYMONTH", "BYMONTHDAY"))
        if days and min(days) > max((_DAYS.get(it, 31) for it in months), default=31):
            raise ValueError("its rule names a day that none of its months has")
        often = _OFTEN & {str(it).upper() for it in rule.get("FREQ", [])}
        if often:
            raise TooOften(f"it recurs {min(often).lower()}")
        if prod(len(rule.get(name, [1])) for name in _TIMES) > _DAILY:
            raise TooOften(f"it recurs more than {_DAILY} times a day")


def _set(event: icalendar.Event) -> str:
    """Write the time at which the rule sets a date, which stays when the date is moved."""
    told = event.get("RECURRENCE-ID")
    moment = told.dt if told is not None else event.start
    return moment.strftime("%Y%m%dT%H%M%S") if isinstance(moment, datetime) else moment.strftime("%Y%m%d")


def _moment(start: date) -> datetime:
    if not isinstance(start, datetime):
        return datetime(start.year, start.month, start.day, tzinfo=UTC)
    return start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
