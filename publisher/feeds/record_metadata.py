"""The metadata of a record for catalogues: titles, people, places, dates and subjects, read from
its graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from publisher.history.change_reader import Change
from publisher.history.record_states import RecordState, preferred_text
from publisher.rdf.results import Term
from vocab.iris import Iris
from vocab.schemes import label
from vocab.terms import DCAT, DCT, FOAF, RDFS, SCHEMA, SIOC, SKOS, WGS

# Suggestions of classifiers (suggestedGoal) are left out.
_CLAIMED = (
    "actionLine",
    "crosswalkedActionLine",
    "goal",
    "crosswalkedGoal",
    "target",
    "crosswalkedTarget",
)


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


def read_metadata(change: Change, state: RecordState, iris: Iris) -> RecordMetadata:
    """Read the metadata of a record after *change*; that of a deleted record has only titles and
    pages.
    """
    gone = state.graph if not state.all(f"{DCT}title") else None
    ns = iris.ns
    return RecordMetadata(
        record=state.graph,
        topic=state.topic,
        kind=change.kind,
        source=change.name.partition("/")[0],
        titles=tuple(state.all(f"{DCT}title", gone)),
        descriptions=tuple(state.all(f"{DCT}description") or state.all(f"{SIOC}content")),
        leads=_names(state, f"{DCT}publisher", f"{DCT}creator"),
        partners=_names(state, f"{ns}partner"),
        funders=_names(state, f"{SCHEMA}funder"),
        concepts=_concepts((term for name in _CLAIMED for term in state.all(ns + name)), iris),
        countries=_concepts(state.all(f"{DCT}spatial"), iris),
        subjects=tuple(state.all(f"{DCAT}keyword")),
        pages=tuple(term.value for term in state.all(f"{FOAF}page", gone) if term.is_iri),
        identifiers=tuple(term.value for term in state.all(f"{DCT}identifier")),
        languages=tuple(term.value for term in state.all(f"{DCT}language")),
        licence=_text(state.one(f"{DCT}license")),
        issued=_text(state.one(f"{DCT}issued")),
        modified=_text(state.one(f"{DCT}modified")),
        start=state.one(f"{SCHEMA}startDate"),
        end=state.one(f"{SCHEMA}endDate"),
        venue=preferred_text(state.all(f"{ns}venue")),
        registration=next(
            (term.value for term in state.all(f"{ns}registration") if term.is_iri), None
        ),
        cancelled=any(
            term.value == f"{SCHEMA}EventCancelled" for term in state.all(f"{SCHEMA}eventStatus")
        ),
        places=tuple(_points(state)),
    )


def _text(term: Term | None) -> str | None:
    return term.value if term else None


def _names(state: RecordState, *properties: str) -> tuple[Term, ...]:
    """Return the names of organizations, or the texts that replace them."""
    terms = (term for name in properties for term in state.all(name))
    named = (
        preferred_text(state.all(f"{SKOS}prefLabel", term.value)) if term.is_iri else term
        for term in terms
    )
    return tuple(term for term in named if term)


def _concepts(terms: Iterable[Term], iris: Iris) -> tuple[NamedConcept, ...]:
    return tuple(
        dict.fromkeys(
            NamedConcept(term.value, label(term.value, "en", iris.base) or term.value)
            for term in terms
            if term.is_iri
        )
    )


def _points(state: RecordState) -> Iterable[GeoPoint]:
    for term in state.all(f"{SCHEMA}location"):
        latitude = state.one(f"{WGS}lat", term.value)
        longitude = state.one(f"{WGS}long", term.value)
        if latitude and longitude:
            yield GeoPoint(
                latitude.value,
                longitude.value,
                _text(preferred_text(state.all(f"{RDFS}label", term.value))),
            )
