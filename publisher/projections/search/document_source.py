"""Read the search entry of a thing from the RDF store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

from pyoxigraph import DefaultGraph, Literal, NamedNode, Quad

from publisher.projections.quad_source import QuadSource
from publisher.projections.search.index import SearchEntry, Texts
from vocab.iris import KINDS
from vocab.terms import DCT, FOAF, ORG, RDF, SCHEMA, SIOC, SKOS

_NAME = NamedNode(f"{SKOS}prefLabel")
_TITLES = frozenset({NamedNode(f"{DCT}title"), _NAME})
_TEXTS = frozenset({NamedNode(f"{DCT}description"), NamedNode(f"{SIOC}content")})
_SPATIAL, _CLASS = NamedNode(f"{DCT}spatial"), NamedNode(f"{ORG}classification")
# of the ontology; action lines, goals and targets as registries declare them
_LINKS = (
    "actionLine",
    "goal",
    "target",
    "activityType",
)
_TYPE = NamedNode(f"{RDF}type")
_MODIFIED = NamedNode(f"{DCT}modified")
_TOPIC = NamedNode(f"{FOAF}primaryTopic")
_DEFAULT_GRAPH = DefaultGraph()
_Text = tuple[str, str | None]  # with its language


def thing_iris(store: QuadSource, base: str) -> Iterator[str]:
    """Yield the IRIs of all things of the indexed kinds; some are repeated."""
    for quad in store.quads_for_pattern(None, _TYPE, None, _DEFAULT_GRAPH):
        if isinstance(quad.subject, NamedNode) and parse_thing_iri(quad.subject.value, base):
            yield quad.subject.value


def parse_thing_iri(thing: str, base: str) -> tuple[str, str, str] | None:
    """Return kind, source and key of a thing's IRI, None if it is not the IRI of a thing.

    >>> parse_thing_iri("https://x.org/id/event/demo/e1", "https://x.org/")
    ('event', 'demo', 'e1')
    """
    parts = thing.removeprefix(f"{base}id/").split("/") if thing.startswith(f"{base}id/") else []
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 and parts[0] in KINDS else None


class Organization(NamedTuple):
    """The names and classes that an organization adds to the search entry of each thing in which it
    takes part, and all that is stated of it.
    """

    names: Texts
    classes: tuple[str, ...]
    quads: tuple[Quad, ...]


def read_entry(
    store: QuadSource, thing: str, base: str, organizations: dict[str, Organization] | None = None
) -> SearchEntry | None:
    """Return the index entry of *thing*; None if the store has no type of it, as for deleted
    records.

    *organizations* is a cache by IRI, valid while the store does not change.
    """
    parsed = parse_thing_iri(thing, base)
    if parsed is None:
        return None
    kind, source, key = parsed
    cached: dict[str, Organization] = {} if organizations is None else organizations
    titles, texts = list[_Text](), list[_Text]()
    names: dict[_Text, None] = {}
    links: set[str] = set()
    has_type = False
    link_properties, party_properties = _link_properties(base), _party_properties(base)
    for quad in _statements(store, NamedNode(thing), kind, cached):
        predicate, value = quad.predicate, quad.object
        if isinstance(value, Literal):
            if predicate in _TITLES:
                titles.append((value.value, value.language))
            elif predicate in _TEXTS:
                texts.append((value.value, value.language))
        elif isinstance(value, NamedNode):
            has_type = has_type or predicate == _TYPE
            if predicate in link_properties:
                links.add(value.value)
            elif predicate in party_properties:
                organization = _cached_organization(store, value, cached)
                names.update(dict.fromkeys(organization.names))
                links.update(organization.classes)
    if not has_type:
        return None
    # organizations have no records
    modified = 0 if kind == "organization" else _modified(store, f"{base}record/{source}/{key}")
    related = tuple(sorted(links))
    return SearchEntry(
        thing, kind, source, modified, _ordered(titles), _ordered(texts), related, _ordered(names)
    )


def _statements(
    store: QuadSource, node: NamedNode, kind: str, cached: dict[str, Organization]
) -> Iterable[Quad]:
    if kind == "organization":
        return _cached_organization(store, node, cached).quads
    return store.quads_for_pattern(node, None, None, _DEFAULT_GRAPH)


def _cached_organization(
    store: QuadSource, node: NamedNode, cached: dict[str, Organization]
) -> Organization:
    if (known := cached.get(node.value)) is None:
        known = cached[node.value] = _organization(store, node)
    return known


def linked_things(store: QuadSource, organization: str, base: str) -> Iterator[str]:
    """Yield the things in which *organization* takes part; a thing is repeated for each role."""
    for predicate in _party_properties(base):
        for quad in store.quads_for_pattern(
            None, predicate, NamedNode(organization), _DEFAULT_GRAPH
        ):
            if isinstance(quad.subject, NamedNode) and parse_thing_iri(quad.subject.value, base):
                yield quad.subject.value


def organizations_of(store: QuadSource, things: Iterable[str], base: str) -> set[str]:
    """Return the organizations that take part in *things*."""
    quads = (
        quad
        for thing in things
        for quad in store.quads_for_pattern(NamedNode(thing), None, None, _DEFAULT_GRAPH)
    )
    return {
        quad.object.value
        for quad in quads
        if quad.predicate in _party_properties(base) and isinstance(quad.object, NamedNode)
    }


@cache
def _link_properties(base: str) -> frozenset[NamedNode]:
    return frozenset({_SPATIAL, _CLASS, *(NamedNode(f"{base}ns#{name}") for name in _LINKS)})


@cache
def _party_properties(base: str) -> frozenset[NamedNode]:
    return frozenset(
        {NamedNode(f"{DCT}publisher"), NamedNode(f"{base}ns#partner"), NamedNode(f"{SCHEMA}funder")}
    )


def _organization(store: QuadSource, organization: NamedNode) -> Organization:
    names: list[tuple[str, str | None]] = []
    classes: set[str] = set()
    quads = tuple(store.quads_for_pattern(organization, None, None, _DEFAULT_GRAPH))
    for quad in quads:
        if quad.predicate == _NAME and isinstance(quad.object, Literal):
            names.append((quad.object.value, quad.object.language))
        elif quad.predicate == _CLASS and isinstance(quad.object, NamedNode):
            classes.add(quad.object.value)
    return Organization(_ordered(names), tuple(sorted(classes)), quads)


def _ordered(texts: Iterable[tuple[str, str | None]]) -> Texts:
    return tuple(sorted(texts, key=lambda text: (text[1] or "", text[0])))


def record_iris(things: Iterable[str], base: str) -> Iterator[str]:
    """Yield the IRIs of the records of *things*."""
    for thing in things:
        if parts := parse_thing_iri(thing, base):
            yield f"{base}record/{parts[1]}/{parts[2]}"


def _modified(store: QuadSource, record: str) -> int:
    for quad in store.quads_for_pattern(NamedNode(record), _MODIFIED, None, _DEFAULT_GRAPH):
        if isinstance(quad.object, Literal):
            with suppress(ValueError, OverflowError):
                return int(datetime.fromisoformat(quad.object.value).astimezone(UTC).timestamp())
    return 0


def described_things(store: QuadSource, changed: Iterable[str], base: str) -> set[str]:
    """Return the things in *changed*, and the things whose records are in *changed*."""
    things: set[str] = set()
    for iri in changed:
        if iri.startswith(f"{base}id/"):
            things.add(iri)
        elif "#" not in iri:
            objects = (
                quad.object
                for quad in store.quads_for_pattern(NamedNode(iri), _TOPIC, None, _DEFAULT_GRAPH)
            )
            things.update(thing.value for thing in objects if isinstance(thing, NamedNode))
    return things
