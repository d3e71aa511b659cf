"""Calendar events, mapped to ``schema:Event``.

Source: https://www.rfc-editor.org/rfc/rfc5545#section-3.6.1
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from harvesters.errors import ParseError
from harvesters.mappings.mapping import RecordMapping
from harvesters.option_schema import Option
from harvesters.page_model import Payload, Record, Row
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.value_parsing import (
    as_list,
    normalize_block,
    normalize_inline,
    parse_language,
    parse_name,
    parse_titles,
    unique_non_contact,
    unique_urls,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Event, Party, Place, Resource, Role

OPTIONS: Mapping[str, Option] = {}


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Row]], Resource]:
    """Return the function that maps an event. It raises ParseError for any other row."""
    lexicon = CrosswalkLookup(crosswalks)
    return partial(_map_record, source, lexicon)


def _map_record(source: Source, lexicon: CrosswalkLookup, record: Record[Row]) -> Resource:
    event = record.payload
    if "uid" not in event or "start" not in event:
        raise ParseError(
            f"{record.key}: not a calendar event but {', '.join(map(str, event))[:200]}; use the protocol `ical`"
        )
    subjects = lexicon.parse_subjects(
        normalize_inline(word) for word in as_list(event.get("categories"))
    )
    venues = _text(event.get("location"), source.language)
    return Event(
        key=record.key,
        titles=parse_titles(
            (normalize_inline(text), tag)
            for text, tag in _text(event.get("summary"), source.language)
        ),
        descriptions=parse_titles(_text(event.get("description"), source.language)),
        identifiers=unique_non_contact(
            text for text in (normalize_inline(event["uid"]),) if text != record.key
        ),
        pages=unique_non_contact(
            [
                *unique_urls([normalize_inline(event.get("url"))]),
                *unique_urls(text for text, _ in venues),
            ]
        ),
        issued=event.get("created"),
        modified=event.get("modified"),
        countries=tuple(
            dict.fromkeys(country for text, _ in venues if (country := _country(text, lexicon)))
        ),
        parties=_parties(event, source),
        action_lines=subjects.lines,
        goals=subjects.goals,
        targets=subjects.targets,
        subjects=tuple(parse_name(word, source.language) for word in subjects.unmatched),
        start=event["start"],
        end=event.get("end"),
        places=_places(event, venues),
        venue=parse_name(normalize_inline(venues[0][0]), venues[0][1]) if venues else None,
        cancelled=bool(event.get("cancelled")),
    )


def _text(details: Any, default_language: str | None) -> list[tuple[str, str | None]]:
    texts = (
        (normalize_block(detail.get("value")), normalize_inline(detail.get("language")))
        for detail in as_list(details)
        if isinstance(detail, dict)
    )
    return [
        (text, (parse_language(tag) or tag) if tag else default_language)
        for text, tag in texts
        if text
    ]


def _country(venue: str, lexicon: CrosswalkLookup) -> str | None:
    """Return the country at the end of a venue: "CICG, Geneva, Switzerland"."""
    return (
        lexicon.find_country(normalize_inline(venue).rpartition(",")[2].strip())
        if "," in venue
        else lexicon.find_country(normalize_inline(venue))
    )


def _parties(event: Row, source: Source) -> tuple[Party, ...]:
    """Return the group that organizes the event, else the publisher in the source definition. Other
    organizers are persons.
    """
    name = normalize_inline(event.get("organizer")) or source.publisher
    return (Party(Role.LEAD, parse_name(name)),) if name and "@" not in name else ()


def _places(event: Row, venues: list[tuple[str, str | None]]) -> tuple[Place, ...]:
    geo = event.get("geo")
    if not isinstance(geo, list) or len(geo) != 2:
        return ()
    return (
        Place(
            parse_name(normalize_inline(venues[0][0]), venues[0][1]) if venues else None,
            float(geo[0]),
            float(geo[1]),
        ),
    )


MAPPING = RecordMapping(build_mapper, frozenset({Payload.ROW}), kind="event", options=OPTIONS)
