"""The one model: what every registry's record becomes before it is described, judged and published."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Basis(Enum):
    """How a statement about an action line, goal or target came to be."""

    DECLARED = "declared"  # the source names it
    CROSSWALKED = "crosswalked"  # translated from the source's own code
    SUGGESTED = "suggested"  # a classifier's guess, with its confidence


class Role(Enum):
    """What a party is to an initiative."""

    LEAD = "lead"  # dct:publisher
    PARTNER = "partner"  # wsis:partner
    FUNDER = "funder"  # schema:funder


class Text(NamedTuple):
    """A text and its BCP 47 language tag; None where the source tells none."""

    value: str
    language: str | None = None


class Claim(NamedTuple):
    """A concept's IRI and how it came to be tied to the record; *word* is what the source wrote."""

    concept: str
    basis: Basis = Basis.DECLARED
    word: str | None = None
    confidence: float | None = None  # 0 to 1, of a suggestion


class Party(NamedTuple):
    """An organization in a role. *kind* and *country* are IRIs, or the source's word where no crosswalk knows it."""

    role: Role
    name: Text
    key: str | None = None  # the source's identifier; None: made from the name
    kind: str | None = None
    country: str | None = None
    page: str | None = None


class Place(NamedTuple):
    """A point on the map: WGS 84 decimal degrees."""

    name: Text | None
    latitude: float
    longitude: float


class Detection(NamedTuple):
    """A language that no one told, found in the texts of a *field*: title, description, venue or content."""

    field: str
    language: str
    confidence: float  # 0 to 1


class Prize(NamedTuple):
    """A WSIS prize: category and stage are IRIs or the source's words."""

    category: str
    stage: str
    year: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What initiatives, events, documents and posts have in common.

    Dates are as the source wrote them, ISO 8601 where they could be read; ``countries`` and all coded values are
    IRIs, or the source's own words where no crosswalk knows them, which the shapes then flag.
    """

    key: str
    titles: tuple[Text, ...] = ()
    descriptions: tuple[Text, ...] = ()
    identifiers: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    licence: str | None = None
    issued: str | None = None
    modified: str | None = None
    countries: tuple[str, ...] = ()
    parties: tuple[Party, ...] = ()
    action_lines: tuple[Claim, ...] = ()
    goals: tuple[Claim, ...] = ()
    targets: tuple[Claim, ...] = ()
    subjects: tuple[Text, ...] = ()
    related: tuple[str, ...] = ()  # IRIs of other resources of ours
    detected: tuple[Detection, ...] = ()  # of texts whose language was detected
    lineage: tuple[str, ...] = ()  # IRIs of the records elsewhere that it was taken from, the first of all first
    credit: str | None = None  # whom to name for it, where its source had it from another


@dataclass(frozen=True, slots=True, kw_only=True)
class Initiative(Resource):
    """A project, programme, training, conference, website, guideline, toolkit or the like: ``wsis:Initiative``."""

    start: str | None = None
    end: str | None = None
    coverage: str | None = None
    status: str | None = None
    activity_types: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    prizes: tuple[Prize, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Resource):
    """A happening with a date: ``schema:Event``."""

    start: str | None = None
    end: str | None = None
    places: tuple[Place, ...] = ()
    venue: Text | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Resource):
    """A publication, report or good practice: ``foaf:Document``."""

    creators: tuple[Text, ...] = ()
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Post(Resource):
    """A blog or forum post: ``sioc:Post``."""

    content: Text | None = None
    container: str | None = None  # the blog's or forum's address
