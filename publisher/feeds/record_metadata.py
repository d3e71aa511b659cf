"""The metadata of a record for catalogues: titles, people, places, dates and subjects, read from
its graph.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from publisher.data.properties import PropertyTable, published_properties
from publisher.history.change_reader import Change
from publisher.history.record_states import RecordState, preferred_text
from publisher.rdf.results import Term
from publisher.store.descriptions import namespaces
from vocab.iris import Iris
from vocab.schemes import label
from vocab.terms import DCT, RDFS, SCHEMA, SKOS, WGS

_OF_DELETED = ("titles", "pages")


@dataclass(frozen=True, slots=True)
class NamedConcept:
    """An action line, goal, target or country of a record, with its English name."""

    iri: str
    name: str


@dataclass(frozen=True, slots=True)
class GeoPoint:
    """A location: degrees in WGS 84, and its name if known."""

    latitude: str
    longitude: str
    name: str | None


@dataclass(frozen=True, slots=True)
class RecordMetadata:
    """The metadata of a record; dates have the precision that the registry published.

    *concepts* are action lines, goals and targets: those stated by the registry, then those from
    crosswalks, without suggestions of classifiers.
    """

    record: str
    topic: str
    kind: str
    source: str
    titles: tuple[Term, ...]
    descriptions: tuple[Term, ...]
    leads: tuple[Term, ...]
    partners: tuple[Term, ...]
    funders: tuple[Term, ...]
    concepts: tuple[NamedConcept, ...]
    countries: tuple[NamedConcept, ...]
    subjects: tuple[Term, ...]
    pages: tuple[str, ...]
    identifiers: tuple[str, ...]
    languages: tuple[str, ...]
    licence: str | None
    issued: str | None
    modified: str | None
    start: Term | None
    end: Term | None
    venue: Term | None
    registration: str | None
    cancelled: bool
    places: tuple[GeoPoint, ...]

    @property
    def name(self) -> str:
        """Return its title, preferably the English one; its URL if it has no title."""
        title = preferred_text(self.titles)
        return title.value if title else self.topic


def read_metadata(
    change: Change, state: RecordState, iris: Iris, properties: PropertyTable | None = None
) -> RecordMetadata:
    """Read the metadata of a record after *change*; that of a deleted record has only titles and
    pages.
    """
    gone = state.graph if not state.all(f"{DCT}title") else None
    values = defaultdict[str, list[Term]](list)
    for name, predicate in _lists(iris, properties or published_properties()):
        values[name] += state.all(predicate, gone if name in _OF_DELETED else None)
    return RecordMetadata(
        record=state.graph,
        topic=state.topic,
        kind=change.kind,
        source=change.name.partition("/")[0],
        titles=tuple(values["titles"]),
        descriptions=tuple(values["descriptions"] or values["contents"]),
        leads=_names(state, values["leads"]),
        partners=_names(state, values["partners"]),
        funders=_names(state, values["funders"]),
        concepts=_concepts(values["concepts"], iris),
        countries=_concepts(values["countries"], iris),
        subjects=tuple(values["subjects"]),
        pages=_addresses(values["pages"]),
        identifiers=tuple(term.value for term in values["identifiers"]),
        languages=tuple(term.value for term in values["languages"]),
        licence=_text(_first(values["licences"])),
        issued=_text(_first(values["issued"])),
        modified=_text(_first(values["modified"])),
        start=_first(values["start"]),
        end=_first(values["end"]),
        venue=preferred_text(values["venues"]),
        registration=next(iter(_addresses(values["registrations"])), None),
        cancelled=Term(f"{SCHEMA}EventCancelled") in values["event_statuses"],
        places=tuple(_points(state, values["places"])),
    )


@lru_cache(maxsize=8)
def _lists(iris: Iris, properties: PropertyTable) -> list[tuple[str, str]]:
    """Return the names of the lists, each with the IRI of a property whose values it has: those
    that a registry declares before those from crosswalks.
    """
    spaces = namespaces(iris)
    rows = sorted((row for row in properties if row.metadata), key=lambda row: row.concept)
    return [(row.metadata, row.expand(spaces)) for row in rows]


def _first(terms: list[Term]) -> Term | None:
    return next(iter(terms), None)


def _addresses(terms: list[Term]) -> tuple[str, ...]:
    return tuple(term.value for term in terms if term.is_iri)


def _text(term: Term | None) -> str | None:
    return term.value if term else None


def _names(state: RecordState, terms: list[Term]) -> tuple[Term, ...]:
    """Return the names of organizations, or the texts that replace them."""
    named = (
        preferred_text(state.all(f"{SKOS}prefLabel", term.value)) if term.is_iri else term
        for term in terms
    )
    return tuple(term for term in named if term)


def _concepts(terms: list[Term], iris: Iris) -> tuple[NamedConcept, ...]:
    return tuple(
        dict.fromkeys(
            NamedConcept(term.value, label(term.value, "en", iris.base) or term.value)
            for term in terms
            if term.is_iri
        )
    )


def _points(state: RecordState, places: list[Term]) -> Iterable[GeoPoint]:
    for term in places:
        latitude = state.one(f"{WGS}lat", term.value)
        longitude = state.one(f"{WGS}long", term.value)
        if latitude and longitude:
            yield GeoPoint(
                latitude.value,
                longitude.value,
                _text(preferred_text(state.all(f"{RDFS}label", term.value))),
            )
