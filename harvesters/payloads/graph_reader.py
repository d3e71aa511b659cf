"""Read a graph as mappings need it: texts by language, words, links, dates, organizations and
places.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import orjson
from pyoxigraph import BlankNode, Literal, NamedNode

from harvesters.errors import ParseError
from harvesters.parsing import parser_errors
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.graph import Graph, Term, iri, is_blank_name
from harvesters.payloads.value_parsing import (
    normalize_inline,
    parse_date,
    parse_email,
    parse_language,
    parse_name,
    parse_number,
    parse_titles,
    unique_non_contact,
    unique_urls,
)
from vocab.identifiers import parse_identifier
from vocab.initiative import Contact, Party, Place, Role
from vocab.iris import is_web


def _iris(*names: str) -> tuple[str, ...]:
    return tuple(map(iri, names))


LABELS = _iris(
    "skos:prefLabel", "rdfs:label", "foaf:name", "schema:name", "dct:title", "vcard:fn", "org:name", "dc:title"
)  # fmt: skip
_PERSONS = _iris("foaf:Person", "schema:Person", "vcard:Individual", "prov:Person")
_ORGANIZATIONS = _iris(
    "vcard:Organization", "org:Organization", "foaf:Organization", "schema:Organization"
)
_EMAILS, _CONTACT_PAGES = _iris("vcard:hasEmail", "vcard:email"), _iris("vcard:hasURL", "vcard:url")
_PAGES, _SAME = _iris("foaf:homepage", "schema:url"), _iris("owl:sameAs", "schema:sameAs")
_IDENTIFIERS = _iris("schema:identifier", "dct:identifier", "adms:identifier")
_NOTATIONS = _iris("skos:notation", "schema:value")
_SHAPES = _iris("dcat:centroid", "locn:geometry", "gsp:asWKT", "gsp:hasGeometry", "schema:geo")
_LATITUDE, _LONGITUDE = _iris("geo:lat", "schema:latitude"), _iris("geo:long", "schema:longitude")
_POINT = re.compile(
    r"(?:<[^>]*+>\s*+)?POINT\s*+Z?\s*+\(\s*+(-?[\d.]++)[\s,]++(-?[\d.]++)", re.IGNORECASE
)
_PERSON = re.compile(r"https?://orcid\.org/")
_CODE = re.compile(r"[A-Za-z]{2,3}\Z")


@dataclass(frozen=True, slots=True)
class GraphReader:
    """A graph, and the language *tag* of texts without one."""

    graph: Graph
    tag: str | None

    def texts(
        self, *names: str, node: Term | None = None, form: Callable[[str], str] = normalize_inline
    ) -> list[tuple[str, str | None]]:
        """Return the texts of these properties (IRIs) with their languages; for a node its label."""
        texts: list[tuple[str, str | None]] = []
        for term in self.graph.all(node or self.graph.subject, *names):
            if isinstance(term, Literal):
                texts.append((form(term.value), self._language(term)))
            elif not isinstance(term, NamedNode) or self.graph.first(term, *LABELS):
                texts += self._labels(term, form)
        return texts

    def _labels(
        self, term: Term, form: Callable[[str], str] = normalize_inline
    ) -> list[tuple[str, str | None]]:
        """Return a node's label with its language, or those of the one property that has it."""
        name = next((name for name in LABELS if self.graph.all(term, name)), None)
        return self.texts(name, node=term, form=form) if name else []

    def _language(self, term: Literal) -> str | None:
        return (parse_language(term.language) or term.language) if term.language else self.tag

    def words(self, *names: str, node: Term | None = None) -> list[str]:
        """Return the words of these properties: texts, labels of nodes, and the IRIs of nodes
        without a label.
        """
        words = map(self.word, self.graph.all(node or self.graph.subject, *names))
        return list(dict.fromkeys(word for word in words if word))

    def word(self, term: Term) -> str:
        """Return the text or label of a value; empty for a blank node without a label."""
        text = normalize_inline(term.value) if isinstance(term, Literal) else ""
        if isinstance(term, NamedNode | BlankNode):
            labels = (name for name in self.graph.first(term, *LABELS) if isinstance(name, Literal))
            text = next((normalize_inline(name.value) for name in labels), "")
            if text or not isinstance(term, NamedNode):
                return text
            text = term.value
        return "" if is_blank_name(text) else text

    def first(self, *names: str) -> str | None:
        """Return the first word of the first of these properties that has one."""
        return next((word for name in names for word in self.words(name)), None)

    def links(self, *names: str, node: Term | None = None) -> list[str]:
        """Return the web addresses of these properties, whatever the kind of value."""
        terms = self.graph.all(node or self.graph.subject, *names)
        links = [term.value.strip() for term in terms if isinstance(term, NamedNode | Literal)]
        return [link for link in links if is_web(link) and not is_blank_name(link)]

    def date(self, *names: str, node: Term | None = None) -> str | None:
        """Return the date of the first of these properties that has one."""
        for term in self.graph.all(node or self.graph.subject, *names):
            if isinstance(term, Literal) and term.value.strip():
                return parse_date(normalize_inline(term.value))
        return None

    def parties(self, role: Role, *names: str, node: Term | None = None) -> Iterator[Party]:
        """Yield the organizations of these properties; persons and parties without a name are left
        out. A lead that is only an IRI is named by it.
        """
        for term in self.graph.all(node or self.graph.subject, *names):
            if not self.graph.types(term).isdisjoint(_PERSONS):
                continue
            word, labels = self.word(term), self._labels(term)
            if isinstance(term, Literal):
                labels = [(word, self._language(term))]
            elif not labels and role is Role.LEAD and is_web(word) and not _PERSON.match(word):
                labels = [(word, None)]
            if labels and labels[0][0]:
                pages = unique_non_contact(self.links(*_PAGES, node=term))
                page, assigned = pages[0] if pages else None, self._assigned(term)
                yield Party(role, parse_name(*labels[0]), page=page, identifiers=assigned)

    def contacts(self, parties: Iterable[Party], *names: str) -> Iterator[Contact]:
        """Yield the contacts of these properties that are an organization's: by their class, or by
        the name of one of *parties*. Others may be persons and are left out, as are contacts
        without an address.
        """
        known = {party.name.value.casefold() for party in parties}
        for term in self.graph.all(self.graph.subject, *names):
            types, texts = self.graph.types(term), parse_titles(self._labels(term))
            is_known = any(text.value.casefold() in known for text in texts)
            is_body = is_known or not types.isdisjoint(_ORGANIZATIONS)
            if not texts or not is_body or not types.isdisjoint(_PERSONS):
                continue
            email = next(filter(None, map(parse_email, self._emails(term))), None)
            page = next(iter(unique_urls(self.links(*_CONTACT_PAGES, node=term))), None)
            if email or page:
                yield Contact(texts, email, page)

    def _emails(self, term: Term) -> Iterator[str]:
        """Yield the e-mail addresses of a contact: IRIs, texts, or nodes with a value."""
        for value in self.graph.all(term, *_EMAILS):
            values = self.graph.all(value, iri("vcard:value")) or (value,)
            yield from (item.value for item in values if isinstance(item, NamedNode | Literal))

    def _assigned(self, term: Term) -> tuple[str, ...]:
        """Return the identifiers of an organization in other registries: its own IRI, and what it
        is the same as.
        """
        texts = [term.value] if isinstance(term, NamedNode) else []
        for node in self.graph.all(term, *_IDENTIFIERS):
            texts += self.words(*_NOTATIONS, node=node) or [self.word(node)]
        texts += self.links(*_SAME, node=term)
        assigned = (text for text in texts if parse_identifier(text, "organization"))
        return tuple(dict.fromkeys(assigned))

    def places(self, *names: str) -> Iterator[Place]:
        """Yield the points of these properties: WKT, GeoJSON, or a latitude and a longitude."""
        for term in self.graph.all(self.graph.subject, *names):
            label = next(iter(self._labels(term)), None)
            if point := self._point(term):
                yield Place(parse_name(*label) if label else None, *point)

    def countries(self, lexicon: CrosswalkLookup, *names: str) -> tuple[str, ...]:
        """Return the countries of these properties: by name, by the code at the end of their IRI,
        else the word itself.
        """
        countries: dict[str, None] = {}
        for term in self.graph.all(self.graph.subject, *names):
            word = self.word(term)
            code = term.value.rstrip("/#").rpartition("/")[2] if isinstance(term, NamedNode) else ""
            by_code = lexicon.find_country(code.upper()) if _CODE.match(code) else None
            if word and not _is_shape(term):
                countries[lexicon.find_country(word) or by_code or word] = None
        return tuple(countries)

    def _point(self, term: Term) -> tuple[float, float] | None:
        """Return the point of a term or of the first of its shapes that has one, if any. Shapes of
        shapes are followed, each node once: a node may be a shape of itself.
        """
        ahead, seen = [term], set[Term]()
        while ahead:
            node = ahead.pop()
            if node in seen:
                continue
            seen.add(node)
            sides = self.graph.first(node, *_LATITUDE)[:1] + self.graph.first(node, *_LONGITUDE)[:1]
            point = None
            if len(sides) == 2:
                point = _as_point(*(getattr(side, "value", "") for side in sides))
            elif isinstance(node, Literal):
                point = _parse_point(node.value)
            else:
                ahead += reversed(self.graph.all(node, *_SHAPES))
            if point:
                return point
        return None


def _is_shape(term: Term) -> bool:
    """Return whether a place is written as a geometry."""
    text = term.value.lstrip() if isinstance(term, Literal) else ""
    return bool(_POINT.match(text)) or text[:1] in {"{", "<"} or text.upper().startswith("POLYGON")


def _parse_point(text: str) -> tuple[float, float] | None:
    """Return the point of a WKT or GeoJSON text; a polygon has none."""
    if match := _POINT.match(text):
        return _as_point(match[2], match[1])
    with suppress(ParseError), parser_errors("GeoJSON"):
        match orjson.loads(text) if text.lstrip().startswith("{") else None:
            case {"type": "Point", "coordinates": [longitude, latitude, *_]}:
                return _as_point(str(latitude), str(longitude))
    return None


def _as_point(latitude: str, longitude: str) -> tuple[float, float] | None:
    north, east = parse_number(latitude), parse_number(longitude)
    return None if north is None or east is None else (north, east)
