"""Calendar events, mapped to ``schema:Event``.

Source: https://www.rfc-editor.org/rfc/rfc5545#section-3.6.1
"""

from __future__ import annotations

from harvesters.errors import ParseError
from harvesters.mappings.schema import FieldTable, Schema
from harvesters.page_model import Payload, Record, Row
from harvesters.payloads.value_parsing import as_list, normalize_inline


def _event(_: FieldTable, record: Record[Row]) -> Row:
    event = record.payload
    if "uid" not in event or "start" not in event:
        raise ParseError(
            f"{record.key}: not a calendar event but {', '.join(map(str, event))[:200]}; use the protocol `ical`"
        )
    return event


def _venue_countries(event: Row) -> list[str]:
    """Return what may be the country at the end of each venue: "CICG, Geneva, Switzerland"."""
    venues = [venue.get("value") for venue in as_list(event.get("location"))]
    return [normalize_inline(venue).rpartition(",")[2].strip() for venue in venues]


MAPPING = Schema(
    Payload.ROW,
    {
        "title": "summary",
        "description": "description",
        "identifiers": "uid",
        "addresses": ["url", "location[].value"],
        "issued": "created",
        "modified": "modified",
        "country_names": _venue_countries,
        "lead": "organizer",
        "keywords": "categories",
        "start": "start",
        "end": "end",
        "place": "location",
        "latitude": "geo[0]",
        "longitude": "geo[1]",
        "venue": "location",
        "cancelled": "cancelled",
    },
    root=_event,
    kind="event",
    publisher_leads=True,
).mapping()
