"""Find values in a record's graph, for the tables of the schemas of RDF: texts with their languages,
words, links, organizations, places and countries.

The functions return functions of a node, whose properties are named with a prefix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from pyoxigraph import Literal, NamedNode

from harvesters.mappings.schema import Entry, FieldTable, Part
from harvesters.page_model import Record
from harvesters.payloads.graph import TYPE, Graph, Properties, Term, iri, is_blank_name
from harvesters.payloads.value_parsing import (
    decode_json,
    normalize_inline,
    parse_email,
    parse_language,
    parse_number,
    parse_titles,
    unique_urls,
)
from vocab.identifiers import parse_identifier
from vocab.initiative import Contact, Party, Role, Text
from vocab.iris import is_web

LABELS = ("skos:prefLabel", "rdfs:label", "foaf:name", "schema:name", "dct:title", "vcard:fn", "org:name", "dc:title")  # fmt: skip
_LABELS = tuple(map(iri, LABELS))
_PERSONS = frozenset(map(iri, ("foaf:Person", "schema:Person", "vcard:Individual", "prov:Person")))
_ORGANIZATIONS = frozenset(map(iri, (
    "vcard:Organization", "org:Organization", "foaf:Organization", "schema:Organization",
)))  # fmt: skip
_POINT = re.compile(
    r"(?:<[^>]*+>\s*+)?POINT\s*+Z?\s*+\(\s*+(-?[\d.]++)[\s,]++(-?[\d.]++)", re.IGNORECASE
)
_SHAPES = ("dcat:centroid", "locn:geometry", "gsp:asWKT", "gsp:hasGeometry", "schema:geo")
_PERSON = re.compile(r"https?://orcid\.org/")
_CODE = re.compile(r"[A-Za-z]{2,3}\Z")
_VALUES = (NamedNode, Literal)

# These functions find the fields with their languages; a text without one has the source's.
TAGGED = frozenset(("title", "description", "keywords", "creators", "content", "venue", "name", "place"))  # fmt: skip


class GraphNode(NamedTuple):
    """A node of a record's graph with its properties, read by a table."""

    table: FieldTable
    key: str
    graph: Graph
    term: Term
    about: Properties

    def node(self, term: Term) -> GraphNode:
        """Return a value of the node as a node."""
        return GraphNode(self.table, self.key, self.graph, term, self.graph.about(term))

    def types(self) -> frozenset[str]:
        """Return the classes of the node as IRIs."""
        terms = self.about.get(TYPE, ())
        return frozenset([term.value for term in terms if isinstance(term, NamedNode)])

    def labels(self) -> list[Text]:
        """Return a literal with its language, or a node's labels of the first property that has
        any.
        """
        if isinstance(self.term, Literal):
            tag = self.term.language
            own = (parse_language(tag) or tag) if tag else self.table.language
            return [Text(self.term.value, own)]
        return [text for term in self._label_terms() for text in self.node(term).labels()]

    def _label_terms(self) -> tuple[Term, ...]:
        return next((self.about[name] for name in _LABELS if name in self.about), ())

    def word(self) -> str:
        """Return the text or label of a value, else its IRI; empty for a blank node without a
        label.
        """
        terms = self._label_terms() if self.about else (self.term,)
        texts = (normalize_inline(term.value) for term in terms if isinstance(term, Literal))
        own = self.term.value if isinstance(self.term, NamedNode) else ""
        text = next(texts, "") or own
        return "" if is_blank_name(text) else text


Find = Callable[[GraphNode], list[Any]]


def root(table: FieldTable, record: Record[Graph]) -> GraphNode:
    """Return the node that a record is about."""
    graph = record.payload
    return GraphNode(table, record.key, graph, graph.subject, graph.about(graph.subject))


def _properties(find: Callable[[GraphNode, list[Term]], list[Any]]) -> Callable[..., Find]:
    """Return the function of the names of properties that returns how to find what *find* makes of
    a node and the values of these properties.
    """

    @cache
    def make(*names: str) -> Find:
        iris = tuple(map(iri, names))

        def find_values(node: GraphNode) -> list[Any]:
            about = node.about
            if about.keys().isdisjoint(iris):
                return []  # Most nodes have few of the properties that a table names.
            return find(node, [term for name in iris if name in about for term in about[name]])

        return find_values

    return make


@_properties
def nodes(node: GraphNode, terms: list[Term]) -> list[GraphNode]:
    """Find the values of these properties."""
    return [node.node(term) for term in terms]


def inside(outer: Find, inner: Find) -> Find:
    """Find what *inner* finds in each value of *outer*."""
    return lambda node: [value for each in outer(node) for value in inner(each)]


def texts(*names: str) -> Find:
    """Find the texts of these properties with their languages; for a node its labels."""
    return inside(nodes(*names), GraphNode.labels)


@_properties
def words(node: GraphNode, terms: list[Term]) -> list[str]:
    """Find the words of these properties: texts, labels of nodes, and the IRIs of nodes without a
    label.
    """
    return list(dict.fromkeys([w for term in terms if (w := node.node(term).word())]))


@_properties
def tagged_words(node: GraphNode, terms: list[Term]) -> list[Text]:
    """Find the words of these properties, with the languages of those that are texts."""
    values = [node.node(term) for term in terms]
    tags = {normalize_inline(text): tag for each in values for text, tag in each.labels()}
    unique = dict.fromkeys([word for each in values if (word := each.word())])
    return [Text(word, tags.get(word)) for word in unique]


@_properties
def literals(node: GraphNode, terms: list[Term]) -> list[str]:
    """Find the values of these properties that are texts, not empty."""
    return [t.value for t in terms if isinstance(t, Literal) and t.value.strip()]


