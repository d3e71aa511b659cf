"""Said: what a graph says of a node, as a mapping asks it: texts by language, words, links, dates, organizations and places."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson
from pyoxigraph import BlankNode, Literal, NamedNode

from harvesters.errors import ParseError
from harvesters.parsing import parser_errors
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.graph import Graph, Term, iri
from harvesters.payloads.value_parsing import normalize_inline, parse_date, parse_language, parse_name, parse_number, unique_non_contact
from vocab.initiative import Party, Place, Role
from vocab.iris import is_web

LABELS = tuple(map(iri, ("skos:prefLabel", "rdfs:label", "foaf:name", "schema:name", "dct:title", "vcard:fn", "org:name", "dc:title")))
_PERSONS = frozenset(map(iri, ("foaf:Person", "schema:Person", "vcard:Individual", "prov:Person")))
_POINT = re.compile(r"(?:<[^>]*+>\s*+)?POINT\s*+Z?\s*+\(\s*+(-?[\d.]++)[\s,]++(-?[\d.]++)", re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z]{2,3}\Z")
_SHAPES = tuple(map(iri, ("dcat:centroid", "locn:geometry", "gsp:asWKT", "gsp:hasGeometry", "schema:geo")))
_LATITUDE, _LONGITUDE = tuple(map(iri, ("geo:lat", "schema:latitude"))), tuple(map(iri, ("geo:long", "schema:longitude")))


@dataclass(frozen=True, slots=True)
class GraphReader:
    """A graph, and the *tag* of texts that name no language."""

    graph: Graph
    tag: str | None

    def texts(self, *names: str, of: Term | None = None, form: Callable[[str], str] = normalize_inline) -> list[tuple[str, str | None]]:
        """Give the texts of these properties (IRIs) with their languages; a node's is what it is called."""
        found: list[tuple[str, str | None]] = []
        for term in self.graph.all(of or self.graph.subject, *names):
            if isinstance(term, Literal):
                found.append((form(term.value), (parse_language(term.language) or term.language) if term.language else self.tag))
            elif not isinstance(term, NamedNode) or self.graph.first(term, *LABELS):
                found += self.texts(*self._label(term), of=term, form=form)
        return found

    def words(self, *names: str, of: Term | None = None) -> list[str]:
        """Give the words of these properties: texts, what nodes are called, and the IRIs of those that are called nothing."""
        return list(dict.fromkeys(word for term in self.graph.all(of or self.graph.subject, *names) if (word := self.word(term))))

    def word(self, term: Term) -> str:
        """Give what a value is called; empty where a blank node has no name."""
        if isinstance(term, Literal):
            return normalize_inline(term.value)
        label = next((normalize_inline(it.value) for it in self.graph.first(term, *LABELS) if isinstance(it, Literal)), "")
        return label or (term.value if isinstance(term, NamedNode) else "")

    def first(self, *names: str) -> str | None:
        """Give the first word of the first of these properties that has one."""
        return next((word for name in names for word in self.words(name)), None)

    def links(self, *names: str, of: Term | None = None) -> list[str]:
        """Give the web addresses of these properties, of whatever kind of value."""
        terms = self.graph.all(of or self.graph.subject, *names)
        return [it.value.strip() for it in terms if isinstance(it, NamedNode | Literal) and is_web(it.value.strip())]

    def date(self, *names: str, of: Term | None = None) -> str | None:
        """Give the date of the first of these properties that has one."""
        found = (self.graph.all(of or self.graph.subject, name) for name in names)
        return next(
            (parse_date(normalize_inline(it.value)) for terms in found for it in terms if isinstance(it, Literal) and it.value.strip()),
            None,
        )

    def parties(self, role: Role, *names: str) -> Iterator[Party]:
        """Give the organizations of these properties; persons are left out, and so is who has no name."""
        for term in self.graph.all(self.graph.subject, *names):
            if self.graph.types(term) & _PERSONS:
                continue
            name = next(iter(self.texts(*self._label(term), of=term)), None) if not isinstance(term, Literal) else self._own(term)
            if name and name[0]:
                pages = unique_non_contact(self.links(iri("foaf:homepage"), iri("schema:url"), of=term))
                yield Party(role, parse_name(*name), page=pages[0] if pages else None)

    def places(self, *names: str) -> Iterator[Place]:
        """Give the points of these properties: WKT, GeoJSON, or a latitude and a longitude."""
        for term in self.graph.all(self.graph.subject, *names):
            label = next(iter(self.texts(*self._label(term), of=term)), None) if not isinstance(term, Literal) else None
            for spot in self._spots(term):
                yield Place(parse_name(*label) if label else None, *spot)

    def countries(self, lexicon: CrosswalkLookup, *names: str) -> tuple[str, ...]:
        """Give the countries of these properties: by name, by the code at the end of their IRI, else the word itself."""
        terms = [term for term in self.graph.all(self.graph.subject, *names) if not self._shaped(term)]
        return tuple(dict.fromkeys(land for term in terms if (land := self._land(term, lexicon))))

    def _land(self, term: Term, lexicon: CrosswalkLookup) -> str:
        word = self.word(term)
        code = term.value.rstrip("/#").rpartition("/")[2] if isinstance(term, NamedNode) else ""
        found = lexicon.find_country(word) if word else None
        return found or (lexicon.find_country(code.upper()) if _CODE.match(code) else None) or word

    def _shaped(self, term: Term) -> bool:
        """Tell whether a place is a shape and nothing else."""
        if isinstance(term, Literal):
            return bool(_POINT.match(term.value)) or term.value.lstrip()[:1] in {"{", "<"} or term.value.upper().startswith("POLYGON")
        return isinstance(term, BlankNode) and not self.word(term)

    def _own(self, term: Literal) -> tuple[str, str | None]:
        return normalize_inline(term.value), (parse_language(term.language) or term.language) if term.language else self.tag

    def _label(self, term: Term) -> tuple[str, ...]:
        """Give the one property that says what a node is called."""
        return next(((name,) for name in LABELS if self.graph.all(term, name)), ())

    def _spots(self, term: Term) -> Iterator[tuple[float, float]]:
        latitude, longitude = self.graph.first(term, *_LATITUDE), self.graph.first(term, *_LONGITUDE)
        if latitude and longitude:
            yield from _pair(getattr(latitude[0], "value", ""), getattr(longitude[0], "value", ""))
            return
        if isinstance(term, Literal):
            yield from _spot(term.value)
            return
        for shape in self.graph.all(term, *_SHAPES):
            if found := list(self._spots(shape)):
                yield found[0]
                return


def _spot(text: str) -> Iterator[tuple[float, float]]:
    """Give the point that a WKT or GeoJSON text is; a polygon is none, and is not made one."""
    if match := _POINT.match(text):
        yield from _pair(match[2], match[1])
    elif text.lstrip().startswith("{"):
        try:
            with parser_errors("GeoJSON"):
                shape = orjson.loads(text)
        except ParseError:
            return
        if shape.get("type") == "Point" and isinstance(shape.get("coordinates"), list) and len(shape["coordinates"]) >= 2:
            yield from _pair(str(shape["coordinates"][1]), str(shape["coordinates"][0]))


def _pair(latitude: str, longitude: str) -> Iterator[tuple[float, float]]:
    spot = parse_number(latitude), parse_number(longitude)
    if spot[0] is not None and spot[1] is not None:
        yield spot[0], spot[1]
