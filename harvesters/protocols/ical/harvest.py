"""iCalendar: the events of calendars; each date of a recurring event is a record.

Source: https://www.rfc-editor.org/rfc/rfc5545
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import icalendar

from harvesters.definition_faults import expected, located, option_named
from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import dump_json, refuse_html
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Payload, Record, Row
from harvesters.parsing import parser_errors
from harvesters.protocols.ical.event import event_row, parse_calendars, time_zones
from harvesters.protocols.ical.recurrence import CallBudget, expand_series
from harvesters.protocols.paged_document import paginate
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "ahead": Option(
        int,
        400,
        "How many days ahead the dates of recurring events are listed, from the day of the run.",
    ),
    "zone": Option(
        str,
        None,
        "The time zone of times without one, e.g. `Africa/Nairobi`; without it they are reduced to their day.",
    ),
}

Item = Record[Row] | DeletedRecord | InvalidRecord


def check(source: Source) -> None:
    """Raise SourceDefinitionError for an unknown time zone."""
    zone = get_option(source, OPTIONS, "zone")
    if zone is not None and zone not in time_zones():
        raise SourceDefinitionError(
            located(source.name, expected(option_named("zone"), zone, "kind_zone"))
        )


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Row]:
    """Yield all events. Changes alone cannot be requested, but an unchanged calendar is not read
    again.

    The dates of a recurring event are listed from its beginning to *ahead* days from now, so that
    past dates stay. Raises ParseError if the response is not a calendar.
    """
    reply = fetch.get(source.url, accept="text/calendar, */*;q=0.5", conditional=cursor is None)
    if reply.not_modified:
        yield Page((), None, at=reply.at, unchanged=True)
        return
    until = fetch.now() + timedelta(days=get_option(source, OPTIONS, "ahead"))
    for page in paginate(_parse_events(source, reply, until), reply, cursor):
        yield replace(page, dates=sum(map(_is_date, page.items)))


def _is_date(item: Item) -> bool:
    """Return whether an item is a date of a recurring event."""
    return isinstance(item, Record) and item.key != " ".join(item.payload["uid"].split())


def _parse_events(source: Source, reply: Reply, until: datetime) -> Iterator[Item]:
    content = refuse_html(reply, "a calendar")
    parsed = parse_calendars(content, f"{reply.url}: the calendar cannot be parsed")
    if not parsed:
        raise ParseError(Reason("not_calendar", {"url": reply.url}))
    budget = CallBudget()
    for calendar in parsed:
        series: dict[str, list[icalendar.Event]] = {}
        for number, event in enumerate(calendar.walk("VEVENT"), 1):
            uid = " ".join(str(event.get("UID") or "").split())
            if uid:
                series.setdefault(uid, []).append(event)
            else:
                yield InvalidRecord(
                    None,
                    Reason(
                        "event_without_uid",
                        {"number": number, "title": repr(str(event.get("SUMMARY"))[:80])},
                    ),
                )
        for uid, events in series.items():
            yield from _parse_series(source, calendar, uid, events, until, budget)


def _parse_series(
    source: Source,
    calendar: Any,
    uid: str,
    events: list[icalendar.Event],
    until: datetime,
    budget: CallBudget,
) -> Iterator[Item]:
    """Yield an event, or the dates of a recurring one; one that cannot be read is unreadable under
    its UID.
    """
    zone = get_option(source, OPTIONS, "zone")
    try:
        for key, event in expand_series(calendar, uid, events, until, budget):
            with parser_errors(Reason("event_unreadable")):
                row = event_row(calendar, event, zone)
                raw = dump_json(row)
            yield Record(key, row, raw, row["modified"])
    except ParseError as error:
        yield InvalidRecord(uid, error.reason)


PROTOCOL = Protocol(collect, Payload.ROW, OPTIONS, incremental=False, check=check)
