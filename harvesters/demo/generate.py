"""Generate: from a seed and a number to a plausible initiative, always the same one.

Nothing is kept: a record is a pure function of its seed, number and revision, so any page of a registry of any size
can be made alone. All choices are read off one hash, which is ten times cheaper than seeding a random generator.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import TypedDict

from harvesters.demo.words import Country, Words, countries, words

_DICE = struct.Struct("<40B12H")  # 40 small choices and 12 large ones, the 64 bytes of one hash
_LICENCES = (
    "https://creativecommons.org/licenses/by/4.0/",
    "https://creativecommons.org/publicdomain/zero/1.0/",
    "https://creativecommons.org/licenses/by-sa/4.0/",
)
_COVERAGES = ("Local", "National", "National", "Regional", "International")
_TYPES = ("Project", "Project", "Programme", "Training", "Conference", "Website", "Guideline", "Toolkit")
_KINDS = ("Government", "Business entity", "Civil society", "Academia", "International organization", "Other")
_KNOWN = frozenset({"en", "fr", "es", "ar", "zh", "ru"})  # the languages in which the vocabulary knows countries
_TAGS = ("ICT4D", "open source", "open data", "mobile", "accessibility", "connectivity", "digital literacy", "data protection")


class Organization(TypedDict):
    """An organization with the stakeholder type and the country as the registry writes them."""

    name: str
    type: str
    country: str


class Location(TypedDict):
    """A named point, WGS 84 decimal degrees."""

    name: str
    latitude: float
    longitude: float


class Contact(TypedDict):
    """A made-up person, such as registries publish and a harvester must drop."""

    name: str
    email: str


class Project(TypedDict):
    """A record as a registry knows it; texts are by language, codes are the registry's free forms."""

    id: str
    title: dict[str, str]
    summary: dict[str, str]
    period: dict[str, str]
    created: str
    updated: str
    language: list[str]
    countries: list[str]
    lines: list[str]
    action_lines: list[str]
    goals: list[str]
    targets: list[str]
    tags: list[str]
    links: list[str]
    lead: Organization
    partners: list[Organization]
    funders: list[Organization]
    status: str
    coverage: str
    types: list[str]
    location: Location
    licence: str
    contact: Contact


def dice(seed: int, number: int, salt: str = "") -> tuple[int, ...]:
    """Throw the dice of a record: 40 numbers under 256, then 12 under 65,536."""
    return _DICE.unpack(blake2b(f"{seed}:{number}:{salt}".encode(), digest_size=64).digest())


