"""The nominations of the Digital Public Goods Alliance, in each of their three shapes: nominees, archive and screened goods.

Source: https://github.com/DPGAlliance/publicgoods-candidates (nominee-schema.json)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harvesters.errors import ParseError
from harvesters.option_schema import Option
from harvesters.page_model import Record, Row
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup, merge_subjects
from harvesters.payloads.value_parsing import (
    as_list,
    normalize_block,
    normalize_inline,
    parse_titles,
    strip_contacts,
    unique_non_contact,
    unique_urls,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Initiative, Party, Resource, Role, Text

OPTIONS: Mapping[str, Option] = {}

_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*\Z")
_ROLES = {"owner": Role.LEAD, "funder": Role.FUNDER}  # maintainers, implementers and others are partners


def reader(source: Source, words: Crosswalks) -> Callable[[Record[Row]], Resource]:
    """Give the function that reads a nomination; it raises ParseError on a document that is none."""
    lexicon = CrosswalkLookup(words)

    def read(record: Record[Row]) -> Resource:
        good = record.payload
        if not normalize_inline(good.get("name")):
            raise ParseError(f"{record.key}: not a DPG nomination: `name` is missing; found only {', '.join(map(str, good))[:200]}")
        types = [normalize_inline(text) for text in as_list(good.get("type"))]
        said = lexicon.parse_declared((), _goals(good), ())
        subjects = merge_subjects(said, lexicon.parse_subjects(normalize_inline(text) for text in as_list(good.get("sectors"))))
        left = [*subjects.unmatched, *(text for text in types if not lexicon.find_activity_type(text)), normalize_inline(good.get("stage"))]
        return Initiative(
            key=record.key,
            titles=parse_titles([(normalize_inline(good.get("name")), source.language)]),
            descriptions=parse_titles([(normalize_block(good.get("description")), source.language)]),
            identifiers=unique_non_contact(normalize_inline(text) for text in as_list(good.get("aliases"))),
            pages=_pages(good),
            licence=_licence(good),
            countries=tuple(dict.fromkeys(map(lexicon.country, _countries(good)))),
            parties=tuple(_parties(good)),
            action_lines=subjects.lines,
            goals=subjects.goals,
            targets=subjects.targets,
            subjects=tuple(Text(strip_contacts(word), source.language) for word in dict.fromkeys(left) if word),
            activity_types=tuple(found for text in types if (found := lexicon.find_activity_type(text))),
        )

    return read


def _objects(found: Any) -> Iterator[Mapping[str, Any]]:
    return (it for it in as_list(found) if isinstance(it, dict))


def _goals(good: Row) -> list[str]:
    """Give the goals' numbers or names; SDGNumber may be a number, a name, or a list of either."""
    goals = (it.get("SDGNumber") if isinstance(it, dict) else it for it in as_list(good.get("SDGs")))
    return [text for goal in goals for it in as_list(goal) if (text := normalize_inline(it))]


def _pages(good: Row) -> tuple[str, ...]:
    addresses = [normalize_inline(good.get("website")), *(normalize_inline(it.get("url")) for it in _objects(good.get("repositories")))]
    return unique_non_contact(addresses)


def _licence(good: Row) -> str | None:
    """Give the SPDX address of the first licence, else the page that the nomination links."""
    licence = next(_objects(good.get("license")), {})
    name = normalize_inline(licence.get("spdx"))
    if _SPDX.match(name):
        return f"https://spdx.org/licenses/{name}"
    return next(iter(unique_urls([normalize_inline(licence.get("licenseURL"))])), None) or name or None


def _countries(good: Row) -> list[str]:
    places = good.get("locations")
    if not isinstance(places, dict):
        return []
    named = ("deploymentCountries", "developmentCountries")
    return [text for name in named for it in as_list(places.get(name)) if (text := normalize_inline(it))]


def _parties(good: Row) -> Iterator[Party]:
    """Give the first owner as lead, further owners as partners; their contact persons are not published."""
    led = False
    for it in _objects(good.get("organizations")):
        name = strip_contacts(normalize_inline(it.get("name")))
        if not name:
            continue
        role = _ROLES.get(normalize_inline(it.get("org_type")).lower(), Role.PARTNER)
        role = Role.PARTNER if role is Role.LEAD and led else role
        led = led or role is Role.LEAD
        yield Party(role, Text(name), page=next(iter(unique_urls([normalize_inline(it.get("website"))])), None))