@_properties
def links(node: GraphNode, terms: list[Term]) -> list[str]:
    """Find the web addresses of these properties, whatever the kind of value."""
    addresses = [term.value.strip() for term in terms if isinstance(term, _VALUES)]
    return [link for link in unique_urls(addresses) if not is_blank_name(link)]


def identifiers(*names: str, notations: tuple[str, ...]) -> Find:
    """Find identifiers: the *notations* of a node, else its word."""
    find = words(*notations)
    return inside(nodes(*names), lambda node: find(node) or [node.word()])


_find_assigned = identifiers(
    "schema:identifier", "dct:identifier", "adms:identifier", notations=("skos:notation", "schema:value")
)  # fmt: skip


def _assigned(node: GraphNode) -> list[str]:
    """Find the identifiers of an organization in other registries: its own IRI, and what it is the
    same as.
    """
    own = [node.term.value] if isinstance(node.term, NamedNode) else []
    known = [*own, *_find_assigned(node), *links("owl:sameAs", "schema:sameAs")(node)]
    return [text for text in known if parse_identifier(text, "organization")]


def _lead_name(node: GraphNode) -> list[Text]:
    """Find the name of an organization; one that is only an IRI is named by it."""
    word = node.word()
    return _name(node) or [Text(word)] * (is_web(word) and not _PERSON.match(word))


def _name(node: GraphNode) -> list[Text]:
    return node.labels() if node.word() else []


def organizations(role: Role, find: Find) -> Part:
    """Return the part of a table for the organizations that *find* finds; persons and parties
    without a name are left out.
    """
    fields: dict[str, Entry] = {
        "name": _lead_name if role is Role.LEAD else _name,
        "page": links("foaf:homepage", "schema:url"),
        "identifiers": _assigned,
    }
    return Part(
        lambda node: [each for each in find(node) if _PERSONS.isdisjoint(each.types())],
        fields,
        role,
    )


def contacts(node: GraphNode, parties: Iterable[Party], *names: str) -> Iterator[Contact]:
    """Yield the contacts of these properties that are an organization's: by their class, or by the
    name of one of *parties*. Others may be persons and are left out, as are contacts without an
    address.
    """
    known = {party.name.value.casefold() for party in parties}
    for contact in nodes(*names)(node):
        called = parse_titles((normalize_inline(text), tag) for text, tag in contact.labels())
        is_known = any(text.value.casefold() in known for text in called)
        is_body = is_known or not _ORGANIZATIONS.isdisjoint(contact.types())
        if not called or not is_body or not _PERSONS.isdisjoint(contact.types()):
            continue
        written = nodes("vcard:hasEmail", "vcard:email")(contact)
        values = [value for each in written for value in nodes("vcard:value")(each) or [each]]
        emails = map(parse_email, (getattr(value.term, "value", "") for value in values))
        pages = links("vcard:hasURL", "vcard:url")(contact)
        email, page = next(filter(None, emails), None), next(iter(pages), None)
        if email or page:
            yield Contact(called, email, page)


@_properties
def countries(node: GraphNode, terms: list[Term]) -> list[str]:
    """Find the countries of these properties: by name, by the code at the end of their IRI, else the
    word itself.
    """
    countries, lookup = [], node.table.lexicon.find_country
    for place in map(node.node, terms):
        word, address = place.word(), place.term.value if isinstance(place.term, NamedNode) else ""
        code = address.rstrip("/#").rpartition("/")[2]
        by_code = lookup(code.upper()) if _CODE.match(code) else None
        if word and not _is_shape(place.term):
            countries.append(lookup(word) or by_code or word)
    return countries


def places(*names: str) -> Part:
    """Return the part of a table for the points of these properties: WKT, GeoJSON, or a latitude and
    a longitude.
    """
    find = nodes(*names)
    fields: dict[str, Entry] = {
        "place": lambda node: [] if isinstance(node.term, Literal) else node.labels()[:1],
        "latitude": lambda node: find_point(node)[:1],
        "longitude": lambda node: find_point(node)[1:],
    }
    return Part(find, fields)


def find_point(place: GraphNode) -> list[str]:
    """Find the latitude and longitude of a place, of the first of its shapes that has a point, or of
    the shapes of these.
    """
    find_shapes = nodes(*_SHAPES)
    shapes = find_shapes(place)
    every = (place, *shapes, *(inner for shape in shapes for inner in find_shapes(shape)))
    find_degrees = (
        literals("geo:lat", "schema:latitude"),
        literals("geo:long", "schema:longitude"),
    )
    points = (
        _parse_point(node.term.value)
        if isinstance(node.term, Literal)
        else [degrees for find in find_degrees for degrees in find(node)[:1]]
        for node in every
    )
    valid = (p for p in points if len(p) == 2 and None not in map(parse_number, p))
    return next(valid, [])


def _is_shape(term: Term) -> bool:
    """Return whether a place is written as a geometry."""
    text = term.value.lstrip() if isinstance(term, Literal) else ""
    return bool(_POINT.match(text)) or text[:1] in {"{", "<"} or text.upper().startswith("POLYGON")


def _parse_point(text: str) -> list[str]:
    """Return the latitude and longitude of a WKT or GeoJSON text; a polygon has none."""
    if match := _POINT.match(text):
        return [match[2], match[1]]
    match decode_json(text) if text.lstrip().startswith("{") else None:
        case {"type": "Point", "coordinates": [longitude, latitude, *_]}:
            return [str(latitude), str(longitude)]
    return []
