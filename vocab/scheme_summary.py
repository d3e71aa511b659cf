"""Count, scheme by scheme, what of the vocabulary is complete, sourced and unverified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pyoxigraph import Literal, NamedNode, Triple

from vocab.iris import BASE
from vocab.schemes import concepts, graph_triples, schemes
from vocab.terms import DCT, RDFS, SKOS

LANGUAGES = ("en", "fr", "es", "ar", "zh", "ru")
_PREFERRED = (f"{SKOS}prefLabel", f"{RDFS}label")
_NOTES = (f"{SKOS}editorialNote", f"{SKOS}scopeNote")
_UNVERIFIED = "unverified"


class SchemeSummary(NamedTuple):
    """The counts of a scheme, or of the terms of the ontology under the name ``ns``.

    *languages* are those in which every concept has a preferred label. *sourced* counts the concepts with a dct:source of their
    own, or all of them if their scheme has one. *unverified* counts the concepts of which a note says so; if the note is the
    scheme's, all of them.
    """

    name: str
    concepts: int
    languages: tuple[str, ...]
    sourced: int
    unverified: int


def summaries(base: str = BASE) -> Iterator[SchemeSummary]:
    """Yield the summary of each scheme in the order of the names, and of the ontology last.

    >>> next(item for item in summaries() if item.name == "coverage").languages
    ('en', 'fr', 'es', 'ar', 'zh', 'ru')
    """
    for name in schemes(base):
        yield _summary(name, f"{base}scheme/{name}", graph_triples(name, base), list(concepts(name, base)))
    triples = graph_triples(None, base)
    terms = [t.subject.value for t in triples if isinstance(t.subject, NamedNode) and t.subject.value.startswith(f"{base}ns#")]
    yield _summary("ns", f"{base}ns", triples, list(dict.fromkeys(terms)))


def _summary(name: str, scheme: str, triples: tuple[Triple, ...], members: list[str]) -> SchemeSummary:
    labels: dict[str, set[str]] = {iri: set() for iri in members}
    sourced, unverified = set[str](), set[str]()
    for triple in triples:
        if not isinstance(triple.subject, NamedNode):
            continue
        iri, predicate, value = triple.subject.value, triple.predicate.value, triple.object
        if predicate in _PREFERRED and iri in labels and isinstance(value, Literal) and value.language:
            labels[iri].add(value.language)
        elif predicate == f"{DCT}source":
            sourced.add(iri)
        elif predicate in _NOTES and isinstance(value, Literal) and _UNVERIFIED in value.value:
            unverified.add(iri)
    complete = tuple(language for language in LANGUAGES if labels and all(language in languages for languages in labels.values()))
    return SchemeSummary(
        name,
        len(members),
        complete,
        len(members) if scheme in sourced else len(sourced & set(members)),
        len(members) if scheme in unverified else len(unverified & set(members)),
    )
