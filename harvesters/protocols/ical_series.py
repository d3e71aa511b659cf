"""Series: the dates of an event that recurs, each with a key that stays.

Source: https://www.rfc-editor.org/rfc/rfc5545#section-3.8.5
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from math import prod
from typing import Any

import icalendar
import recurring_ical_events

_LONGEST = timedelta(days=20 * 365)  # before the horizon: what lies further back of a series is told no more
_DAILY = 24  # times a day
_TIMES = ("BYHOUR", "BYMINUTE", "BYSECOND")
_OFTEN = frozenset(("SECONDLY", "MINUTELY", "HOURLY"))  # no event of people's recurs so; to unfold them takes for ever
_REPEATS = ("RRULE", "RDATE", "RECURRENCE-ID")


class TooOften(Exception):
    """A series that recurs too often for a calendar of people."""


def dates(calendar: Any, uid: str, events: list[icalendar.Event], until: datetime) -> Iterator[tuple[str, icalendar.Event]]:
    """Give the dates of the *events* that share *uid*, each with its key: the uid alone where there is no series.

    A date of a series has the time at which the rule sets it behind its uid, so that one that is moved keeps its key. Raises
    TooOften, and what icalendar raises where an event is broken.
    """
    if len(events) == 1 and not any(name in events[0] for name in _REPEATS):
        yield uid, events[0]
        return
    for event in events:
        _check(event.get("RRULE") or [])
    alone = icalendar.Calendar()
    for zone in calendar.walk("VTIMEZONE"):
        alone.add_component(zone)
    for event in events:
        alone.add_component(event)
    first = max(min(_moment(event.start) for event in events), until - _LONGEST)
    for event in recurring_ical_events.of(alone, keep_recurrence_attributes=True).between(first, max(first, until)):
        yield f"{uid}#{_set(event)}", event


def _check(rules: Any) -> None:
    """Refuse rules that give more dates than people keep."""
    for rule in rules if isinstance(rules, list) else [rules]:
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
