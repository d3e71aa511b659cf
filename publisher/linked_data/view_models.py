"""The data on the page of an initiative, event, document or post, read from its record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from publisher.rdf.results import Term
from publisher.store.descriptions import Description

_CLAIMS = (("Action lines", "actionLine"), ("SDGs", "goal"), ("Targets", "target"))
_BASES = (("", "declared"), ("crosswalked", "crosswalked"), ("suggested", "suggested"))
_ROLES = (
    ("Lead", "dct:publisher"),
    ("Partner", "wsis:partner"),
    ("Funder", "schema:funder"),
    ("Creator", "dct:creator"),
)
_SEVERITY = {"Violation": "violation", "Warning": "warning", "Info": "info"}


class Claim(NamedTuple):
    """A concept assigned to the thing, and its basis; *word* and *confidence* are None if unknown."""

    concept: Term
    basis: str
    word: str | None
    confidence: float | None
    percentage: float | None = None  # of the thing, that the source assigns to the concept
    evidence: Term | None = None
    page: Term | None = None  # that the source cites as evidence


class AmountView(NamedTuple):
    """An amount of money in its own currency."""

    value: Decimal
    currency: str | None
    name: Term | None
    start: Term | None
    end: Term | None


class Party(NamedTuple):
    """An organization in a role."""

    role: str
    organization: Term
    name: Term | None
    kind: Term | None
    country: Term | None
    page: Term | None


class PrizeView(NamedTuple):
    """A WSIS prize."""

    category: Term | None
    stage: Term | None
    year: Term | None


class MapPoint(NamedTuple):
    """A point on the map."""

    name: Term | None
    latitude: str
    longitude: str


class ValidationNote(NamedTuple):
    """A validation result; *path* is the property, *shape* the IRI of the rule; both are None if
    the record lacks them.
    """

    message: str
    severity: str
    path: str | None
    shape: str | None


@dataclass(frozen=True, slots=True)
class ThingView:
    """The data that a page shows besides the description."""

    claims: tuple[tuple[str, tuple[Claim, ...]], ...]
    parties: tuple[Party, ...]
    prizes: tuple[PrizeView, ...]
    places: tuple[MapPoint, ...]
    remarks: tuple[ValidationNote, ...]
    amounts: tuple[AmountView, ...] = ()
    periods: tuple[tuple[Term | None, Term | None], ...] = ()  # of the activity: start and end
    outcomes: tuple[str, ...] = ()  # IRIs of their nodes
    files: tuple[str, ...] = ()  # IRIs of their nodes
    contacts: tuple[str, ...] = ()  # IRIs of their nodes


def build_view(description: Description, record: str) -> ThingView:
    """Build the view of a thing from its record's statements."""
    return ThingView(
        claims=tuple(
            (title, claims)
            for title, name in _CLAIMS
            if (claims := tuple(_claims(description, name)))
        ),
        parties=tuple(
            _party(description, role, term)
            for role, name in _ROLES
            for term in description.all(name)
        ),
        prizes=tuple(
            PrizeView(
                description.one("wsis:prizeCategory", part.value),
                description.one("wsis:prizeStage", part.value),
                description.one("wsis:prizeYear", part.value),
            )
            for part in description.all("vivo:relatedBy")
        ),
        places=tuple(
            _point(description, part.value) for part in description.all("schema:location")
        ),
        remarks=tuple(
            _note(description, part.value) for part in description.all("ops:result", record)
        ),
        amounts=tuple(
            filter(
                None, (_amount(description, part) for part in _parts(description, "wsis:amount"))
            )
        ),
        periods=tuple(
            (description.one("dcat:startDate", part), description.one("dcat:endDate", part))
            for part in _parts(description, "dct:temporal")
        ),
        outcomes=_parts(description, "wsis:projectOutcome"),
        files=_parts(description, "dcat:distribution"),
        contacts=_parts(description, "dcat:contactPoint"),
    )


def _claims(description: Description, name: str) -> list[Claim]:
    claims = []
    for prefix, basis in _BASES:
        term = f"wsis:{prefix}{name[0].upper()}{name[1:]}" if prefix else f"wsis:{name}"
        claims += [_claim(description, concept, basis) for concept in description.all(term)]
    return sorted(claims, key=lambda claim: _code_order(claim.concept.value))


def _code_order(value: str) -> list[tuple[int, int, str]]:
    """Return a key by which codes are sorted: numbers in them by their value.

    >>> sorted(["sdg/10", "sdg/9", "sdg/9.b", "sdg/9.2"], key=_code_order)
    ['sdg/9', 'sdg/9.2', 'sdg/9.b', 'sdg/10']
    """
    parts = re.findall(r"[0-9]{1,9}|[^0-9]+", value)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _claim(description: Description, concept: Term, basis: str) -> Claim:
    for part in description.subjects("wsis:concept", concept.value) if concept.is_iri else ():
        stated = description.one("wsis:basis", part)
        if stated and stated.value.endswith(basis):
            word = description.one("wsis:sourceWord", part)
            evidence = description.one("wsis:evidence", part)
            confidence, percentage = (
                float(number.value) if (number := description.one(f"wsis:{name}", part)) else None
                for name in ("confidence", "percentage")
            )
            page = description.one("dct:source", part)
            return Claim(
                concept, basis, word.value if word else None, confidence, percentage, evidence, page
            )
    return Claim(concept, basis, None, None)


def _amount(description: Description, part: str) -> AmountView | None:
    value = description.one("schema:value", part)
    currency = description.one("schema:currency", part)
    name, start, end = (
        description.one(f"schema:{name}", part) for name in ("name", "validFrom", "validThrough")
    )
    return (
        AmountView(Decimal(value.value), currency.value if currency else None, name, start, end)
        if value
        else None
    )


def _parts(description: Description, name: str) -> tuple[str, ...]:
    """Return the nodes that a property leads to, by their numbers."""
    nodes = (term.value for term in description.all(name) if term.is_iri)
    return tuple(sorted(nodes, key=_code_order))


def _party(description: Description, role: str, term: Term) -> Party:
    party = term.value
    if not term.is_iri:
        return Party(role, term, term, None, None, None)
    return Party(
        role,
        term,
        description.one("skos:prefLabel", party),
        description.one("org:classification", party),
        description.one("dct:spatial", party),
        description.one("foaf:homepage", party),
    )


def _point(description: Description, part: str) -> MapPoint:
    latitude, longitude = description.one("wgs:lat", part), description.one("wgs:long", part)
    return MapPoint(
        description.one("rdfs:label", part),
        latitude.value if latitude else "",
        longitude.value if longitude else "",
    )


def _note(description: Description, part: str) -> ValidationNote:
    message = description.one("sh:resultMessage", part)
    severity = description.one("sh:resultSeverity", part)
    path = description.one("sh:resultPath", part)
    shape = description.one("sh:sourceShape", part)
    word = severity.value.rpartition("#")[2] if severity else "Info"
    return ValidationNote(
        message.value if message else "",
        _SEVERITY.get(word, "info"),
        description.short(path.value) if path else None,
        shape.value if shape and shape.is_iri else None,
    )
