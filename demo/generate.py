"""Generate plausible initiatives from a seed and a number.

A record depends only on its seed, number and revision, so that any page of a registry can be
generated alone. All choices are taken from one hash, which is ten times faster than seeding a
random generator.
"""

from __future__ import annotations

import struct
import tomllib
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any, TypeAlias

LANGUAGES = ("en", "fr", "es", "ar", "zh", "ru", "pt", "sw")


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files("demo").joinpath(name).read_text(encoding="utf-8"))


@cache
def phrases() -> dict[str, Any]:
    """Return the phrases by language, the topics and their articles by action line too. Their order
    is that of the file, so that choices are reproducible.
    """
    return _read("words.toml")


@cache
def countries() -> list[dict[str, Any]]:
    """Return the countries: codes, a city with WGS 84 coordinates, languages of its projects, and
    its name by language.
    """
    return [{"iso2": code, **row} for code, row in _read("countries.toml").items()]


_RANDOM_STRUCT = struct.Struct("<40B12H")  # 40 small and 12 large numbers: the 64 bytes of one hash
_LICENCES = (
    "https://creativecommons.org/licenses/by/4.0/",
    "https://creativecommons.org/publicdomain/zero/1.0/",
    "https://creativecommons.org/licenses/by-sa/4.0/",
)
_COVERAGES = ("Local", "National", "National", "Regional", "International")
_TYPES = (
    "Project",
    "Project",
    "Programme",
    "Training",
    "Conference",
    "Website",
    "Guideline",
    "Toolkit",
)
_KINDS = (
    "Government",
    "Business entity",
    "Civil society",
    "Academia",
    "International organization",
    "Other",
)
# The languages in which the vocabulary has names of countries.
_COUNTRY_LANGUAGES = frozenset({"en", "fr", "es", "ar", "zh", "ru"})
_TAGS = (
    "ICT4D",
    "open source",
    "open data",
    "mobile",
    "accessibility",
    "connectivity",
    "digital literacy",
    "data protection",
)


# A record of a registry: texts are by language, codes are in the registry's own forms.
Project: TypeAlias = dict[str, Any]


def random_values(seed: int, number: int, salt: str = "") -> tuple[int, ...]:
    """Return a record's random values: 40 numbers under 256, then 12 under 65,536."""
    return _RANDOM_STRUCT.unpack(
        blake2b(f"{seed}:{number}:{salt}".encode(), digest_size=64).digest()
    )


