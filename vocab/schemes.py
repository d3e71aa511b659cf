"""Read the ontology, the concept schemes and the matrix from their Turtle files.

A file's graph is the IRI of the ontology, scheme or collection that it declares, so that a new file
needs no registration.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from importlib.resources import files

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse

from vocab.initiative import Text
from vocab.iris import BASE
from vocab.terms import DCT, RDF, SKOS

_VERSION = 1  # Increment it if the same files yield other statements.
_TYPE = NamedNode(f"{RDF}type")
_GRAPH_TYPES = {
    NamedNode("http://www.w3.org/2002/07/owl#Ontology"),
    NamedNode(f"{SKOS}ConceptScheme"),
    NamedNode(f"{SKOS}Collection"),
}
_LABEL = NamedNode("http://www.w3.org/2000/01/rdf-schema#label")
_NAMES = tuple(NamedNode(f"{SKOS}{name}") for name in ("prefLabel", "altLabel", "hiddenLabel"))
_MATCHES = tuple(NamedNode(f"{SKOS}{name}") for name in ("exactMatch", "closeMatch", "broadMatch"))
_CODES = tuple(
    NamedNode(f"http://metadata.un.org/sdg/codes/geoArea#{name}")
    for name in ("iso2code", "iso3code")
)


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept: its notations, its names (preferred ones first) and the concepts of other schemes
    that it matches or concerns.

    *regions* are the IRIs of the ITU regions of a country.
    """

    iri: str
    types: frozenset[str]
    notations: tuple[str, ...]
    codes: tuple[str, ...]  # ISO 3166 alpha-2 and alpha-3, of a country
    labels: tuple[Text, ...]
    broader: tuple[str, ...]
    matches: tuple[str, ...]
    regions: tuple[str, ...]


