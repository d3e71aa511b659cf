"""Read the labels of the concepts that things are linked to, and store them in a file in the folder
of the search index.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson
from pyoxigraph import Literal, NamedNode

from journal.atomic_file import replace_file
from publisher.projections.quad_source import QuadSource
from publisher.projections.search.index import TOPICS, Texts
from vocab.terms import SKOS

SCHEMES = ("action-line", "sdg", "area", "itu-region", "activity-type", "stakeholder-type")
_MEMBER, _PREFERRED = NamedNode(f"{SKOS}inScheme"), NamedNode(f"{SKOS}prefLabel")
_OTHERS = frozenset({NamedNode(f"{SKOS}altLabel"), NamedNode(f"{SKOS}hiddenLabel")})
_INDICATOR = NamedNode("http://metadata.un.org/sdg/ontology#Indicator")


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


def read_topics(store: QuadSource, base: str) -> list[Topic]:
    """Return the topics of the concept schemes in *store*, without SDG indicators, since nothing is
    linked to them.
    """
    preferred: dict[str, list[tuple[str, str | None]]] = {}
    others: dict[str, list[tuple[str, str | None]]] = {}
    schemes: dict[str, str] = {}
    members: dict[str, set[str]] = {}
    excluded: set[str] = set()
    region = NamedNode(f"{base}ns#ituRegion")
    for scheme in SCHEMES:
        for quad in store.quads_for_pattern(None, None, None, NamedNode(f"{base}scheme/{scheme}")):
            if not isinstance(quad.subject, NamedNode):
                continue
            iri, value = quad.subject.value, quad.object
            if isinstance(value, Literal):
                if quad.predicate == _PREFERRED:
                    preferred.setdefault(iri, []).append((value.value, value.language))
                elif quad.predicate in _OTHERS:
                    others.setdefault(iri, []).append((value.value, value.language))
            elif quad.predicate == _MEMBER:
                schemes[iri] = scheme
            elif value == _INDICATOR:
                excluded.add(iri)
            elif quad.predicate == region and isinstance(value, NamedNode):
                members.setdefault(value.value, set()).add(iri)
    return [
        Topic(
            iri,
            scheme,
            _ordered(preferred.get(iri, ())),
            _ordered(others.get(iri, ())),
            tuple(sorted(members.get(iri, ()))),
        )
        for iri, scheme in sorted(schemes.items())
        if iri not in excluded
    ]


def _ordered(texts: Iterable[tuple[str, str | None]]) -> Texts:
    return tuple(sorted(texts, key=lambda text: (text[1] or "", text[0])))


def write_topics(index: Path, topics: Iterable[Topic]) -> None:
    """Write *topics* into the folder *index*, replacing the file atomically."""
    rows = [
        [topic.iri, topic.scheme, topic.preferred, topic.others, topic.members] for topic in topics
    ]
    replace_file(index / TOPICS, orjson.dumps(rows))


def parse_topics(content: bytes) -> list[Topic]:
    """Return the topics that ``write_topics`` wrote."""
    return [
        Topic(iri, scheme, _texts(preferred), _texts(others), tuple(members))
        for iri, scheme, preferred, others, members in orjson.loads(content)
    ]


def _texts(rows: list[list[str | None]]) -> Texts:
    return tuple((text or "", tag) for text, tag in rows)
