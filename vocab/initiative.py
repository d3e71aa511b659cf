"""The model to which every registry's records are mapped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Basis(Enum):
    """How a link to an action line, goal or target was made."""

    DECLARED = "declared"  # The source states it.
    CROSSWALKED = "crosswalked"  # A crosswalk maps the source's own code.
    SUGGESTED = "suggested"  # A classifier suggests it, with its confidence.


class Role(Enum):
    LEAD = "lead"  # dct:publisher
    PARTNER = "partner"  # wsis:partner
    FUNDER = "funder"  # schema:funder


class Text(NamedTuple):
    """A text and its BCP 47 language tag; None if the source has none."""

    value: str
    language: str | None = None


class Claim(NamedTuple):
    """A concept's IRI and how it was linked to the record; *word* is the source's text."""

    concept: str
    basis: Basis = Basis.DECLARED
    word: str | None = None
    confidence: float | None = None  # 0 to 1, for a suggestion
    crosswalk: str | None = None  # IRI of the scheme whose labels or matches translate *word*
    # 0 to 100: the part of the resource that the source assigns to the concept
    percentage: float | None = None
    evidence: Text | None = None  # the source's reason for the link
    evidence_page: str | None = None  # web address of the evidence
    method: str | None = None  # the classifier that suggests the concept, such as "mention"
    method_version: str | None = None
    author: str | None = None  # the person who confirmed a suggestion, or computed it elsewhere
    day: str | None = None  # the date of that, as in ISO 8601


# The value of a coded field: an IRI that the source states, a claim that a crosswalk made of the
# source's word, or the source's text if no crosswalk matches.
Coded = str | Claim


def concept_of(value: Coded) -> str:
    """Return the IRI, or the source's text, of the value of a coded field.

    >>> concept_of("a:ongoing") == concept_of(Claim("a:ongoing", Basis.CROSSWALKED, "running"))
    True
    """
    return value.concept if isinstance(value, Claim) else value


class Party(NamedTuple):
    """An organization in a role. *kind* and *country* are IRIs, or the source's text if no
    crosswalk matches.
    """

    role: Role
    name: Text
    key: str | None = None  # the source's identifier; None: derived from the name
    kind: Coded | None = None
    country: str | None = None
    page: str | None = None
    # identifiers in other registries, with their schemes: "LEI: ...", "https://ror.org/..."
    identifiers: tuple[str, ...] = ()


class Place(NamedTuple):
    """A point on the map: WGS 84 decimal degrees."""

    name: Text | None
    latitude: float
    longitude: float


class Amount(NamedTuple):
    """A sum of money as the source states it; it is never converted.

    *currency* is an ISO 4217 code, *name* the source's word for the amount, such as its kind of
    budget; *start* and *end* are the dates for which it is planned.
    """

    value: float
    currency: str | None = None
    name: Text | None = None
    start: str | None = None
    end: str | None = None


class Outcome(NamedTuple):
    """A result of an initiative that the source describes; *kind* is the source's word, such as
    output or impact.
    """

    titles: tuple[Text, ...]
    descriptions: tuple[Text, ...] = ()
    kind: str | None = None


class Checksum(NamedTuple):
    """A checksum in hexadecimal digits, and the IRI of its algorithm, such as
    ``spdx:checksumAlgorithm_sha256``.
    """

    value: str
    algorithm: str


class File(NamedTuple):
    """A file of a document: *access* and *download* are web addresses, *form* a media type or the
    source's name for it.

    *size* is in bytes.
    """

    access: str | None = None
    download: str | None = None
    titles: tuple[Text, ...] = ()
    form: str | None = None
    licence: str | None = None
    descriptions: tuple[Text, ...] = ()
    size: int | None = None
    checksum: Checksum | None = None


class Contact(NamedTuple):
    """How to reach an organization: an e-mail address, and the web address of a page. Persons'
    contacts are not published.
    """

    names: tuple[Text, ...]
    email: str | None = None
    page: str | None = None


class Period(NamedTuple):
    """The time that a resource is about, which is not the time of a project."""

    start: str | None = None
    end: str | None = None


class Detection(NamedTuple):
    """A language detected in the texts of a *field*: title, description, venue or content."""

    field: str
    language: str
    confidence: float  # 0 to 1


class Picture(NamedTuple):
    """A picture of a resource: *address* is its IRI, *caption* says what it shows."""

    address: str
    caption: Text | None = None


class Prize(NamedTuple):
    """A WSIS prize: category and stage are IRIs or the source's texts.

    *date* is when the stage was announced, *edition* the IRI of the contest's event, *name* that of
    a special prize.
    """

    category: str
    stage: str
    year: int | None = None
    date: str | None = None
    edition: str | None = None
    name: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """The common fields of initiatives, events, documents and posts.

    Dates are ISO 8601 if they could be parsed, else the source's text. ``countries`` and all coded
    values are IRIs, or the source's text if no crosswalk matches, which validation then reports.
    """

    key: str
    titles: tuple[Text, ...] = ()
    descriptions: tuple[Text, ...] = ()
    identifiers: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    issued: str | None = None
    modified: str | None = None
    last_reviewed: str | None = None  # when its reporter last confirmed that it is still true
    countries: tuple[Coded, ...] = ()
    parties: tuple[Party, ...] = ()
    action_lines: tuple[Claim, ...] = ()
    goals: tuple[Claim, ...] = ()
    targets: tuple[Claim, ...] = ()
    subjects: tuple[Text, ...] = ()
    themes: tuple[str, ...] = ()  # IRIs of concepts of other schemes
    periods: tuple[Period, ...] = ()  # what the resource is about
    conforms_to: tuple[str, ...] = ()  # web addresses, or names, of standards
    access_rights: str | None = None
    frequency: str | None = None  # how often the resource is updated: an IRI, or the source's text
    files: tuple[File, ...] = ()
    contacts: tuple[Contact, ...] = ()
    picture: Picture | None = None
    related: tuple[str, ...] = ()  # IRIs of other resources of ours
    part_of: tuple[str, ...] = ()  # IRIs of the wholes, or their titles if the source gives no key
    detected: tuple[Detection, ...] = ()  # languages detected in texts
    markup: tuple[str, ...] = ()  # title, description: fields from which HTML was removed
    # IRIs of the original records at other installations, the oldest first
    lineage: tuple[str, ...] = ()
    credit: str | None = None  # attribution, if the source obtained it from another


@dataclass(frozen=True, slots=True, kw_only=True)
class Initiative(Resource):
    """A project, programme, training, conference, website, guideline, toolkit or similar activity:
    ``wsis:Initiative``.
    """

    start: str | None = None
    end: str | None = None
    planned_start: str | None = None  # if the source keeps planned and actual dates apart
    planned_end: str | None = None
    coverage: Coded | None = None
    status: Coded | None = None
    stage: str | None = None  # the stage of its review at the source: an IRI, or the source's text
    activity_types: tuple[Coded, ...] = ()
    developed_in: tuple[str, ...] = ()  # countries
    amounts: tuple[Amount, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    places: tuple[Place, ...] = ()
    prizes: tuple[Prize, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Resource):
    """An event with a date: ``schema:Event``."""

    start: str | None = None
    end: str | None = None
    places: tuple[Place, ...] = ()
    venue: Text | None = None
    registration: str | None = None  # web address of the page on which participants register
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
    container: str | None = None  # IRI of the blog or forum