def read_files() -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each Turtle file of the vocabulary, crosswalks last."""
    data = files("vocab") / "data"
    for folder in (data, data / "crosswalks"):
        for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if file.name.endswith(".ttl"):
                yield file.name, file.read_bytes()


def digest(base: str = BASE) -> str:
    """Return a digest of the vocabulary's files, in hexadecimal; faster than the statements.

    >>> digest() == digest(), digest() == digest("https://example.org/")
    (True, False)
    """
    hasher = blake2b(f"{_VERSION} {base}".encode(), digest_size=16)
    for _, text in read_files():
        hasher.update(b"%d " % len(text) + text)
    return hasher.hexdigest()


def _graph(triples: list[Triple]) -> str:
    """Return the IRI of the ontology, scheme or collection that a file declares."""
    (graph,) = {
        t.subject.value
        for t in triples
        if t.predicate == _TYPE and t.object in _GRAPH_TYPES and isinstance(t.subject, NamedNode)
    }
    return graph.rstrip("#")


@lru_cache(maxsize=4)
def _graphs(base: str) -> dict[str, tuple[Triple, ...]]:
    graphs: dict[str, tuple[Triple, ...]] = {}
    for _, text in read_files():
        triples = [quad.triple for quad in parse(text, format=RdfFormat.TURTLE, base_iri=base)]
        graphs[_graph(triples)] = tuple(triples)
    return graphs


def statements(base: str = BASE) -> Iterator[tuple[str, list[str]]]:
    """Yield each named graph of the vocabulary: its IRI, and its statements sorted, unique and
    without blank nodes.

    >>> sorted(graph.removeprefix(BASE) for graph, _ in statements())[:3]
    ['country-lists', 'facilitators', 'labels']
    """
    for graph, triples in sorted(_graphs(base).items()):
        yield graph, sorted({str(triple) for triple in triples})


ONTOLOGIES = ("ns", "operations")  # They describe the things, and how the data were made.


def graph_triples(scheme: str, base: str = BASE) -> tuple[Triple, ...]:
    """Return the statements of the file of *scheme*. Raise KeyError if there is no such scheme."""
    return _graphs(base)[f"{base}scheme/{scheme}"]


def ontology_triples(name: str, base: str = BASE) -> tuple[Triple, ...]:
    """Return the statements of the file of one of ONTOLOGIES."""
    return _graphs(base)[base + name]


def crosswalks() -> list[str]:
    """Return the names of the schemes that translate codes and words of others into ours.

    >>> "iati-region" in crosswalks(), "itu-region" in crosswalks()
    (True, False)
    """
    folder = files("vocab") / "data" / "crosswalks"
    return sorted(
        file.name.removesuffix(".ttl") for file in folder.iterdir() if file.name.endswith(".ttl")
    )


def schemes(base: str = BASE) -> list[str]:
    """Return the names of the concept schemes, including crosswalks, as ``concepts`` accepts them.

    >>> "coverage" in schemes(), "iati-activity-scope" in schemes()
    (True, True)
    """
    prefix = f"{base}scheme/"
    return sorted(graph.removeprefix(prefix) for graph in _graphs(base) if graph.startswith(prefix))


@lru_cache(maxsize=64)
def concepts(scheme: str, base: str = BASE) -> dict[str, Concept]:
    """Return the concepts of a scheme (``action-line``, ``sdg``, ``area`` ...) by IRI, in the order
    of their file.

    Raises KeyError if there is no such scheme.

    >>> concepts("action-line")[BASE + "scheme/action-line/C7-ehea"].notations
    ('C7-ehea',)
    """
    about: dict[str, list[Triple]] = {}
    for triple in _graphs(base)[f"{base}scheme/{scheme}"]:
        if isinstance(triple.subject, NamedNode):
            about.setdefault(triple.subject.value, []).append(triple)
    member = NamedNode(f"{SKOS}inScheme")
    return {
        iri: _concept(iri, triples, base)
        for iri, triples in about.items()
        if any(t.predicate == member for t in triples)
    }


def _concept(iri: str, triples: list[Triple], base: str) -> Concept:
    def values(*predicates: NamedNode) -> tuple[str, ...]:
        return tuple(
            t.object.value
            for p in predicates
            for t in triples
            if t.predicate == p and isinstance(t.object, NamedNode | Literal)
        )

    return Concept(
        iri=iri,
        types=frozenset(values(_TYPE)),
        notations=values(NamedNode(f"{SKOS}notation")),
        codes=values(*_CODES),
        labels=tuple(
            Text(triple.object.value, triple.object.language)
            for predicate in _NAMES
            for triple in triples
            if triple.predicate == predicate and isinstance(triple.object, Literal)
        ),
        broader=values(NamedNode(f"{SKOS}broader")),
        matches=values(*_MATCHES, NamedNode(f"{base}ns#concerns")),
        regions=values(NamedNode(f"{base}ns#ituRegion")),
    )


@lru_cache(maxsize=4)
def _labels(base: str) -> dict[tuple[str, str], str]:
    properties = {NamedNode(f"{SKOS}prefLabel"), _LABEL, NamedNode(f"{DCT}title")}
    return {
        (triple.subject.value, triple.object.language): triple.object.value
        for triples in _graphs(base).values()
        for triple in triples
        if triple.predicate in properties
        and isinstance(triple.subject, NamedNode)
        and isinstance(triple.object, Literal)
        and triple.object.language
    }


@lru_cache(maxsize=4)
def _provisional(base: str) -> frozenset[tuple[str, str]]:
    labels = _graphs(base)[f"{base}labels"]
    status = NamedNode(f"{base}ns#provisional")
    ours = {str(triple.subject) for triple in labels if triple.object == status}
    languages = {
        str(triple.subject): triple.object.language or ""
        for triple in labels
        if isinstance(triple.object, Literal) and triple.predicate.value.endswith("#literalForm")
    }
    return frozenset(
        (triple.subject.value, languages[str(triple.object)])
        for triple in labels
        if triple.predicate.value.endswith("#prefLabel") and isinstance(triple.subject, NamedNode)
        if str(triple.object) in ours
    )


def provisional_mark(iri: str, language: str | None, base: str = BASE) -> str:
    """Return the words that mark the title of an action line in *language* as a provisional
    translation of ours, in that language; "" if it is none.

    >>> provisional_mark(BASE + "scheme/action-line/C7", "zh"), provisional_mark(BASE + "scheme/action-line/C8", "zh")
    ('', '暂定译名')
    """
    is_provisional = (iri, language) in _provisional(base)
    return _labels(base)[f"{base}ns#provisional", language or ""] if is_provisional else ""


def label(iri: str, language: str = "en", base: str = BASE) -> str | None:
    """Return the label of a term, scheme or concept in *language*, else in English, else None. A
    provisional title is marked as such.

    >>> label("http://metadata.un.org/sdg/codes/geoArea/404", "ar"), label(BASE + "scheme/iati-region/298", "zh")
    ('كينيا', 'Africa, regional')
    >>> label(BASE + "scheme/action-line/C8", "zh")
    '文化多样性和文化特性、语言多样性和本地内容 (暂定译名)'
    """
    labels = _labels(base)
    text = labels.get((iri, language)) or labels.get((iri, "en"))
    mark = provisional_mark(iri, language, base)
    return f"{text} ({mark})" if mark else text
