"""Serve four small registries of events (iCalendar), posts (Atom), documents and prizes (JSON).

Each has a fixed number of items, which depend only on the seed. They have no faults and no
versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
from icalendar import vText
from icalendar.parser import Contentline

from demo.generate import LANGUAGES, Project, countries, generate_record
from demo.records import xml

_JSON = "application/json"
_SALT = 7_000_003  # makes the items differ from the projects of the nine registries
_YEARS = (2023, 2024, 2025)  # years of the prizes
# The stages of the prizes of a category, from the first to the last.
_STAGES = ("winner", "champion", "champion", "nominated", "nominated", "nominated")
_FIRST_DAY = date(2025, 1, 6)  # first day of the calendar
_STEP = 9  # days between two events: three years, past and future
_DOCUMENT_TYPES = ("Report", "Guideline", "Toolkit", "Policy brief")
EVENTS, POSTS, DOCUMENTS, PRIZES = 120, 60, 80, 54  # numbers of items


def _projects(seed: int, kind: int, count: int) -> Iterator[Project]:
    for number in range(count):
        yield generate_record(seed * _SALT + kind, number)


def _title(project: Project) -> tuple[str, str]:
    language = next(tag for tag in LANGUAGES if tag in project["title"])
    return language, project["title"][language]


def _categories(project: Project) -> list[str]:
    goals = [f"SDG {target.partition('.')[0]}" for target in project["targets"]]
    return list(
        dict.fromkeys(
            [*(f"Action line {line}" for line in project["lines"]), *goals, *project["tags"][:1]]
        )
    )


def _ical_text(text: str) -> str:
    """Escape a text value: https://www.rfc-editor.org/rfc/rfc5545#section-3.3.11."""
    return vText(text).to_ical().decode()


def _event(number: int, project: Project) -> list[str]:
    language, title = _title(project)
    day = _FIRST_DAY + timedelta(days=_STEP * number)
    country = next(row for row in countries() if row["iso2"] == project["id"][:2])
    where = project["location"]
    venue = f"{where['name']}, {country['name']['en']}"
    return [
        "BEGIN:VEVENT",
        f"UID:event-{number:04d}@events.example.org",
        "DTSTAMP:20250701T000000Z",
        f"CREATED:{(day - timedelta(days=90)):%Y%m%d}T090000Z",
        f"DTSTART;VALUE=DATE:{day:%Y%m%d}",
        f"DTEND;VALUE=DATE:{(day + timedelta(days=1 + number % 3)):%Y%m%d}",
        f"SUMMARY;LANGUAGE={language}:{_ical_text(title)}",
        f"DESCRIPTION;LANGUAGE={language}:{_ical_text(project['summary'][language])}",
        f"LOCATION;LANGUAGE=en:{_ical_text(venue)}",
        f"GEO:{where['latitude']};{where['longitude']}",
        f"CATEGORIES:{','.join(map(_ical_text, _categories(project)))}",
        f"URL:https://events.example.org/{number}",
        *(["STATUS:CANCELLED"] if number % 40 == 39 else []),
        "END:VEVENT",
    ]


def calendar(seed: int) -> bytes:
    """Return the calendar of events, from January 2025 on (https://www.rfc-editor.org/rfc/rfc5545)."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//example.org//demo//EN"]
    for number, project in enumerate(_projects(seed, 1, EVENTS)):
        lines += _event(number, project)
    lines.append("END:VCALENDAR")
    folded: Any = map(Contentline, lines)
    return b"".join(line.to_ical() + b"\r\n" for line in folded)


def _entry(number: int, project: Project) -> str:
    language, title = _title(project)
    day = datetime(2025, 6, 30, 8, tzinfo=UTC) - timedelta(days=7 * number)
    words = "".join(f'<category term="{xml(word)}"/>' for word in _categories(project))
    return (
        f'<entry xml:lang="{language}"><id>https://news.example.org/{number}</id><title>{xml(title)}</title>'
        f'<link href="https://news.example.org/{number}"/><published>{day:%Y-%m-%dT%H:%M:%SZ}</published>'
        f'<updated>{day:%Y-%m-%dT%H:%M:%SZ}</updated>{words}<content type="text">{xml(project["summary"][language])}</content></entry>\n'
    )


def feed(seed: int) -> bytes:
    """Return the feed of posts, the newest first (https://www.rfc-editor.org/rfc/rfc4287)."""
    entries = "".join(
        _entry(number, project) for number, project in enumerate(_projects(seed, 2, POSTS))
    )
    # The feed is complete: https://www.rfc-editor.org/rfc/rfc5005#section-2.
    complete = '<fh:complete xmlns:fh="http://purl.org/syndication/history/1.0"/>'
    head = f"{complete}<id>https://news.example.org/</id><title>Demo news</title><updated>2025-06-30T08:00:00Z</updated>"
    author = "<author><name>Demo newsroom</name></author>"
    text = f'<feed xmlns="http://www.w3.org/2005/Atom">{head}<link href="https://news.example.org/"/>{author}\n{entries}</feed>\n'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}'.encode()


def documents(seed: int) -> bytes:
    return orjson.dumps(
        [
            {
                **_common("document", number, project),
                "type": _DOCUMENT_TYPES[number % len(_DOCUMENT_TYPES)],
                "issued": f"{2015 + number % 11}-{1 + number % 12:02d}",
            }
            for number, project in enumerate(_projects(seed, 3, DOCUMENTS))
        ]
    )


def prizes(seed: int) -> bytes:
    """Return the initiatives that received a prize, with its category, stage and year, as JSON."""
    return orjson.dumps(
        [
            {
                **_common("prize", number, project),
                "prize": {
                    "category": project["lines"][0],
                    "stage": _STAGES[number % len(_STAGES)],
                    "year": (year := _YEARS[number * len(_YEARS) // PRIZES]),
                    "date": f"{year}-05-26",
                },
            }
            for number, project in enumerate(_projects(seed, 4, PRIZES))
        ]
    )


def _common(kind: str, number: int, project: Project) -> dict[str, object]:
    names = {"title", "summary", "countries", "lines", "targets", "tags", "lead", "language"}
    own = {"id": f"{kind}-{number:04d}", "link": f"https://{kind}s.example.org/{number}"}
    return own | {name: value for name, value in project.items() if name in names}


# The path, media type and content of each registry.
PUBLICATIONS: Mapping[str, tuple[str, str, Callable[[int], bytes]]] = {
    "events": ("/events/calendar.ics", "text/calendar; charset=utf-8", calendar),
    "news": ("/news/feed.atom", "application/atom+xml", feed),
    "documents": ("/json/documents", _JSON, documents),
    "prizes": ("/json/prizes", _JSON, prizes),
}