def _brand(it: Words, throw: int) -> str:
    syllables, endings = it.brands, it.endings
    first, second = throw % len(syllables), throw // 24 % len(syllables)
    return (syllables[first] + syllables[second] + endings[throw // 576 % len(endings)]).capitalize()


def _organization(it: Words, language: str, country: Country, kind: str, throw: int) -> Organization:
    names = it.organizations[language][kind]
    name = names[throw % len(names)].format(brand=_brand(it, throw // 3), country=country.name[language])
    return {"name": name, "type": kind, "country": country.iso2}


def _goal(it: Words, target: str, form: int) -> str:
    code = target.partition(".")[0]
    return (f"SDG {code}", f"Goal {code}", f"{code} - {it.goals[code]}", code, f"SDG {code}")[form % 5]


def _written(country: Country, language: str, form: int) -> str:
    spoken = language if language in _KNOWN else "en"
    return (country.iso2, country.iso3, country.name["en"], country.name[spoken])[form % 4]


def _texts(it: Words, language: str, line: str, country: Country, d: tuple[int, ...], revision: int) -> tuple[str, str]:
    audiences, middles = it.audiences[language], it.middles[language]
    brand = _brand(it, d[40])
    topic, audience = it.topics[line][language], audiences[d[4] % len(audiences)]
    place = country.name[language]
    title = it.titles[language][d[5] % 3].format(brand=brand, topic=topic, audience=audience, country=place)
    phrases = {"brand": brand, "topic": topic, "article": it.articles[line].get(language, ""), "audience": audience, "country": place}
    opener = it.openers[language][d[6] % 2].format(**phrases, year=2012 + d[10] % 12)
    middle = middles[d[7] % len(middles)].format(number=100 + d[41], sites=2 + d[8])
    closers = it.closers[language]
    summary = f"{opener} {middle} {closers[d[9] % len(closers)]}"
    if revision:
        summary += " " + it.revised[language].format(revision=revision)
    return title[0].upper() + title[1:], summary


def _status(start: int, end: int) -> str:
    if end < 2025:  # the demo's calendar stands in 2025
        return "Completed"
    return "Planned" if start > 2024 else "Ongoing"


def _near(country: Country, north: int, east: int) -> Location:
    latitude, longitude = country.latitude + north / 1000, country.longitude + east / 1000
    return {"name": country.city, "latitude": round(latitude, 4), "longitude": round(longitude, 4)}


def make(seed: int, number: int, revision: int = 0) -> Project:
    """Make one record; *number* is any natural number, a later *revision* of it has an extended text and end.

    >>> make(1, 7) == make(1, 7), make(1, 7) == make(1, 8), make(1, 7)["id"] == make(1, 7, 1)["id"]
    (True, False, True)
    """
    it, lands, d = words(), countries(), dice(seed, number)
    country = lands[d[42] % len(lands)]
    language = country.languages[d[0] % len(country.languages)]
    codes = tuple(it.lines)
    line, other = codes[d[1] % len(codes)], codes[d[2] % len(codes)]
    lines = [line, other] if d[3] < 90 and other != line else [line]
    aims = it.targets[line]
    targets = [aims[d[11] % 4], aims[(d[11] + 1) % 4]] if d[12] < 140 else [aims[d[11] % 4]]
    languages = [language, "en"] if language != "en" and d[13] < 80 else [language]
    texts = {tag: _texts(it, tag, line, country, d, revision) for tag in languages}
    coverage = _COVERAGES[d[14] % 5]
    abroad = [lands[(d[42] + 1 + d[15] % 9) % len(lands)]] if coverage in {"Regional", "International"} else []
    start, end = 2012 + d[10] % 14, 2013 + d[10] % 14 + d[16] % 4 + revision
    site = f"https://{_brand(it, d[40]).lower()}.example.org"
    return {
        "id": f"{country.iso2}-{2012 + d[10] % 14}-{number:06d}",
        "title": {tag: pair[0] for tag, pair in texts.items()},
        "summary": {tag: pair[1] for tag, pair in texts.items()},
        "period": {"from": f"{start}-{1 + d[17] % 12:02d}-{1 + d[18] % 28:02d}", "to": f"{end}-{1 + d[19] % 12:02d}-{1 + d[20] % 28:02d}"},
        "created": f"{2012 + d[21] % 11}-{1 + d[22] % 12:02d}-{1 + d[23] % 28:02d}",
        "updated": "",
        "language": languages,
        "countries": [_written(place, language, d[24]) for place in (country, *abroad)],
        "lines": lines,
        "action_lines": [it.lines[code][d[25] % len(it.lines[code])] for code in lines],
        "goals": list(dict.fromkeys(_goal(it, target, d[26]) for target in targets)),
        "targets": targets,
        "tags": [_TAGS[d[27] % 8], _TAGS[(d[27] + 1 + d[28] % 7) % 8]],
        "links": [f"{site}/{line.lower()}/{number}"] + ([f"{site}/?lang={language}&id={number}"] if d[29] < 60 else []),
        "lead": _organization(it, language, country, _KINDS[d[30] % 6], d[43]),
        "partners": [_organization(it, language, country, _KINDS[d[31 + n] % 6], d[44 + n]) for n in range(d[33] % 3)],
        "funders": [_organization(it, language, country, _KINDS[d[34] % 6], d[46])] if d[35] < 150 else [],
        "status": _status(start, end),
        "coverage": coverage,
        "types": [_TYPES[d[36] % 8]],
        "location": _near(country, d[37], d[38]),
        "licence": _LICENCES[d[39] % 3],
        "contact": {"name": f"{_brand(it, d[47])} {_brand(it, d[48])}", "email": f"office{number}@{site[8:]}"},
    }
