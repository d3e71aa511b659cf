"""A calendar's event as a row: its texts, and its times as ISO 8601 with their offset from UTC."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import icalendar

from harvesters.page_model import Row
from harvesters.parsing import parser_errors
from harvesters.payloads.html_to_text import html_to_text

zones = cache(available_timezones)  # it walks over a folder of the system, which took 40 ms for each date of a series


def calendars(content: bytes, subject: str) -> list[Any]:
    """Read the calendars of a file; raises ParseError, begun with *subject*, at what is none.

    A zone's vendor prefix is left off, as RFC 5545 has it.
    """
    with parser_errors(subject), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(icalendar.Calendar.from_ical(content, multiple=True))


def event_row(calendar: Any, event: icalendar.Event, zone: str | None) -> Row:
    """Give an event as a row; *zone* is that of times that name none. When it was exported (DTSTAMP) is no part of it.

    Raises ValueError where it has no start.
    """
    if event.errors:
        name, fault = event.errors[0]
        raise ValueError(f"{name}: {fault}")
    at = _zone(calendar, zone)
    start, end = event.start, event.end
    whole = not isinstance(start, datetime)
    if whole and end > start:  # the end of whole days is the day after the last one
        end -= timedelta(days=1)
    return {
        "uid": str(event.get("UID") or ""),
        "summary": _texts(event.get("SUMMARY")),
        "description": _texts(event.get("DESCRIPTION")),
        "location": _texts(event.get("LOCATION")),
        "start": _moment(start, at),
        "end": _moment(end, at) if "DTEND" in event or "DURATION" in event else None,
        "url": str(event.get("URL") or ""),
        "geo": _geo(event.get("GEO")),
        "categories": [str(word) for it in _many(event.get("CATEGORIES")) for word in getattr(it, "cats", [it])],
        "status": str(event.get("STATUS") or "").upper(),
        "cancelled": "CANCEL" in (str(calendar.get("METHOD") or "").upper(), str(event.get("STATUS") or "").upper()[:6]),
        "organizer": _organizer(event.get("ORGANIZER")),
        "created": _stamp(event.get("CREATED")),
        "modified": _stamp(event.get("LAST-MODIFIED")),
    }


def _zone(calendar: Any, zone: str | None) -> ZoneInfo | None:
    """Give the zone of times that name none: the card's, else the one that the calendar names for all of them."""
    name = zone or str(calendar.get("X-WR-TIMEZONE") or "")
    return ZoneInfo(name) if name in zones() else None


def _moment(moment: date, zone: ZoneInfo | None) -> str:
    """Write a day or a time; a time without any zone is told by its day alone, since it is another hour elsewhere."""
    if not isinstance(moment, datetime):
        return moment.isoformat()
    if moment.tzinfo is None and zone is None:
        return moment.date().isoformat()
    return (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment).isoformat(timespec="seconds")


def _stamp(value: Any) -> str | None:
    moment = getattr(value, "dt", None)
    return moment.isoformat() if isinstance(moment, date) else None


def _texts(value: Any) -> list[Mapping[str, str | None]]:
    """Give a property's texts with their languages; some calendars have one a language."""
    return [
        {"value": html_to_text(str(it)), "language": str(tag) if (tag := getattr(it, "params", {}).get("LANGUAGE")) else None}
        for it in _many(value)
        if str(it).strip()
    ]


def _geo(value: Any) -> list[float] | None:
    return [float(value.latitude), float(value.longitude)] if hasattr(value, "latitude") else None


def _organizer(value: Any) -> str:
    """Give who organizes it, where that is said not to be a person (CUTYPE) or has no name of one."""
    params = getattr(value, "params", {})
    return str(params.get("CN") or "") if str(params.get("CUTYPE") or "").upper() in {"GROUP", "ROOM", "RESOURCE"} else ""


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