def _brand(phrases_: Project, roll: int) -> str:
    syllables, endings = phrases_["brands"], phrases_["endings"]
    first, second = roll % len(syllables), roll // 24 % len(syllables)
    name = syllables[first] + syllables[second] + endings[roll // 576 % len(endings)]
    return str(name).capitalize()


def _organization(
    phrases_: Project, language: str, country: Project, kind: str, roll: int
) -> Project:
    names = phrases_["organizations"][language][kind]
    name = names[roll % len(names)].format(
        brand=_brand(phrases_, roll // 3), country=country["name"][language]
    )
    return {"name": name, "type": kind, "country": country["iso2"]}


def _goal(phrases_: Project, target: str, form: int) -> str:
    code = target.partition(".")[0]
    goal = f"{code} - {phrases_['goals'][code]}"
    return (f"SDG {code}", f"Goal {code}", goal, code, f"SDG {code}")[form % 5]


def _country_text(country: Project, language: str, form: int) -> str:
    own, names = language if language in _COUNTRY_LANGUAGES else "en", country["name"]
    return str((country["iso2"], country["iso3"], names["en"], names[own])[form % 4])


def _texts(
    phrases_: Project, language: str, line: str, country: Project, d: tuple[int, ...], revision: int
) -> tuple[str, str]:
    audiences, middles = phrases_["audiences"][language], phrases_["middles"][language]
    brand = _brand(phrases_, d[40])
    topic, audience = phrases_["topics"][line][language], audiences[d[4] % len(audiences)]
    place = country["name"][language]
    title = phrases_["titles"][language][d[5] % 3].format(
        brand=brand, topic=topic, audience=audience, country=place
    )
    phrases = {
        "brand": brand,
        "topic": topic,
        "article": phrases_["articles"][line].get(language, ""),
        "audience": audience,
        "country": place,
    }
    opener = phrases_["openers"][language][d[6] % 2].format(**phrases, year=2012 + d[10] % 12)
    middle = middles[d[7] % len(middles)].format(number=100 + d[41], sites=2 + d[8])
    closers = phrases_["closers"][language]
    summary = f"{opener} {middle} {closers[d[9] % len(closers)]}"
    if revision:
        summary += " " + phrases_["revised"][language].format(revision=revision)
    return title[0].upper() + title[1:], summary


def _nearby_point(country: Project, north: int, east: int) -> Project:
    latitude, longitude = country["latitude"] + north / 1000, country["longitude"] + east / 1000
    return {
        "name": country["city"],
        "latitude": round(latitude, 4),
        "longitude": round(longitude, 4),
    }


def _date(year: int, month: int, day: int) -> str:
    return f"{year}-{1 + month % 12:02d}-{1 + day % 28:02d}"


def _topics(phrases_: Project, d: tuple[int, ...]) -> Project:
    codes = tuple(phrases_["lines"])
    line, other = codes[d[1] % len(codes)], codes[d[2] % len(codes)]
    lines = [line, other] if d[3] < 90 and other != line else [line]
    targets = [phrases_["targets"][line][(d[11] + n) % 4] for n in range(2 if d[12] < 140 else 1)]
    return {
        "lines": lines,
        "action_lines": [
            phrases_["lines"][code][d[25] % len(phrases_["lines"][code])] for code in lines
        ],
        "goals": list(dict.fromkeys(_goal(phrases_, target, d[26]) for target in targets)),
        "targets": targets,
        "tags": [_TAGS[d[27] % 8], _TAGS[(d[27] + 1 + d[28] % 7) % 8]],
    }


def _organizations(
    phrases_: Project, language: str, country: Project, d: tuple[int, ...]
) -> Project:
    def choose(kind: int, roll: int) -> Project:
        return _organization(phrases_, language, country, _KINDS[kind % 6], roll)

    return {
        "lead": choose(d[30], d[43]),
        "partners": [choose(d[31 + n], d[44 + n]) for n in range(d[33] % 3)],
        "funders": [choose(d[34], d[46])] if d[35] < 150 else [],
    }


def generate_record(seed: int, number: int, revision: int = 0) -> Project:
    """Return a record; *number* is any natural number, a later *revision* has a longer text and a
    later end.

    >>> generate_record(1, 7) == generate_record(1, 7), generate_record(1, 7) == generate_record(1, 8)
    (True, False)
    >>> generate_record(1, 7)["id"] == generate_record(1, 7, 1)["id"]
    True
    """
    phrases_, all_countries, d = phrases(), countries(), random_values(seed, number)
    country = all_countries[d[42] % len(all_countries)]
    language = country["languages"][d[0] % len(country["languages"])]
    topics = _topics(phrases_, d)
    line = topics["lines"][0]
    languages = [language, "en"] if language != "en" and d[13] < 80 else [language]
    texts = {tag: _texts(phrases_, tag, line, country, d, revision) for tag in languages}
    coverage = _COVERAGES[d[14] % 5]
    places = [country]
    if coverage in {"Regional", "International"}:
        places.append(all_countries[(d[42] + 1 + d[15] % 9) % len(all_countries)])
    start, end = 2012 + d[10] % 14, 2013 + d[10] % 14 + d[16] % 4 + revision
    site = f"https://{_brand(phrases_, d[40]).lower()}.example.org"
    links = [f"{site}/{line.lower()}/{number}", f"{site}/?lang={language}&id={number}"]
    return {
        "id": f"{country['iso2']}-{2012 + d[10] % 14}-{number:06d}",
        "title": {tag: pair[0] for tag, pair in texts.items()},
        "summary": {tag: pair[1] for tag, pair in texts.items()},
        "period": {"from": _date(start, d[17], d[18]), "to": _date(end, d[19], d[20])},
        "created": _date(2012 + d[21] % 11, d[22], d[23]),
        "updated": "",
        "language": languages,
        "countries": [_country_text(place, language, d[24]) for place in places],
        **topics,
        "links": links if d[29] < 60 else links[:1],
        **_organizations(phrases_, language, country, d),
        # The demo's current year is 2025.
        "status": "Completed" if end < 2025 else "Planned" if start > 2024 else "Ongoing",
        "coverage": coverage,
        "types": [_TYPES[d[36] % 8]],
        "location": _nearby_point(country, d[37], d[38]),
        "licence": _LICENCES[d[39] % 3],
        "contact": {
            "name": f"{_brand(phrases_, d[47])} {_brand(phrases_, d[48])}",
            "email": f"office{number}@{site[8:]}",
        },
    }
