"""Convert a calendar event to a row: its texts, and its times as ISO 8601 with their UTC offset."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import icalendar

from harvesters.errors import ParseError
from harvesters.page_model import Row
from harvesters.parsing import message, parser_errors
from harvesters.payloads.html_to_text import html_to_text

# Components that no record is made of.
_UNUSED = frozenset((b"VALARM", b"VTODO", b"VJOURNAL", b"VFREEBUSY", b"VAVAILABILITY"))

time_zones = cache(available_timezones)  # reading the system's folder took 40 ms per call


def parse_calendars(content: bytes, subject: str) -> list[Any]:
    """Parse the calendars of a file. Raise ParseError, beginning with *subject*, if there is none.

    A zone's vendor prefix is removed, as RFC 5545 says. Where a file cannot be parsed, it is parsed
    without alarms and tasks, which are no part of a record, and without the events that cannot be
    parsed: each of these comes with its UID and its fault alone.
    """
    try:
        return _parse(content, subject)
    except ParseError:
        return _parse_in_parts(_without_unused(content), subject)


def _parse(content: bytes, subject: str) -> list[Any]:
    with parser_errors(subject), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(icalendar.Calendar.from_ical(content, multiple=True))


def _parse_in_parts(content: bytes, subject: str) -> list[Any]:
    parts, event, broken = list[bytes](), list[bytes](), list[icalendar.Event]()
    for line in content.splitlines(keepends=True):
        name = line.strip().upper()
        if not event and name != b"BEGIN:VEVENT":
            parts.append(line)
            continue
        event.append(line)
        if name == b"END:VEVENT":
            block, event = b"".join(event), []
            try:
                _parse(b"BEGIN:VCALENDAR\r\n" + block + b"END:VCALENDAR\r\n", subject)
                parts.append(block)
            except ParseError as error:
                broken.append(_broken_event(block, error))
    calendars = _parse(b"".join(parts + event), subject)
    for component in broken if calendars else ():
        calendars[-1].add_component(component)
    return calendars


def _broken_event(block: bytes, error: ParseError) -> icalendar.Event:
    """Return an event that has the UID of *block*, and *error* as its fault."""
    event = icalendar.Event()
    for line in block.replace(b"\r\n ", b"").replace(b"\n ", b"").splitlines():
        name, _, value = line.partition(b":")
        if name.partition(b";")[0].strip().upper() == b"UID":
            event["UID"] = value.decode("utf-8", "replace")
    event.errors.append(("VEVENT", message(error.__cause__ or error)))
    return event


def _without_unused(content: bytes) -> bytes:
    """Return a file without the components that are not read."""
    lines, inside = list[bytes](), b""
    for line in content.splitlines(keepends=True):
        name = line.strip().upper()
        if inside:
            inside = b"" if name == b"END:" + inside else inside
        elif name[:6] == b"BEGIN:" and name[6:] in _UNUSED:
            inside = name[6:]
        else:
            lines.append(line)
    return b"".join(lines)


def event_row(calendar: Any, event: icalendar.Event, zone: str | None) -> Row:
    """Return an event as a row; *zone* applies to times without one. The time of export (DTSTAMP)
    is left out.

    Raises ValueError if it has no start.
    """
    if event.errors:
        name, fault = event.errors[0]
        raise ValueError(f"{name}: {fault}")
    default_zone = _zone(calendar, zone)
    start, end = event.start, event.end
    whole = not isinstance(start, datetime)
    if whole and end > start:  # an end without a time is exclusive
        end -= timedelta(days=1)
    return {
        "uid": str(event.get("UID") or ""),
        "summary": _texts(event.get("SUMMARY")),
        "description": _texts(event.get("DESCRIPTION")),
        "location": _texts(event.get("LOCATION")),
        "start": _format_time(start, default_zone),
        "end": _format_time(end, default_zone) if "DTEND" in event or "DURATION" in event else None,
        "url": str(event.get("URL") or ""),
        "geo": _coordinates(event.get("GEO")),
        "categories": [
            str(word)
            for category in _as_list(event.get("CATEGORIES"))
            for word in getattr(category, "cats", [category])
        ],
        "status": str(event.get("STATUS") or "").upper(),
        "cancelled": "CANCEL"
        in (str(calendar.get("METHOD") or "").upper(), str(event.get("STATUS") or "").upper()[:6]),
        "organizer": _organizer(event.get("ORGANIZER")),
        "created": _format_timestamp(event.get("CREATED")),
        "modified": _format_timestamp(event.get("LAST-MODIFIED")),
    }


def _zone(calendar: Any, zone: str | None) -> ZoneInfo | None:
    """Return the zone of times without one: the source definition's, else the calendar's."""
    name = zone or str(calendar.get("X-WR-TIMEZONE") or "")
    return ZoneInfo(name) if name in time_zones() else None


def _format_time(moment: date, zone: ZoneInfo | None) -> str:
    """Format a day or a time. A time without any zone is reduced to its day, since the hour is
    unknown elsewhere.
    """
    if not isinstance(moment, datetime):
        return moment.isoformat()
    if moment.tzinfo is None and zone is None:
        return moment.date().isoformat()
    return (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment).isoformat(
        timespec="seconds"
    )


def _format_timestamp(value: Any) -> str | None:
    moment = getattr(value, "dt", None)
    return moment.isoformat() if isinstance(moment, date) else None


def _texts(value: Any) -> list[Mapping[str, str | None]]:
    """Return a property's texts with their languages; some calendars have one per language."""
    return [
        {
            "value": html_to_text(str(text)),
            "language": str(tag) if (tag := getattr(text, "params", {}).get("LANGUAGE")) else None,
        }
        for text in _as_list(value)
        if str(text).strip()
    ]


def _coordinates(value: Any) -> list[float] | None:
    return [float(value.latitude), float(value.longitude)] if hasattr(value, "latitude") else None


def _organizer(value: Any) -> str:
    """Return the organizer if it is declared not to be a person (CUTYPE); else an empty text."""
    params = getattr(value, "params", {})
    return (
        str(params.get("CN") or "")
        if str(params.get("CUTYPE") or "").upper() in {"GROUP", "ROOM", "RESOURCE"}
        else ""
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
