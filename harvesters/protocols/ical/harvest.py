"""iCalendar: the events of calendars, each date of a series a record of its own.

Source: https://www.rfc-editor.org/rfc/rfc5545
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import icalendar

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch, Reply
from harvesters.network.response_parsing import dump_json, refuse_html
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Record, Row
from harvesters.parsing import parser_errors
from harvesters.protocols.ical.event import calendars, event_row, zones
from harvesters.protocols.ical.recurrence import dates
from harvesters.protocols.paged_document import cut
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "ahead": Option(int, 400, "How many days ahead the dates of a series are told, from the day of the run."),
    "zone": Option(str, None, "The time zone of times that name none, e.g. `Africa/Nairobi`; without it only their day is told."),
}

Item = Record[Row] | DeletedRecord | InvalidRecord


def check(source: Source) -> None:
    """Refuse a time zone that is none; raises SourceDefinitionError."""
    zone = get_option(source, OPTIONS, "zone")
    if zone is not None and zone not in zones():
        raise SourceDefinitionError(f"{source.name}: option 'zone' is {zone!r}, which is no time zone; write e.g. Africa/Nairobi")


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Row]:
    """Collect all events; *since* cannot be asked for, but a calendar that its server calls unchanged is not read again.

    The dates of a series are told from its beginning up to *ahead* days from now, so that what has passed stays. Raises ParseError
    where the answer is no calendar.
    """
    reply = fetch.get(source.url, accept="text/calendar, */*;q=0.5", conditional=cursor is None)
    if reply.not_modified:
        yield Page((), None, at=reply.at, unchanged=True)
        return
    yield from cut(_items(source, reply, fetch.now() + timedelta(days=get_option(source, OPTIONS, "ahead"))), reply, cursor)


def _items(source: Source, reply: Reply, until: datetime) -> Iterator[Item]:
    content = refuse_html(reply, "a calendar")
    found = calendars(content, f"{reply.url}: no calendar that can be read")
    if not found:
        raise ParseError(f"{reply.url}: no calendar: it has no BEGIN:VCALENDAR")
    for calendar in found:
        series: dict[str, list[icalendar.Event]] = {}
        for number, event in enumerate(calendar.walk("VEVENT"), 1):
            uid = " ".join(str(event.get("UID") or "").split())
            if uid:
                series.setdefault(uid, []).append(event)
            else:
                yield InvalidRecord(None, f"event {number} of the calendar has no UID, titled {str(event.get('SUMMARY'))[:80]!r}")
        for uid, events in series.items():
            yield from _told(source, calendar, uid, events, until)


def _told(source: Source, calendar: Any, uid: str, events: list[icalendar.Event], until: datetime) -> Iterator[Item]:
    """Give an event, or the dates of a series; one that cannot be read is unreadable under its UID."""
    zone = get_option(source, OPTIONS, "zone")
    try:
        for key, event in dates(calendar, uid, events, until):
            with parser_errors("an event that cannot be read"):
                row = event_row(calendar, event, zone)
                raw = dump_json(row)
            yield Record(key, row, raw, row["modified"])
    except ParseError as error:
        yield InvalidRecord(uid, str(error))
