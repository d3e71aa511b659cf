"""Read the search entries of things."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache

from publisher.projections.search.index import SearchEntry, Texts
from publisher.projections.statement_source import Properties, StatementSource, Subjects
from publisher.rdf.ntriples_terms import Value
from vocab.iris import KINDS
from vocab.terms import DCT, FOAF, ORG, RDF, RDFS, SCHEMA, SIOC, SKOS

_NAME, _CLASS = f"{SKOS}prefLabel", f"{ORG}classification"
_TITLES = (f"{DCT}title", _NAME)
_TEXTS = (f"{DCT}description", f"{SIOC}content")
# of the ontology; action lines, goals and targets as registries declare them
_LINKS = ("actionLine", "goal", "target", "activityType")
_TYPE = f"{RDF}type"
_MODIFIED = f"{DCT}modified"
_TOPIC = f"{FOAF}primaryTopic"
_SPATIAL, _LOCATION, _LABEL = f"{DCT}spatial", f"{SCHEMA}location", f"{RDFS}label"


def thing_iris(source: StatementSource, base: str) -> Iterator[str]:
    """Yield the IRIs of all things of the indexed kinds."""
    return (iri for iri in source.subjects_with([_TYPE]) if parse_thing_iri(iri, base))


def parse_thing_iri(thing: str, base: str) -> tuple[str, str, str] | None:
    """Return kind, source and key of a thing's IRI, None if it is not the IRI of a thing.

    >>> parse_thing_iri("https://x.org/id/event/demo/e1", "https://x.org/")
    ('event', 'demo', 'e1')
    """
    parts = thing.removeprefix(f"{base}id/").split("/") if thing.startswith(f"{base}id/") else []
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 and parts[0] in KINDS else None


def read_entries(
    source: StatementSource, things: Collection[str], base: str
) -> dict[str, SearchEntry | None]:
    """Return the index entries of *things*; None of one that has no type, as of a deleted record."""
    link_properties, party_properties = _link_properties(base), _party_properties(base)
    read = source.subjects(
        [*things, *_records(things, base)],
        (
            _TYPE,
            *_TITLES,
            *_TEXTS,
            *link_properties,
            *party_properties,
            *_place_properties(base),
            _MODIFIED,
        ),
    )
    named = {
        value.text
        for thing in things
        for name in (*party_properties, _LOCATION)
        for value in read[thing].get(name, ())
        if value.iri
    }
    linked = source.subjects(named, (_NAME, _CLASS, _LABEL))
    return {thing: _entry(thing, read, linked, base) for thing in things}


def _entry(thing: str, read: Subjects, linked: Subjects, base: str) -> SearchEntry | None:
    parsed, properties = parse_thing_iri(thing, base), read[thing]
    if parsed is None or not any(value.iri for value in properties.get(_TYPE, ())):
        return None
    kind, source, key = parsed
    own = [
        linked[value.text] for value in _values(properties, _party_properties(base)) if value.iri
    ]
    links = [
        *_values(properties, _link_properties(base)),
        *(value for party in own for value in party.get(_CLASS, ())),
    ]
    names = {value for party in own for value in party.get(_NAME, ())}
    places = {
        place
        for value in _values(properties, _place_properties(base))
        for place in (linked.get(value.text, {}).get(_LABEL, ()) if value.iri else (value,))
    }
    # organizations have no records
    record = {} if kind == "organization" else read[f"{base}record/{source}/{key}"]
    return SearchEntry(
        thing,
        kind,
        source,
        _seconds(record.get(_MODIFIED, ())),
        ordered_texts(_values(properties, _TITLES)),
        ordered_texts(_values(properties, _TEXTS)),
        tuple(sorted({value.text for value in links if value.iri})),
        ordered_texts(names),
        ordered_texts(places),
    )


def _values(properties: Properties, names: Iterable[str]) -> Iterator[Value]:
    return (value for name in names for value in properties.get(name, ()))


def linked_things(
    source: StatementSource, organizations: Collection[str], base: str
) -> Iterator[str]:
    """Yield the things in which one of *organizations* takes part."""
    if organizations:
        things = source.subjects_with(_party_properties(base), organizations)
        yield from (thing for thing in things if parse_thing_iri(thing, base))


@cache
def _link_properties(base: str) -> tuple[str, ...]:
    return (_SPATIAL, _CLASS, *(f"{base}ns#{name}" for name in _LINKS))


@cache
def _party_properties(base: str) -> tuple[str, ...]:
    return (f"{DCT}publisher", f"{base}ns#partner", f"{SCHEMA}funder")


@cache
def _place_properties(base: str) -> tuple[str, ...]:
    return (_LOCATION, f"{base}ns#venue", _SPATIAL)


def ordered_texts(values: Iterable[Value]) -> Texts:
    """Return the literals of *values* with their languages, in the order of these."""
    texts = ((value.text, value.language) for value in values if not value.iri)
    return tuple(sorted(texts, key=lambda text: (text[1] or "", text[0])))


def _records(things: Iterable[str], base: str) -> Iterator[str]:
    for thing in things:
        if parts := parse_thing_iri(thing, base):
            yield f"{base}record/{parts[1]}/{parts[2]}"


def _seconds(times: Iterable[Value]) -> int:
    """Return the least of *times* in seconds since 1970, 0 if none can be read."""
    for text in sorted(time.text for time in times):
        with suppress(ValueError, OverflowError):
            return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())
    return 0


def described_things(source: StatementSource, changed: Iterable[str], base: str) -> set[str]:
    """Return the things in *changed*, and the things whose records are in *changed*."""
    iris = set(changed)
    things = {iri for iri in iris if iri.startswith(f"{base}id/")}
    records = source.subjects([iri for iri in iris - things if "#" not in iri], [_TOPIC])
    topics = (value for properties in records.values() for value in properties.get(_TOPIC, ()))
    return things | {value.text for value in topics if value.iri}
