"""Read the labels of the concepts that things are linked to, and store them in a file in the folder
of the search index.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from journal.atomic_file import replace_file
from publisher.projections.search.index import TOPICS, Texts, as_tuples, ordered_texts
from publisher.projections.statement_source import StatementSource, Subjects
from vocab.terms import RDF, SKOS

SCHEMES = ("action-line", "sdg", "area", "itu-region", "activity-type", "stakeholder-type")
_MEMBER, _PREFERRED = f"{SKOS}inScheme", f"{SKOS}prefLabel"
_OTHERS = (f"{SKOS}altLabel", f"{SKOS}hiddenLabel")
_TYPE, _INDICATOR = f"{RDF}type", "http://metadata.un.org/sdg/ontology#Indicator"


@dataclass(frozen=True, slots=True)
class Topic:
    """A concept of the vocabulary with its labels, preferred ones first.

    *members* are the IRIs of the countries of an ITU region: things are linked to countries, not to
    regions.
    """

    iri: str
    scheme: str
    preferred: Texts
    others: Texts
    members: tuple[str, ...] = ()


def read_topics(source: StatementSource, base: str) -> list[Topic]:
    """Return the topics of the concept schemes in *source*, without SDG indicators, since nothing is
    linked to them.
    """
    region = f"{base}ns#ituRegion"
    graphs = source.graphs(
        [f"{base}scheme/{scheme}" for scheme in SCHEMES],
        (_MEMBER, _PREFERRED, *_OTHERS, _TYPE, region),
    )
    schemes: dict[str, str] = {}
    concepts: Subjects = {}
    members: dict[str, set[str]] = {}
    for scheme, subjects in zip(SCHEMES, graphs.values(), strict=True):
        for iri, properties in subjects.items():
            if _MEMBER in properties:
                schemes[iri] = scheme
            for predicate, values in properties.items():
                concepts.setdefault(iri, {}).setdefault(predicate, []).extend(values)
            for value in properties.get(region, ()):
                members.setdefault(value.text, set()).add(iri)
    return [
        Topic(
            iri,
            scheme,
            ordered_texts(concepts[iri].get(_PREFERRED, ())),
            ordered_texts(value for name in _OTHERS for value in concepts[iri].get(name, ())),
            tuple(sorted(members.get(iri, ()))),
        )
        for iri, scheme in sorted(schemes.items())
        if all(value.text != _INDICATOR for value in concepts[iri].get(_TYPE, ()))
    ]


def write_topics(index: Path, topics: Iterable[Topic]) -> None:
    """Write *topics* into the folder *index*, replacing the file atomically."""
    rows = [
        [topic.iri, topic.scheme, topic.preferred, topic.others, topic.members] for topic in topics
    ]
    replace_file(index / TOPICS, orjson.dumps(rows))


def parse_topics(content: bytes) -> list[Topic]:
    """Return the topics that ``write_topics`` wrote."""
    return [Topic(*row) for row in as_tuples(orjson.loads(content))]
