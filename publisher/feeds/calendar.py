"""Calendar: events as iCalendar (https://www.rfc-editor.org/rfc/rfc5545), one after the other, since a calendar may be long."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from icalendar import Calendar, Event, vText

from publisher.feeds.record_metadata import RecordMetadata, read_metadata
from publisher.history.change_reader import Change
from publisher.history.record_states import RecordState, preferred_text
from publisher.rdf.results import Term
from vocab.iris import Iris

FORMAT_VERSION = "1"  # count it up with every change of what is written
END = b"END:VCALENDAR\r\n"
_YEAR, _MONTH = re.compile(r"(\d{4})\Z", re.ASCII), re.compile(r"(\d{4})-(\d\d)\Z", re.ASCII)


def write_header(name: str, of: str) -> bytes:
    """Write the head of a calendar, whose IRI is *name*; *of* is the name of the installation."""
    whole = Calendar()
    whole.add("prodid", "-//WSIS Stocktaking//stocktake//EN")
    whole.add("version", "2.0")
    whole.add("method", "PUBLISH")
    whole.add("uid", name)
    whole.add("name", f"{of}: events")
    whole.add("x-wr-calname", f"{of}: events")
    return bytes(whole.to_ical()).removesuffix(END)


def write_event(change: Change, state: RecordState, host: str, iris: Iris) -> bytes:
    """Write an event. One whose begin is no date has none, which METHOD allows (section 3.6.1); a year or a month is all of its days."""
    it, out = read_metadata(change, state, iris), Event()
    stamp = datetime.fromtimestamp(change.stamp, UTC)
    out.add("uid", it.record)
    out.add("dtstamp", stamp)
    out.add("last-modified", stamp)
    title, described = preferred_text(it.titles), preferred_text(it.descriptions)
    out.add("summary", _text(title) if title else it.topic)
    if described:
        out.add("description", _text(described))
    out.add("url", f"{host}/page/{change.thing}")
    if first := _first(it.start):
        out.add("dtstart", first)
        if after := _after(it.end or it.start, isinstance(first, datetime)):
            out.add("dtend", after)
    _where(out, it)
    if named := [concept.name for concept in it.concepts]:
        out.add("categories", named)
    out.add("status", "CANCELLED" if it.cancelled else "CONFIRMED")
    return bytes(out.to_ical())


def _where(out: Event, it: RecordMetadata) -> None:
    named = next((place.name for place in it.places if place.name), None)
    if where := it.venue.value if it.venue else named or ", ".join(country.name for country in it.countries):
        out.add("location", where)
    if it.places:
        out.add("geo", (float(it.places[0].latitude), float(it.places[0].longitude)))


def _text(it: Term) -> vText:
    text = vText(it.value)
    if it.language:
        text.params["LANGUAGE"] = it.language
    return text


def _first(told: Term | None) -> date | datetime | None:
    """Give the day or the instant at which something begins."""
    if told is None:
        return None
    text = told.value
    if _YEAR.match(text) or _MONTH.match(text):
        text = f"{text}-01-01"[:10]
    return _read(text)


def _after(told: Term | None, instant: bool) -> date | datetime | None:
    """Give the day behind the last, or the instant of the end; None where it is not of the begin's kind, which RFC 5545 forbids."""
    if told is None:
        return None
    if year := _YEAR.match(told.value):
        return None if instant or year[1] == "9999" else date(int(year[1]) + 1, 1, 1)
    if month := _MONTH.match(told.value):
        number = int(month[1]) * 12 + int(month[2])
        return None if instant or number >= 9999 * 12 else date(number // 12, number % 12 + 1, 1)
    read = _read(told.value)
    if isinstance(read, datetime) or read is None:
        return read if instant else None
    return None if instant or read == date.max else read + timedelta(days=1)


def _read(text: str) -> date | datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if "T" in text else date.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
