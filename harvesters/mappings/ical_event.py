"""A calendar's event: ``schema:Event``.

Source: https://www.rfc-editor.org/rfc/rfc5545#section-3.6.1
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harvesters.errors import ParseError
from harvesters.option_schema import Option
from harvesters.page_model import Record, Row
from harvesters.payloads.crosswalk_lookup import Lexicon
from harvesters.payloads.value_parsing import block, language, many, named, plain, public, titled, web
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Event, Party, Place, Resource, Role

OPTIONS: Mapping[str, Option] = {}


def reader(source: Source, words: Crosswalks) -> Callable[[Record[Row]], Resource]:
    """Give the function that reads an event; it raises ParseError on a row that is none."""
    lexicon = Lexicon(words)

    def read(record: Record[Row]) -> Resource:
        event = record.payload
        if "uid" not in event or "start" not in event:
            raise ParseError(f"{record.key}: no event of a calendar but {', '.join(map(str, event))[:200]}; use the protocol `ical`")
        subjects = lexicon.subjects(plain(word) for word in many(event.get("categories")))
        venues = _text(event.get("location"), source.language)
        return Event(
            key=record.key,
            titles=titled((plain(text), tag) for text, tag in _text(event.get("summary"), source.language)),
            descriptions=titled(_text(event.get("description"), source.language)),
            identifiers=public(text for text in (plain(event["uid"]),) if text != record.key),
            pages=public([*web([plain(event.get("url"))]), *web(text for text, _ in venues)]),
            issued=event.get("created"),
            modified=event.get("modified"),
            countries=tuple(dict.fromkeys(land for text, _ in venues if (land := _land(text, lexicon)))),
            parties=_parties(event, source),
            action_lines=subjects.lines,
            goals=subjects.goals,
            targets=subjects.targets,
            subjects=tuple(named(word, source.language) for word in subjects.left),
            start=event["start"],
            end=event.get("end"),
            places=_places(event, venues),
            venue=named(plain(venues[0][0]), venues[0][1]) if venues else None,
            cancelled=bool(event.get("cancelled")),
        )

    return read


def _text(details: Any, otherwise: str | None) -> list[tuple[str, str | None]]:
    found = ((block(it.get("value")), plain(it.get("language"))) for it in many(details) if isinstance(it, dict))
    return [(text, (language(tag) or tag) if tag else otherwise) for text, tag in found if text]


def _land(venue: str, lexicon: Lexicon) -> str | None:
    """Give the country that is named at the end of a venue: "CICG, Geneva, Switzerland"."""
    return lexicon.land(plain(venue).rpartition(",")[2].strip()) if "," in venue else lexicon.land(plain(venue))


def _parties(event: Row, source: Source) -> tuple[Party, ...]:
    """Give the group that organizes it, else who publishes the calendar by the card; other organizers are persons."""
    name = plain(event.get("organizer")) or source.publisher
    return (Party(Role.LEAD, named(name)),) if name and "@" not in name else ()


def _places(event: Row, venues: list[tuple[str, str | None]]) -> tuple[Place, ...]:
    geo = event.get("geo")
    if not isinstance(geo, list) or len(geo) != 2:
        return ()
    return (Place(named(plain(venues[0][0]), venues[0][1]) if venues else None, float(geo[0]), float(geo[1])),)
