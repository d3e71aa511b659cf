"""Read a graph as mappings need it: texts by language, words, links, dates, organizations and
places.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
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

LABELS = tuple(
    map(
        iri,
        (
            "skos:prefLabel",
            "rdfs:label",
            "foaf:name",
            "schema:name",
            "dct:title",
            "vcard:fn",
            "org:name",
            "dc:title",
        ),
    )
)
_PERSONS = frozenset(map(iri, ("foaf:Person", "schema:Person", "vcard:Individual", "prov:Person")))
_ORGANIZATIONS = frozenset(
    map(
        iri,
        ("vcard:Organization", "org:Organization", "foaf:Organization", "schema:Organization"),
    )
)
_EMAILS = tuple(map(iri, ("vcard:hasEmail", "vcard:email")))
_CONTACT_PAGES = tuple(map(iri, ("vcard:hasURL", "vcard:url")))
_POINT = re.compile(
    r"(?:<[^>]*+>\s*+)?POINT\s*+Z?\s*+\(\s*+(-?[\d.]++)[\s,]++(-?[\d.]++)", re.IGNORECASE
)
_PERSON = re.compile(r"https?://orcid\.org/")
_CODE = re.compile(r"[A-Za-z]{2,3}\Z")
_IDENTIFIERS = tuple(map(iri, ("schema:identifier", "dct:identifier", "adms:identifier")))
_NOTATIONS = tuple(map(iri, ("skos:notation", "schema:value")))
_SAME = tuple(map(iri, ("owl:sameAs", "schema:sameAs")))
_SHAPES = tuple(
    map(iri, ("dcat:centroid", "locn:geometry", "gsp:asWKT", "gsp:hasGeometry", "schema:geo"))
)
_LATITUDE = tuple(map(iri, ("geo:lat", "schema:latitude")))
_LONGITUDE = tuple(map(iri, ("geo:long", "schema:longitude")))


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
                texts.append(
                    (
                        form(term.value),
                        (parse_language(term.language) or term.language)
                        if term.language
                        else self.tag,
                    )
                )
            elif not isinstance(term, NamedNode) or self.graph.first(term, *LABELS):
                texts += self.texts(*self._label_property(term), node=term, form=form)
        return texts

    def words(self, *names: str, node: Term | None = None) -> list[str]:
        """Return the words of these properties: texts, labels of nodes, and the IRIs of nodes
        without a label.
        """
        return list(
            dict.fromkeys(
                word
                for term in self.graph.all(node or self.graph.subject, *names)
                if (word := self.word(term))
            )
        )

    def word(self, term: Term) -> str:
        """Return the text or label of a value; empty for a blank node without a label."""
        if isinstance(term, Literal):
            text = normalize_inline(term.value)
            return "" if is_blank_name(text) else text
        label = next(
            (
                normalize_inline(name.value)
                for name in self.graph.first(term, *LABELS)
                if isinstance(name, Literal)
            ),
            "",
        )
        if label or not isinstance(term, NamedNode):
            return label
        return "" if is_blank_name(term.value) else term.value

    def first(self, *names: str) -> str | None:
        """Return the first word of the first of these properties that has one."""
        return next((word for name in names for word in self.words(name)), None)

    def links(self, *names: str, node: Term | None = None) -> list[str]:
        """Return the web addresses of these properties, whatever the kind of value."""
        terms = self.graph.all(node or self.graph.subject, *names)
        return [
            term.value.strip()
            for term in terms
            if isinstance(term, NamedNode | Literal)
            and is_web(term.value.strip())
            and not is_blank_name(term.value.strip())
        ]

    def date(self, *names: str, node: Term | None = None) -> str | None:
        """Return the date of the first of these properties that has one."""
        values = (self.graph.all(node or self.graph.subject, name) for name in names)
        return next(
            (
                parse_date(normalize_inline(term.value))
                for terms in values
                for term in terms
                if isinstance(term, Literal) and term.value.strip()
            ),
            None,
        )

    def parties(self, role: Role, *names: str, node: Term | None = None) -> Iterator[Party]:
        """Yield the organizations of these properties; persons and parties without a name are left
        out. A lead that is only an IRI is named by it.
        """
        for term in self.graph.all(node or self.graph.subject, *names):
            if self.graph.types(term) & _PERSONS:
                continue
            name = (
                next(iter(self.texts(*self._label_property(term), node=term)), None)
                if not isinstance(term, Literal)
                else self._literal_text(term)
            )
            if not name and role is Role.LEAD and (address := self._address(term)):
                name = (address, None)
            if name and name[0]:
                pages = unique_non_contact(
                    self.links(iri("foaf:homepage"), iri("schema:url"), node=term)
                )
                yield Party(
                    role,
                    parse_name(*name),
                    page=pages[0] if pages else None,
                    identifiers=self._assigned(term),
                )

    def _address(self, term: Term) -> str:
        """Return the web address of a node without a name, unless it is a person's."""
        word = self.word(term)
        return word if is_web(word) and not _PERSON.match(word) else ""

    def contacts(self, parties: Iterable[Party], *names: str) -> Iterator[Contact]:
        """Yield the contacts of these properties that are an organization's: by their class, or by
        the name of one of *parties*. Others may be persons and are left out, as are contacts
        without an address.
        """
        known = {party.name.value.casefold() for party in parties}
        for term in self.graph.all(self.graph.subject, *names):
            if isinstance(term, Literal) or (types := self.graph.types(term)) & _PERSONS:
                continue
            texts = parse_titles(self.texts(*self._label_property(term), node=term))
            is_known = any(text.value.casefold() in known for text in texts)
            if not texts or not (is_known or types & _ORGANIZATIONS):
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
        if isinstance(term, Literal):
            return ()
        own = [term.value] if isinstance(term, NamedNode) else []
        nodes = self.graph.all(term, *_IDENTIFIERS)
        values = (
            word
            for node in nodes
            for word in (self.words(*_NOTATIONS, node=node) or [self.word(node)])
        )
        texts = (*own, *values, *self.links(*_SAME, node=term))
        return tuple(
            dict.fromkeys(text for text in texts if parse_identifier(text, "organization"))
        )

    def places(self, *names: str) -> Iterator[Place]:
        """Yield the points of these properties: WKT, GeoJSON, or a latitude and a longitude."""
        for term in self.graph.all(self.graph.subject, *names):
            label = (
                next(iter(self.texts(*self._label_property(term), node=term)), None)
                if not isinstance(term, Literal)
                else None
            )
            for point in self._points(term):
                yield Place(parse_name(*label) if label else None, *point)

    def countries(self, lexicon: CrosswalkLookup, *names: str) -> tuple[str, ...]:
        """Return the countries of these properties: by name, by the code at the end of their IRI,
        else the word itself.
        """
        terms = [
            term for term in self.graph.all(self.graph.subject, *names) if not self._is_shape(term)
        ]
        return tuple(
            dict.fromkeys(country for term in terms if (country := self._country(term, lexicon)))
        )

    def _country(self, term: Term, lexicon: CrosswalkLookup) -> str:
        word = self.word(term)
        code = term.value.rstrip("/#").rpartition("/")[2] if isinstance(term, NamedNode) else ""
        country = lexicon.find_country(word) if word else None
        return (
            country or (lexicon.find_country(code.upper()) if _CODE.match(code) else None) or word
        )

    def _is_shape(self, term: Term) -> bool:
        """Return whether a place is a geometry and nothing else."""
        if isinstance(term, Literal):
            return (
                bool(_POINT.match(term.value))
                or term.value.lstrip()[:1] in {"{", "<"}
                or term.value.upper().startswith("POLYGON")
            )
        return isinstance(term, BlankNode) and not self.word(term)

    def _literal_text(self, term: Literal) -> tuple[str, str | None]:
        return self.word(term), (
            parse_language(term.language) or term.language
        ) if term.language else self.tag

    def _label_property(self, term: Term) -> tuple[str, ...]:
        """Return the one property that has a node's label."""
        return next(((name,) for name in LABELS if self.graph.all(term, name)), ())

    def _points(self, term: Term) -> Iterator[tuple[float, float]]:
        """Yield the point of a term or of the first of its shapes that has one, if any. Shapes of
        shapes are followed, each node once: a node may be a shape of itself.
        """
        ahead, seen = [term], set[Term]()
        while ahead:
            node = ahead.pop()
            if node in seen:
                continue
            seen.add(node)
            latitude = self.graph.first(node, *_LATITUDE)
            longitude = self.graph.first(node, *_LONGITUDE)
            if latitude and longitude:
                north, east = (getattr(side[0], "value", "") for side in (latitude, longitude))
                points = list(_point(north, east))
            elif isinstance(node, Literal):
                points = list(_parse_point(node.value))
            else:
                ahead += reversed(self.graph.all(node, *_SHAPES))
                continue
            if points:
                yield points[0]
                return


def _parse_point(text: str) -> Iterator[tuple[float, float]]:
    """Yield the point of a WKT or GeoJSON text; a polygon has none."""
    if match := _POINT.match(text):
        yield from _point(match[2], match[1])
    elif text.lstrip().startswith("{"):
        try:
            with parser_errors("GeoJSON"):
                shape = orjson.loads(text)
        except ParseError:
            return
        if (
            shape.get("type") == "Point"
            and isinstance(shape.get("coordinates"), list)
            and len(shape["coordinates"]) >= 2
        ):
            yield from _point(str(shape["coordinates"][1]), str(shape["coordinates"][0]))


def _point(latitude: str, longitude: str) -> Iterator[tuple[float, float]]:
    point = parse_number(latitude), parse_number(longitude)
    if point[0] is not None and point[1] is not None:
        yield point[0], point[1]
