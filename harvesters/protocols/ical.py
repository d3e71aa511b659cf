"""iCalendar: the events of calendars; each date of a recurring event is a record with a stable key.

Source: https://www.rfc-editor.org/rfc/rfc5545
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import cache, partial
from types import FrameType
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import icalendar
import recurring_ical_events

from harvesters.errors import ParseError, message, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, dump_json, refuse_html
from harvesters.options import Options
from harvesters.page_model import InvalidRecord, Item, Pages, Payload, Record, Row
from harvesters.payloads.value_parsing import as_list, html_to_text, in_utc
from harvesters.protocols.document import read_document
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source

# Components from which no record is made.
_UNUSED = frozenset((b"VALARM", b"VTODO", b"VJOURNAL", b"VFREEBUSY", b"VAVAILABILITY"))
_AHEAD = timedelta(days=400)  # Dates of recurring events are listed so far from the run's day.
_MAX_HISTORY = timedelta(days=20 * 365)  # Before the horizon; earlier dates are left out.
# No real event recurs so often, and expanding it never ends.
_REFUSED_FREQUENCIES = frozenset(("SECONDLY", "MINUTELY", "HOURLY"))
_REPEATS = ("RRULE", "RDATE", "RECURRENCE-ID")
_MAX_DATES = 10_000  # Dates per event: 20 years of daily dates are 7,300.
# Python function calls to expand an event: 7,300 dates take 1.2 million, in one or two seconds.
_MAX_CALLS = 2_000_000

time_zones = cache(available_timezones)  # Reading the system's folder takes 40 ms a call.


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Row]:
    """Yield all events. Changes alone cannot be requested, but an unchanged calendar is not read
    again.

    The dates of a recurring event are listed from its beginning to 400 days from now, so that past
    dates stay. Raises ParseError if the response is not a calendar.
    """
    read_events = partial(_parse_events, fetch.now() + _AHEAD)
    for page in read_document(source, fetch, cursor, "text/calendar, */*;q=0.5", read_events):
        yield replace(page, dates=sum(map(_is_date, page.items)))


def _is_date(item: Item[Row]) -> bool:
    return isinstance(item, Record) and item.key != " ".join(item.payload["uid"].split())


def _parse_events(until: datetime, reply: Reply) -> Iterator[Item[Row]]:
    content = refuse_html(reply, "a calendar")
    calendars = _parse_calendars(content, f"{reply.url}: the calendar cannot be parsed")
    if not calendars:
        raise ParseError("%(url)s: no calendar: it has no BEGIN:VCALENDAR", url=reply.url)
    for calendar in calendars:
        series: dict[str, list[icalendar.Event]] = {}
        for number, event in enumerate(calendar.walk("VEVENT"), 1):
            if uid := " ".join(_text(event, "UID").split()):
                series.setdefault(uid, []).append(event)
            else:
                why = Reason(
                    "event %(number)s of the calendar has no UID, titled %(title)s",
                    number=number,
                    title=repr(str(event.get("SUMMARY"))[:80]),
                )
                yield InvalidRecord(None, why)
        for uid, events in series.items():
            try:
                for key, event in expand_series(calendar, uid, events, until):
                    with parser_errors(Reason("an event that cannot be read")):
                        row = _event_row(calendar, event)
                        raw = dump_json(row)
                    yield Record(key, row, raw, row["modified"])
            except ParseError as error:
                yield InvalidRecord(uid, error.reason)


def _parse_calendars(content: bytes, subject: str) -> list[Any]:
    """Parse the calendars of a file. Raise ParseError, beginning with *subject*, if there is none.

    A zone's vendor prefix is removed, as RFC 5545 says. A file that cannot be parsed is parsed again
    without alarms and tasks, which are not parts of a record, and without invalid events. Each of
    these is returned with only its UID and its fault.
    """
    try:
        return _parse(content, subject)
    except ParseError:
        return _parse_in_parts(content, subject)


def _parse(content: bytes, subject: str) -> list[Any]:
    with parser_errors(subject), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(icalendar.Calendar.from_ical(content, multiple=True))


def _parse_in_parts(content: bytes, subject: str) -> list[Any]:
    parts, event, broken, unused = list[bytes](), list[bytes](), list[icalendar.Event](), b""
    for line in content.splitlines(keepends=True):
        mark, _, component = line.strip().upper().partition(b":")
        if unused:
            unused = b"" if (mark, component) == (b"END", unused) else unused
        elif mark == b"BEGIN" and component in _UNUSED:
            unused = component
        elif event or (mark, component) == (b"BEGIN", b"VEVENT"):
            event.append(line)
        else:
            parts.append(line)
        if event and not unused and (mark, component) == (b"END", b"VEVENT"):
            block, event = b"".join(event), []
            try:
                _parse(b"BEGIN:VCALENDAR\r\n" + block + b"END:VCALENDAR\r\n", subject)
                parts.append(block)
            except ParseError as error:
                broken.append(_broken_event(block, error))
    calendars = _parse(b"".join(parts + event), subject)
    for fault in broken if calendars else ():
        calendars[-1].add_component(fault)
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


def _event_row(calendar: Any, event: icalendar.Event) -> Row:
    """Return an event as a row; the calendar's zone applies to times without one. The time of
    export (DTSTAMP) is left out.

    Raises ValueError if it has no start.
    """
    if event.errors:
        name, fault = event.errors[0]
        raise ValueError(f"{name}: {fault}")
    zone_name = _text(calendar, "X-WR-TIMEZONE")
    default_zone = ZoneInfo(zone_name) if zone_name in time_zones() else None
    start, end, place = event.start, event.end, event.get("GEO")
    if not isinstance(start, datetime) and end > start:  # An end without a time is exclusive.
        end -= timedelta(days=1)
    params = getattr(event.get("ORGANIZER"), "params", {})
    # An organizer may be a person, unless the calendar says that it is a group or a place.
    is_body = str(params.get("CUTYPE") or "").upper() in {"GROUP", "ROOM", "RESOURCE"}
    status = _text(event, "STATUS").upper()
    categories = (getattr(names, "cats", [names]) for names in as_list(event.get("CATEGORIES")))
    return {
        "uid": _text(event, "UID"),
        "summary": _texts(event.get("SUMMARY")),
        "description": _texts(event.get("DESCRIPTION")),
        "location": _texts(event.get("LOCATION")),
        "start": _format_time(start, default_zone),
        "end": _format_time(end, default_zone) if "DTEND" in event or "DURATION" in event else None,
        "url": _text(event, "URL"),
        "geo": [float(place.latitude), float(place.longitude)]
        if hasattr(place, "latitude")
        else None,
        "categories": [str(name) for names in categories for name in names],
        "status": status,
        "cancelled": "CANCEL" in (_text(calendar, "METHOD").upper(), status[:6]),
        "organizer": str(params.get("CN") or "") if is_body else "",
        "created": _format_timestamp(event.get("CREATED")),
        "modified": _format_timestamp(event.get("LAST-MODIFIED")),
    }


def _text(component: Any, name: str) -> str:
    return str(component.get(name) or "")


def _format_time(moment: date, zone: ZoneInfo | None) -> str:
    """Format a day or a time. A time without any zone is reduced to its day, since the hour is
    unknown elsewhere.
    """
    if not isinstance(moment, datetime):
        return moment.isoformat()
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return moment.isoformat(timespec="seconds") if moment.tzinfo else moment.date().isoformat()


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
        for text in as_list(value)
        if str(text).strip()
    ]


class RecurrenceLimitError(ParseError):
    """A series recurs more often than a calendar for people would."""


def expand_series(
    calendar: Any, uid: str, events: list[icalendar.Event], until: datetime
) -> Iterable[tuple[str, icalendar.Event]]:
    """Return the dates of the *events* that share *uid*, each with its key: the uid alone if the
    event does not recur.

    The key of a date is the uid and the time that the rule sets, so that a moved date keeps its
    key. Raises RecurrenceLimitError if there are more than 10,000 dates, or finding them takes more
    than 2 million calls, and ParseError if an event is broken.
    """
    if len(events) == 1 and not any(name in events[0] for name in _REPEATS):
        return [(uid, events[0])]
    with parser_errors("a recurring event that cannot be read"), _limit_calls():
        rules = [rule for event in events for rule in as_list(event.get("RRULE"))]
        often = {str(name).upper() for rule in rules for name in rule.get("FREQ", [])}
        if refused := often & _REFUSED_FREQUENCIES:
            raise RecurrenceLimitError(f"it recurs {min(refused).lower()}")
        series = icalendar.Calendar()
        for component in (*calendar.walk("VTIMEZONE"), *events):
            series.add_component(component)
        first = max(min(_to_utc(event.start) for event in events), until - _MAX_HISTORY)
        expansion = recurring_ical_events.of(series, keep_recurrence_attributes=True)
        occurrences = expansion.between(first, max(first, until))
        if (count := len(occurrences)) > _MAX_DATES:
            raise RecurrenceLimitError(f"it has {count} dates, more than {_MAX_DATES}")
        return [(f"{uid}#{_recurrence_id(event)}", event) for event in occurrences]


@contextmanager
def _limit_calls() -> Iterator[None]:
    """Raise RecurrenceLimitError if the block makes more calls than one event may: a rule that never
    matches is searched up to the year 9999.

    Calls are counted, not seconds, so that the result is the same on every machine.
    """
    left, before = _MAX_CALLS, sys.gettrace()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise RecurrenceLimitError("finding its dates takes too long")

    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)


def _recurrence_id(event: icalendar.Event) -> str:
    """Format the time at which the rule sets a date; it stays the same when the date is moved."""
    stated = event.get("RECURRENCE-ID")
    moment = stated.dt if stated is not None else event.start
    return moment.strftime("%Y%m%dT%H%M%S" if isinstance(moment, datetime) else "%Y%m%d")


def _to_utc(start: date) -> datetime:
    return in_utc(start if isinstance(start, datetime) else datetime.combine(start, time()))


PROTOCOL = Protocol(collect, Payload.ROW, Options, incremental=False)
