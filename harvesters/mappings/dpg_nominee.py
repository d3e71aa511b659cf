"""Nominations of the Digital Public Goods Alliance, in each of their three formats: nominees, archive and screened goods.

Source: https://github.com/DPGAlliance/publicgoods-candidates (nominee-schema.json)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from harvesters.errors import ParseError
from harvesters.option_schema import Option
from harvesters.page_model import Record, Row
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup, classify_words, merge_subjects
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
_ROLES = {
    "owner": Role.LEAD,
    "funder": Role.FUNDER,
}  # maintainers, implementers and others are partners


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Row]], Resource]:
    """Return the function that maps a nomination. It raises ParseError for anything else."""
    lexicon = CrosswalkLookup(crosswalks)
    return partial(_map_record, source, crosswalks, lexicon)


def _map_record(
    source: Source, crosswalks: Crosswalks, lexicon: CrosswalkLookup, record: Record[Row]
) -> Resource:
    nomination = record.payload
    if not normalize_inline(nomination.get("name")):
        raise ParseError(
            f"{record.key}: not a DPG nomination: `name` is missing; found only {', '.join(map(str, nomination))[:200]}"
        )
    types = [normalize_inline(text) for text in as_list(nomination.get("type"))]
    declared = lexicon.parse_declared((), _goals(nomination), ())
    words = [normalize_inline(text) for text in as_list(nomination.get("sectors"))]
    sectors = classify_words(words, crosswalks.iris.scheme("dpga-sector"), crosswalks.dpga_sector)
    inferred = lexicon.parse_subjects(sectors.unmatched)
    sectors = sectors._replace(unmatched=())
    subjects = merge_subjects(declared, merge_subjects(sectors, inferred))
    left = [
        *subjects.unmatched,
        *(text for text in types if not lexicon.find_activity_type(text)),
        normalize_inline(nomination.get("stage")),
    ]
    return Initiative(
        key=record.key,
        titles=parse_titles([(normalize_inline(nomination.get("name")), source.language)]),
        descriptions=parse_titles(
            [(normalize_block(nomination.get("description")), source.language)]
        ),
        identifiers=unique_non_contact(
            normalize_inline(text) for text in as_list(nomination.get("aliases"))
        ),
        pages=_pages(nomination),
        licence=_licence(nomination),
        countries=tuple(dict.fromkeys(map(lexicon.country, _countries(nomination)))),
        parties=tuple(_parties(nomination)),
        action_lines=subjects.lines,
        goals=subjects.goals,
        targets=subjects.targets,
        subjects=tuple(
            Text(strip_contacts(word), source.language) for word in dict.fromkeys(left) if word
        ),
        activity_types=tuple(
            lexicon.activity_type(text) for text in types if lexicon.find_activity_type(text)
        ),
    )


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in as_list(value) if isinstance(item, dict))


def _goals(nomination: Row) -> list[str]:
    """Return the numbers or names of goals; SDGNumber may be a number, a name, or a list of either."""
    goals = (
        item.get("SDGNumber") if isinstance(item, dict) else item
        for item in as_list(nomination.get("SDGs"))
    )
    return [text for goal in goals for item in as_list(goal) if (text := normalize_inline(item))]


def _pages(nomination: Row) -> tuple[str, ...]:
    addresses = [
        normalize_inline(nomination.get("website")),
        *(
            normalize_inline(repository.get("url"))
            for repository in _objects(nomination.get("repositories"))
        ),
    ]
    return unique_non_contact(addresses)


def _licence(nomination: Row) -> str | None:
    """Return the SPDX address of the first licence, else the page that the nomination links."""
    licence = next(_objects(nomination.get("license")), {})
    name = normalize_inline(licence.get("spdx"))
    if _SPDX.match(name):
        return f"https://spdx.org/licenses/{name}"
    return (
        next(iter(unique_urls([normalize_inline(licence.get("licenseURL"))])), None) or name or None
    )


def _countries(nomination: Row) -> list[str]:
    places = nomination.get("locations")
    if not isinstance(places, dict):
        return []
    keys = ("deploymentCountries", "developmentCountries")
    return [
        text
        for name in keys
        for country in as_list(places.get(name))
        if (text := normalize_inline(country))
    ]


def _parties(nomination: Row) -> Iterator[Party]:
    """Yield the first owner as lead and further owners as partners. Their contact persons are not published."""
    has_lead = False
    for organization in _objects(nomination.get("organizations")):
        name = strip_contacts(normalize_inline(organization.get("name")))
        if not name:
            continue
        role = _ROLES.get(normalize_inline(organization.get("org_type")).lower(), Role.PARTNER)
        role = Role.PARTNER if role is Role.LEAD and has_lead else role
        has_lead = has_lead or role is Role.LEAD
        yield Party(
            role,
            Text(name),
            page=next(iter(unique_urls([normalize_inline(organization.get("website"))])), None),
        )
