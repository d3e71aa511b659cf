"""Events as iCalendar (https://www.rfc-editor.org/rfc/rfc5545), written one at a time, since a
calendar may be long.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from icalendar import Calendar, Event, vText

from publisher.feeds.record_metadata import RecordMetadata, read_metadata
from publisher.history.change_reader import Change
from publisher.history.record_states import RecordState, preferred_text
from publisher.rdf.results import Term
from vocab.iris import Iris

FORMAT_VERSION = "2"  # increase it with every change of the output
END = b"END:VCALENDAR\r\n"
_YEAR, _MONTH = re.compile(r"(\d{4})\Z", re.ASCII), re.compile(r"(\d{4})-(\d\d)\Z", re.ASCII)


def write_header(name: str, site_name: str) -> bytes:
    """Write the head of a calendar whose IRI is *name*; *owner* is the name of the installation."""
    calendar = Calendar()
    calendar.add("prodid", "-//WSIS Stocktaking//stocktake//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("uid", name)
    calendar.add("name", f"{site_name}: events")
    calendar.add("x-wr-calname", f"{site_name}: events")
    return bytes(calendar.to_ical()).removesuffix(END)


def write_event(change: Change, state: RecordState, host: str, iris: Iris) -> bytes:
    """Write an event. DTSTART is left out if its start is not a date (section 3.6.1 allows that); a
    year or month spans its days.
    """
    metadata, out = read_metadata(change, state, iris), Event()
    stamp = datetime.fromtimestamp(change.stamp, UTC)
    out.add("uid", metadata.record)
    out.add("dtstamp", stamp)
    out.add("last-modified", stamp)
    title, described = preferred_text(metadata.titles), preferred_text(metadata.descriptions)
    out.add("summary", _text(title) if title else metadata.topic)
    if described:
        out.add("description", _text(described))
    out.add("url", f"{host}/page/{change.thing}")
    if metadata.registration:
        # RFC 5545 has no property for registration; clients show an attachment as a link
        out.add("attach", metadata.registration)
    if first := _start(metadata.start):
        out.add("dtstart", first)
        if after := _end(metadata.end or metadata.start, isinstance(first, datetime)):
            out.add("dtend", after)
    _add_location(out, metadata)
    if categories := [concept.name for concept in metadata.concepts]:
        out.add("categories", categories)
    out.add("status", "CANCELLED" if metadata.cancelled else "CONFIRMED")
    return bytes(out.to_ical())


def _add_location(out: Event, metadata: RecordMetadata) -> None:
    venue = next((place.name for place in metadata.places if place.name), None)
    if (
        location := metadata.venue.value
        if metadata.venue
        else venue or ", ".join(country.name for country in metadata.countries)
    ):
        out.add("location", location)
    if metadata.places:
        out.add("geo", (float(metadata.places[0].latitude), float(metadata.places[0].longitude)))


def _text(term: Term) -> vText:
    text = vText(term.value)
    if term.language:
        text.params["LANGUAGE"] = term.language
    return text


def _start(term: Term | None) -> date | datetime | None:
    """Return the day or the time at which an event begins."""
    if term is None:
        return None
    text = term.value
    if _YEAR.match(text) or _MONTH.match(text):
        text = f"{text}-01-01"[:10]
    return _parse_date(text)


def _end(term: Term | None, instant: bool) -> date | datetime | None:
    """Return the day after the last, or the time of the end; None if the start is of the other kind
    (RFC 5545 forbids both).
    """
    if term is None:
        return None
    if year := _YEAR.match(term.value):
        return None if instant or year[1] == "9999" else date(int(year[1]) + 1, 1, 1)
    if month := _MONTH.match(term.value):
        number = int(month[1]) * 12 + int(month[2])
        return None if instant or number >= 9999 * 12 else date(number // 12, number % 12 + 1, 1)
    read = _parse_date(term.value)
    if isinstance(read, datetime) or read is None:
        return read if instant else None
    return None if instant or read == date.max else read + timedelta(days=1)


def _parse_date(text: str) -> date | datetime | None:
    try:
        return (
            datetime.fromisoformat(text).astimezone(UTC)
            if "T" in text
            else date.fromisoformat(text)
        )
    except (ValueError, OverflowError):
        return None
