"""Nominations of the Digital Public Goods Alliance, in each of their three formats: nominees,
archive and screened goods.

Source: https://github.com/DPGAlliance/publicgoods-candidates (nominee-schema.json)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from harvesters.errors import ParseError
from harvesters.mappings.mapping import RecordMapping, parse_licence
from harvesters.option_schema import Option
from harvesters.page_model import Payload, Record, Row
from harvesters.payloads.crosswalk_lookup import (
    CrosswalkLookup,
    Subjects,
    classify_words,
    merge_subjects,
)
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
from vocab.initiative import Basis, Claim, Initiative, Party, Resource, Role, Text
from vocab.normalization import fold
from vocab.schemes import concepts

OPTIONS: Mapping[str, Option] = {}

# maintainers, implementers and others are partners
_ROLES = {
    "owner": Role.LEAD,
    "funder": Role.FUNDER,
}


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
    subjects = _subjects(nomination, lexicon, crosswalks)
    left = [
        *subjects.unmatched,
        *(text for text in types if not lexicon.find_activity_type(text)),
    ]
    evidence = _evidence(nomination, lexicon, source.language)
    return Initiative(
        key=record.key,
        titles=parse_titles([(normalize_inline(nomination.get("name")), source.language)]),
        descriptions=parse_titles(
            [(normalize_block(nomination.get("description")), source.language)]
        ),
        identifiers=unique_non_contact(
            normalize_inline(text)
            for name in ("aliases", "initialism")
            for text in as_list(nomination.get(name))
        ),
        pages=_pages(nomination),
        licences=tuple(dict.fromkeys(_licences(nomination))),
        countries=_countries(nomination, "deploymentCountries", lexicon),
        developed_in=_countries(nomination, "developmentCountries", lexicon),
        stage=_stage(nomination, crosswalks),
        parties=tuple(_parties(nomination)),
        action_lines=subjects.lines,
        goals=tuple(_with_evidence(claim, evidence) for claim in subjects.goals),
        targets=tuple(_with_evidence(claim, evidence) for claim in subjects.targets),
        subjects=tuple(
            Text(strip_contacts(word), source.language) for word in dict.fromkeys(left) if word
        ),
        activity_types=tuple(
            lexicon.activity_type(text) for text in types if lexicon.find_activity_type(text)
        ),
    )


def _subjects(nomination: Row, lexicon: CrosswalkLookup, crosswalks: Crosswalks) -> Subjects:
    """Return the declared goals, and what the sectors name by the Alliance's crosswalk or by their
    own words.
    """
    declared = lexicon.parse_declared((), _goals(nomination), ())
    words = [normalize_inline(text) for text in as_list(nomination.get("sectors"))]
    sectors = classify_words(words, crosswalks.iris.scheme("dpga-sector"), crosswalks.dpga_sector)
    inferred = lexicon.parse_subjects(sectors.unmatched)
    return merge_subjects(declared, merge_subjects(sectors._replace(unmatched=()), inferred))


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in as_list(value) if isinstance(item, dict))


def _goals(nomination: Row) -> list[str]:
    """Return the numbers or names of goals; SDGNumber may be a number, a name, or a list of either."""
    goals = (
        item.get("SDGNumber") if isinstance(item, dict) else item
        for item in as_list(nomination.get("SDGs"))
    )
    return [text for goal in goals for item in as_list(goal) if (text := normalize_inline(item))]


def _evidence(
    nomination: Row, lexicon: CrosswalkLookup, language: str | None
) -> Mapping[str, tuple[Text | None, str | None]]:
    """Return the evidence for each goal: a text, and the page that it cites."""
    evidence: dict[str, tuple[Text | None, str | None]] = {}
    for item in _objects(nomination.get("SDGs")):
        text = strip_contacts(normalize_block(item.get("evidenceText")))
        page = next(iter(unique_urls([normalize_inline(item.get("evidenceURL"))])), None)
        declared = lexicon.parse_declared((), _goals({"SDGs": [item]}), ())
        for claim in (*declared.goals, *declared.targets):
            if text or page:
                evidence.setdefault(claim.concept, (Text(text, language) if text else None, page))
    return evidence


def _with_evidence(claim: Claim, evidence: Mapping[str, tuple[Text | None, str | None]]) -> Claim:
    text, page = evidence.get(claim.concept, (None, None))
    if claim.basis is not Basis.DECLARED or not (text or page):
        return claim
    return claim._replace(evidence=text, evidence_page=page)


def _stage(nomination: Row, crosswalks: Crosswalks) -> str | None:
    """Return the concept of the nomination's stage, else the source's word for it."""
    word = normalize_inline(nomination.get("stage"))
    known = concepts("dpga-stage", crosswalks.iris.base)
    names = {fold(name): iri for iri, item in known.items() for name in item.notations}
    return names.get(fold(word), word) or None


def _pages(nomination: Row) -> tuple[str, ...]:
    addresses = [
        normalize_inline(nomination.get("website")),
        *(
            normalize_inline(repository.get("url"))
            for repository in _objects(nomination.get("repositories"))
        ),
        normalize_inline(nomination.get("repositoryURL")),  # nominations of 2020
    ]
    return unique_non_contact(addresses)


def _licences(nomination: Row) -> Iterator[str]:
    """Yield the SPDX address of each licence, else the page or the name that the nomination has for
    it; some nominations have a text.
    """
    for item in as_list(nomination.get("license")):
        licence = item if isinstance(item, dict) else {"spdx": item}
        name = normalize_inline(licence.get("spdx"))
        address = parse_licence(name)
        pages = unique_urls([address, normalize_inline(licence.get("licenseURL"))])
        if word := next(iter(pages), address):
            yield word


def _countries(nomination: Row, name: str, lexicon: CrosswalkLookup) -> tuple[str, ...]:
    places = nomination.get("locations")
    words = as_list(places.get(name)) if isinstance(places, dict) else []
    return tuple(
        dict.fromkeys(lexicon.country(text) for word in words if (text := normalize_inline(word)))
    )


def _parties(nomination: Row) -> Iterator[Party]:
    """Yield the first owner as lead and further owners as partners. Their contact persons are not
    published.
    """
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


MAPPING = RecordMapping(build_mapper, frozenset({Payload.ROW}), options=OPTIONS)
