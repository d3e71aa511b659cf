"""Events as iCalendar (https://www.rfc-editor.org/rfc/rfc5545): all of them in one calendar, written
one at a time, since it may be long, and each alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from icalendar import Calendar, Event, vText
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from publisher.feeds.atom import Code
from publisher.feeds.records import BATCH, ChangedRecord, Changes, ChangesDep, period
from publisher.history.change_reader import ChangeType
from publisher.pages import PagesDep
from vocab.iris import encode
from vocab.terms import SCHEMA
from web.endpoints import contents, get, problems
from web.respond import origin, require, unchanged

FORMAT_VERSION = "2"  # increase it with every change of the output
_END = b"END:VCALENDAR\r\n"
_MEDIA = "text/calendar; charset=utf-8"

router = APIRouter()


@get(
    router,
    "/feeds/events.ics",
    operation_id="eventsCalendar",
    summary="Return all events as a calendar",
    tags=["watch"],
    response_class=Response,
    response_description="An iCalendar file",
    responses=contents("text/calendar") | problems(503),
)
def events(request: Request, changes: ChangesDep, pages: PagesDep) -> Response:
    """Calendar programs subscribe to this address."""
    headers = _headers(changes.watermark.entry, 'inline; filename="events.ics"')
    if response := unchanged(request, headers):
        return response
    head = _head(f"{changes.iris.base}feeds/events", pages.branding.name)
    chunks = _calendar(head, changes, origin(request))
    return StreamingResponse(chunks, media_type=_MEDIA, headers=headers)


@get(
    router,
    "/feeds/events/{source}/{key:path}.ics",
    operation_id="eventCalendar",
    summary="Return one event as a calendar",
    tags=["watch"],
    response_class=Response,
    response_description="An iCalendar file",
    responses=contents("text/calendar") | problems(404, 503),
)
def event(
    request: Request,
    changes: ChangesDep,
    pages: PagesDep,
    source: Code,
    key: Annotated[str, Path(description="The identifier of the event at its registry")],
) -> Response:
    """The page of an event links to it."""
    name = f"{source}/{encode(key)}"
    latest = changes.history.latest_change(name, changes.watermark.sequence)
    is_event = latest and latest.kind == "event" and latest.change_type is not ChangeType.DELETED
    change = require(latest if is_event else None, f"There is no event {name}; /events lists them")
    headers = _headers(change.entry, 'attachment; filename="event.ics"')
    if response := unchanged(request, headers):
        return response
    (record,) = changes.records([change])
    head = _head(f"{changes.iris.base}id/{change.thing}", pages.branding.name)
    data = head + _event(record, origin(request)) + _END
    return Response(data, media_type=_MEDIA, headers=headers)


def _headers(entry: int, disposition: str) -> dict[str, str]:
    return {
        "ETag": f'W/"{entry}-{FORMAT_VERSION}"',
        "Cache-Control": "public, max-age=60",
        "Content-Disposition": disposition,
    }


def _calendar(head: bytes, changes: Changes, host: str) -> Iterator[bytes]:
    yield head
    after, last = 0, changes.watermark.sequence
    while batch := changes.history.changes("kind:event", after, last, BATCH, last):
        alive = [change for change in batch if change.change_type is not ChangeType.DELETED]
        yield b"".join(_event(record, host) for record in changes.records(alive))
        after = batch[-1].number
    yield _END


def _head(uid: str, site_name: str) -> bytes:
    calendar = Calendar()
    for name, value in {
        "prodid": "-//WSIS Stocktaking//stocktake//EN",
        "version": "2.0",
        "method": "PUBLISH",
        "uid": uid,
        "name": f"{site_name}: events",
        "x-wr-calname": f"{site_name}: events",
    }.items():
        calendar.add(name, value)
    return bytes(calendar.to_ical()).removesuffix(_END)


def _event(record: ChangedRecord, host: str) -> bytes:
    """Write an event. DTSTART is left out if its start is not a date (section 3.6.1 allows that); a
    year or month spans its days.
    """
    stamp = datetime.fromtimestamp(record.change.stamp, UTC)
    start, end = record.first("start") or "", record.first("end")
    begins, ends = _times(start)[0], _times(end or start)[1]
    venue, places = record.preferred("venues"), record.places
    named = [venue.text] if venue else [place.name for place in places if place.name]
    countries = ", ".join(value.text for value in record.values["countries"])
    title, description = record.preferred("titles"), record.preferred("descriptions", "contents")
    statuses = {value.iri for value in record.values["event_statuses"]}
    properties = {
        "uid": record.iri,
        "dtstamp": stamp,
        "last-modified": stamp,
        "summary": _text(title.text, title.language) if title else record.topic,
        "description": description and _text(description.text, description.language),
        "url": f"{host}/page/{record.change.thing}",
        # RFC 5545 has no property for registration; clients show an attachment as a link.
        "attach": record.first("registrations"),
        "dtstart": begins,
        # RFC 5545 forbids an end of the other kind.
        "dtend": ends if type(ends) is type(begins) else None,
        "location": next(iter(named), countries),
        "geo": places and (float(places[0].latitude), float(places[0].longitude)),
        "categories": [value.text for value in record.values["concepts"]],
        "status": "CANCELLED" if f"{SCHEMA}EventCancelled" in statuses else "CONFIRMED",
    }
    event = Event()
    for name, value in properties.items():
        if value:
            event.add(name, value)
    return bytes(event.to_ical())


def _text(text: str, language: str | None) -> vText:
    return vText(text, params={"LANGUAGE": language} if language else {})


def _times(text: str) -> tuple[date | None, date | None]:
    """Return the time at which an event is, twice, or its first day and the day after its last; None
    if *text* is no date.
    """
    try:
        if "T" in text:
            return (datetime.fromisoformat(text).astimezone(UTC),) * 2
        begin, end = period(text)
        return begin.date(), end.date()
    except (ValueError, OverflowError):
        return None, None
