"""Count, scheme by scheme, what of the vocabulary is complete, sourced and unverified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pyoxigraph import Triple

from vocab.iris import BASE
from vocab.schemes import ONTOLOGIES, concepts, graph_triples, ontology_triples, schemes
from vocab.terms import DCT, LANGUAGES, RDFS, SKOS

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
        members = list(concepts(name, base))
        yield _summary(name, f"{base}scheme/{name}", _rows(graph_triples(name, base)), members)
    for name in ONTOLOGIES:
        rows = _rows(ontology_triples(name, base))
        terms = dict.fromkeys(
            row.subject for row in rows if row.subject.startswith(f"{base}{name}#")
        )
        yield _summary(name, base + name, rows, list(terms))


class _Row(NamedTuple):
    """A statement; *language* is that of a text, else ""."""

    subject: str
    predicate: str
    value: str
    language: str


def _rows(triples: Iterable[Triple]) -> list[_Row]:
    return [
        _Row(
            str(getattr(triple.subject, "value", "")),
            triple.predicate.value,
            str(getattr(triple.object, "value", "")),
            getattr(triple.object, "language", None) or "",
        )
        for triple in triples
    ]


def _summary(name: str, scheme: str, rows: list[_Row], members: list[str]) -> SchemeSummary:
    sources = {(row.subject, row.value) for row in rows if row.predicate == f"{DCT}source"}
    owners = {(row.subject, row.value) for row in rows if row.predicate == f"{RDFS}isDefinedBy"}
    unverified = {row.subject for row in rows if _is_unverified(row)}
    return SchemeSummary(
        name,
        len(members),
        _complete(rows, _PREFERRED, members),
        _complete(rows, _DEFINITIONS, members),
        len({iri for iri, _ in sources - owners}.intersection(members)),
        len({iri for iri, _ in owners}.intersection(members)),
        len(members) if scheme in unverified else len(unverified.intersection(members)),
    )


def _complete(rows: list[_Row], names: tuple[str, ...], members: list[str]) -> tuple[str, ...]:
    """Return the languages in which every concept has a text."""
    texts = {(row.subject, row.language) for row in rows if row.predicate in names}
    return tuple(
        language
        for language in LANGUAGES
        if members and all((iri, language) in texts for iri in members)
    )


def _is_unverified(row: _Row) -> bool:
    return row.predicate in _NOTES and _UNVERIFIED in row.value.casefold()


class UnverifiedNote(NamedTuple):
    """A note that something is unverified: of the scheme or ontology *name*, about *subject*."""

    name: str
    subject: str
    note: str


def unverified_notes(base: str = BASE) -> Iterator[UnverifiedNote]:
    """Yield each note of the schemes and ontologies that says that something is unverified, in the
    order of the names.
    """
    graphs = {name: graph_triples(name, base) for name in schemes(base)}
    graphs |= {name: ontology_triples(name, base) for name in ONTOLOGIES}
    for name, triples in graphs.items():
        for row in _rows(triples):
            if _is_unverified(row):
                yield UnverifiedNote(name, row.subject.removeprefix(base), row.value)
