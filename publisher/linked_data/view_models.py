"""Views: what the page of an initiative, event, document or post shows, drawn from its record's statements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from publisher.rdf.results import Term
from publisher.store.descriptions import Description

_CLAIMS = (("Action lines", "actionLine"), ("SDGs", "goal"), ("Targets", "target"))
_BASES = (("", "declared"), ("crosswalked", "crosswalked"), ("suggested", "suggested"))
_ROLES = (("Lead", "dct:publisher"), ("Partner", "wsis:partner"), ("Funder", "schema:funder"), ("Creator", "dct:creator"))
_SEVERITY = {"Violation": "violation", "Warning": "warning", "Info": "info"}


class Claim(NamedTuple):
    """A concept that the thing is tied to, and how; *word* and *confidence* None where nothing tells."""

    concept: Term
    basis: str
    word: str | None
    confidence: float | None


class Party(NamedTuple):
    """An organization in a role."""

    role: str
    organization: Term
    name: Term | None
    kind: Term | None
    country: Term | None
    page: Term | None


class Prize(NamedTuple):
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
    """What the judges said; *path* is the property that it is about."""

    message: str
    severity: str
    path: str | None


@dataclass(frozen=True, slots=True)
class ThingView:
    """What a page shows of a thing, next to its description."""

    claims: tuple[tuple[str, tuple[Claim, ...]], ...]
    parties: tuple[Party, ...]
    prizes: tuple[Prize, ...]
    places: tuple[MapPoint, ...]
    remarks: tuple[ValidationNote, ...]


def build_view(it: Description, record: str) -> ThingView:
    """Draw the view of the thing from its record's statements."""
    return ThingView(
        claims=tuple((title, claims) for title, name in _CLAIMS if (claims := tuple(_claims(it, name)))),
        parties=tuple(_party(it, role, term) for role, name in _ROLES for term in it.all(name)),
        prizes=tuple(
            Prize(it.one("wsis:prizeCategory", part.value), it.one("wsis:prizeStage", part.value), it.one("wsis:prizeYear", part.value))
            for part in it.all("vivo:relatedBy")
        ),
        places=tuple(_point(it, part.value) for part in it.all("schema:location")),
        remarks=tuple(_note(it, part.value) for part in it.all("wsis:result", record)),
    )


def _claims(it: Description, name: str) -> list[Claim]:
    found = []
    for prefix, basis in _BASES:
        term = f"wsis:{prefix}{name[0].upper()}{name[1:]}" if prefix else f"wsis:{name}"
        found += [_claim(it, concept, basis) for concept in it.all(term)]
    return found


def _claim(it: Description, concept: Term, basis: str) -> Claim:
    for part in it.subjects("wsis:concept", concept.value) if concept.is_iri else ():
        stated = it.one("wsis:basis", part)
        if stated and stated.value.endswith(basis):
            word, confidence = it.one("wsis:sourceWord", part), it.one("wsis:confidence", part)
            return Claim(concept, basis, word.value if word else None, float(confidence.value) if confidence else None)
    return Claim(concept, basis, None, None)


def _party(it: Description, role: str, term: Term) -> Party:
    who = term.value
    if not term.is_iri:
        return Party(role, term, term, None, None, None)
    return Party(
        role,
        term,
        it.one("skos:prefLabel", who),
        it.one("org:classification", who),
        it.one("dct:spatial", who),
        it.one("foaf:homepage", who),
    )


def _point(it: Description, part: str) -> MapPoint:
    latitude, longitude = it.one("wgs:lat", part), it.one("wgs:long", part)
    return MapPoint(it.one("rdfs:label", part), latitude.value if latitude else "", longitude.value if longitude else "")


def _note(it: Description, part: str) -> ValidationNote:
    message, severity, path = it.one("sh:resultMessage", part), it.one("sh:resultSeverity", part), it.one("sh:resultPath", part)
    word = severity.value.rpartition("#")[2] if severity else "Info"
    return ValidationNote(message.value if message else "", _SEVERITY.get(word, "info"), it.short(path.value) if path else None)
