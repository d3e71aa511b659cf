"""Count, scheme by scheme, what of the vocabulary is complete, sourced and unverified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pyoxigraph import Literal, NamedNode, Triple

from vocab.iris import BASE
from vocab.schemes import ONTOLOGIES, concepts, graph_triples, ontology_triples, schemes
from vocab.terms import DCT, RDFS, SKOS

LANGUAGES = ("en", "fr", "es", "ar", "zh", "ru")
_PREFERRED = (f"{SKOS}prefLabel", f"{RDFS}label")
_DEFINITIONS = (f"{SKOS}definition", f"{RDFS}comment")
_NOTES = (f"{SKOS}editorialNote", f"{SKOS}scopeNote")
_UNVERIFIED = "unverified"


class SchemeSummary(NamedTuple):
    """The counts of a scheme, or of the terms of an ontology under its name.

    *languages* are those in which every concept has a preferred label, *defined* those in which
    every one has a definition. *sourced* counts the concepts with a dct:source other than us, *ours*
    those that say that they are ours (rdfs:isDefinedBy). *unverified* counts the concepts with a
    note that says so, or all concepts if the scheme has the note.
    """

    name: str
    concepts: int
    languages: tuple[str, ...]
    defined: tuple[str, ...]
    sourced: int
    ours: int
    unverified: int


def summaries(base: str = BASE) -> Iterator[SchemeSummary]:
    """Yield the summary of each scheme in the order of the names, and of the two ontologies last.

    >>> next(item for item in summaries() if item.name == "coverage").languages
    ('en', 'fr', 'es', 'ar', 'zh', 'ru')
    """
    for name in schemes(base):
        yield _summary(
            name, f"{base}scheme/{name}", graph_triples(name, base), list(concepts(name, base))
        )
    for name in ONTOLOGIES:
        triples = ontology_triples(name, base)
        terms = [
            t.subject.value
            for t in triples
            if isinstance(t.subject, NamedNode) and t.subject.value.startswith(f"{base}{name}#")
        ]
        yield _summary(name, base + name, triples, list(dict.fromkeys(terms)))


def _summary(
    name: str, scheme: str, triples: tuple[Triple, ...], members: list[str]
) -> SchemeSummary:
    labels: dict[str, set[str]] = {iri: set() for iri in members}
    definitions: dict[str, set[str]] = {iri: set() for iri in members}
    sources, owners = set[tuple[str, object]](), set[tuple[str, object]]()
    unverified = set[str]()
    for triple in triples:
        if not isinstance(triple.subject, NamedNode):
            continue
        iri, predicate, value = triple.subject.value, triple.predicate.value, triple.object
        if (
            predicate in _PREFERRED
            and iri in labels
            and isinstance(value, Literal)
            and value.language
        ):
            labels[iri].add(value.language)
        elif (
            predicate in _DEFINITIONS
            and iri in definitions
            and isinstance(value, Literal)
            and value.language
        ):
            definitions[iri].add(value.language)
        elif predicate == f"{DCT}source":
            sources.add((iri, value))
        elif predicate == f"{RDFS}isDefinedBy":
            owners.add((iri, value))
        elif (
            predicate in _NOTES
            and isinstance(value, Literal)
            and _UNVERIFIED in value.value.casefold()
        ):
            unverified.add(iri)
    return SchemeSummary(
        name,
        len(members),
        _complete(labels),
        _complete(definitions),
        len({iri for iri, _ in sources - owners} & set(members)),
        len({iri for iri, _ in owners} & set(members)),
        len(members) if scheme in unverified else len(unverified & set(members)),
    )


def _complete(texts: dict[str, set[str]]) -> tuple[str, ...]:
    """Return the languages in which every concept has a text."""
    return tuple(
        language
        for language in LANGUAGES
        if texts and all(language in languages for languages in texts.values())
    )


class UnverifiedNote(NamedTuple):
    """A note that something is unverified: of the scheme or ontology *name*, about *subject*."""

    name: str
    subject: str
    note: str


def unverified_notes(base: str = BASE) -> Iterator[UnverifiedNote]:
    """Yield each note of the schemes and ontologies that says that something is unverified, in the
    order of the names.
    """
    graphs = {name: graph_triples(name, base) for name in schemes(base)} | {
        name: ontology_triples(name, base) for name in ONTOLOGIES
    }
    for name, triples in graphs.items():
        for triple in triples:
            text = triple.object
            if (
                triple.predicate.value in _NOTES
                and isinstance(text, Literal)
                and _UNVERIFIED in text.value.casefold()
            ):
                yield UnverifiedNote(
                    name, str(getattr(triple.subject, "value", "")).removeprefix(base), text.value
                )
