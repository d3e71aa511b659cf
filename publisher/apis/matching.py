"""Match names to entities: find the candidates of a name by names in six languages, codes and similar
spellings, and score them by the name and by the properties that the query states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from rapidfuzz import fuzz, process

from languages.translations import LANGUAGES, current_locale, term_title
from languages.translations import gettext as _
from publisher.data.properties import PropertyRow, PropertyTable, concept_name, published_properties
from publisher.store.search.index import SearchEntry
from publisher.store.search.query import TopicIndex
from publisher.store.search.searcher import Searcher
from vocab.iris import Iris
from vocab.lookup import action_line, country, fold, goal, sorted_words_key, target
from vocab.schemes import Concept, concepts

SCHEMES = {"country": "area", "goal": "sdg", "target": "sdg", "action-line": "action-line"}
CONCEPT_TYPES = tuple(SCHEMES)
THING_TYPES = ("organization", "initiative")
TYPES = (*THING_TYPES, *CONCEPT_TYPES)
LOWEST = 75.0  # score of a similar name, of 100
SIMILAR = 97.0  # largest score of a name that is not the same
CERTAIN = 100.0  # score of a name that is the same; its entity is the match if no other has it
MAX_NAME = 300  # characters of a name that are compared; longer ones are cut
MAX_CANDIDATES = 50
_SIMILAR = 20  # names of one type that are returned
_GOOD = 85.0  # from this score of a name on, things with similar words are not searched
_SHORTEST_PART = 4  # letters of a name that is only a part of the entity's
_SUGGESTED = 200  # things that can be reached by suggestions
# How many things have their names compared: of those with the same words, and with similar ones.
_RETRIEVED = {False: 10, True: 25}
_NAME_SHARE = 0.7  # part of the score that the name has if a query states properties


@dataclass(frozen=True, slots=True)
class Property:
    """A property of the entities of *types*.

    *predicate* is a prefixed name, "" where the value is not a statement of the store. *value_type*
    is the type of its values if they are entities. *compared* says with what a query's value is
    compared: ``links``, ``parties`` or ``source`` of an indexed thing, ``codes`` of a concept; "" if
    a query cannot be refined by it.
    """

    name: str
    types: tuple[str, ...]
    predicate: str = ""
    value_type: str | None = None
    compared: str = ""
    title: str = ""  # in English; "": that of the *term* of the ontology
    term: str = ""


def read_properties(table: PropertyTable) -> dict[str, Property]:
    """Return all properties: those of any entity, those of *table*, and those of concepts."""
    rows: list[tuple[PropertyRow, dict[str, Any]]] = [
        (row, {"types": ("initiative",), **row.reconcile}) for row in table if row.reconcile
    ]
    items = [
        Property("name", TYPES, title="Name"),
        Property(
            "initiatives",
            tuple(name for name in TYPES if name != "initiative"),
            title="Initiatives",
        ),
        *(
            Property(**described, predicate=row.iri, title=row.label, term=row.name)
            for row, described in rows
        ),
        Property("source", THING_TYPES, compared="source", title="Registry"),
        Property("code", CONCEPT_TYPES, compared="codes", title="Code"),
        Property("iso2", ("country",), compared="codes", title="ISO 3166-1 alpha-2"),
        Property("iso3", ("country",), compared="codes", title="ISO 3166-1 alpha-3"),
    ]
    return {item.name: item for item in items}


PROPERTIES = read_properties(published_properties())


def title_of(name: str) -> str:
    """Return the name of a type or property in the language of the request."""
    return _titles(current_locale().language)[name]


@lru_cache(len(LANGUAGES))
def _titles(_language: str) -> dict[str, str]:
    """Return the names of the properties and types in the language of the request, which is
    *_language*.
    """
    properties = {
        name: _(item.title) if item.title else term_title(item.term)
        for name, item in PROPERTIES.items()
    }
    return properties | {
        "organization": _("Organization"),
        "initiative": term_title("Initiative"),
        "country": _("Country"),
        "goal": _("SDG"),
        "target": term_title("target"),
        "action-line": term_title("actionLine"),
    }


def concept_type(iri: str, scheme: str) -> str | None:
    """Return the type of a concept of *scheme*; None for a concept that names are not matched to,
    such as a continent.

    >>> concept_type("http://metadata.un.org/sdg/4.4", "sdg"), concept_type("http://metadata.un.org/sdg/codes/geoArea/002", "area")
    ('target', None)
    """
    if scheme == "sdg":
        return "target" if "." in iri.rpartition("/")[2] else "goal"
    if scheme == "area":
        return "country" if country(iri) == iri else None
    return "action-line" if scheme == "action-line" else None


# A name of a concept: folded and with its words in order of the alphabet, folded, and the IRI.
_Name = tuple[str, str, str]


class ConceptNames:
    """The names of the concepts of *topics*; *base* is that of our IRIs."""

    def __init__(self, topics: TopicIndex, base: str) -> None:
        self.types: dict[str, str] = {}
        names: dict[str, list[_Name]] = {name: [] for name in CONCEPT_TYPES}
        self._exact: dict[str, Callable[[str], str | None]] = {
            "country": country,
            "goal": goal,
            "target": target,
            "action-line": lambda text: (
                f"{base}scheme/action-line/{code}" if (code := action_line(text)) else None
            ),
        }
        for topic in topics.topics.values():
            if kind := concept_type(topic.iri, topic.scheme):
                self.types[topic.iri] = kind
                texts = [text for text, _ in (*topic.preferred, *topic.others)]
                for text in dict.fromkeys([*topics.names[topic.iri], *texts]):
                    if folded := fold(text):
                        names[kind].append((sorted_words_key(folded), folded, topic.iri))
        # Of equally similar keys the shortest come first.
        self._names = {
            kind: {row: row[0] for row in sorted(rows, key=lambda row: len(row[0]))}
            for kind, rows in names.items()
        }

    def scores(self, text: str, types: Sequence[str]) -> dict[str, float]:
        """Return the concepts of *types* with the name or the code *text*, 100 of 100, else those
        with a similar one.
        """
        scores = {
            iri: CERTAIN
            for kind in types
            if (iri := self._exact[kind](text)) and self.types.get(iri) == kind
        }
        if scores or not (folded := fold(text)):
            return scores
        key = sorted_words_key(folded)
        for kind in types:
            for _words, score, (_key, _name, iri) in process.extract(
                key,
                self._names[kind],
                scorer=fuzz.ratio,
                limit=_SIMILAR,
                score_cutoff=LOWEST,
            ):
                scores[iri] = max(scores.get(iri, 0.0), min(score, SIMILAR))
        return scores

    def exact(self, text: str, kind: str) -> str | None:
        """Return the concept of type *kind* with the name, the code or the IRI *text*."""
        return text if self.types.get(text) == kind else self._exact[kind](text)

    def beginning(self, prefix: str, types: Iterable[str]) -> list[str]:
        """Return the concepts of *types* with a name that begins with *prefix*, those with the
        shortest first.
        """
        folded = fold(prefix)
        names = (row for kind in types if folded for row in self._names[kind])
        begun = sorted((len(name), iri) for _key, name, iri in names if name.startswith(folded))
        return list(dict.fromkeys(iri for _, iri in begun))


open_concept_names = lru_cache(maxsize=2)(ConceptNames)  # as many as there are topic indexes


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entity that a query may mean. *features* are the score of the name, and whether each
    stated property agrees. *entry* is that of a thing; a concept has none. *name* and
    *description*, which only those that are returned need, are in the language of the request.
    """

    iri: str
    kind: str
    entry: SearchEntry | None = None
    score: float = CERTAIN
    features: tuple[tuple[str, float | bool], ...] = (("identifier", True),)
    name: str = ""
    description: str = ""

    @property
    def is_certain(self) -> bool:
        name = self.features[0][1]
        return (name is True or name >= CERTAIN) and all(
            value is not False for _, value in self.features
        )

    def as_json(self, match: bool) -> dict[str, object]:
        return {
            "id": self.iri,
            "name": self.name,
            "description": self.description,
            "score": round(self.score, 2),
            "features": [{"id": name, "value": value} for name, value in self.features],
            "match": match,
            "type": [{"id": self.kind, "name": title_of(self.kind)}],
        }


class Matcher:
    """Match names over the search index *searcher*; without a vocabulary in the store no concept is
    found.
    """

    def __init__(self, searcher: Searcher, iris: Iris) -> None:
        self.searcher, self.iris = searcher, iris
        topics = searcher.topics
        self.concepts: ConceptNames | None = (
            open_concept_names(topics, iris.base) if topics else None
        )

    def candidates(
        self, text: str, types: Sequence[str], limit: int, properties: Mapping[str, Sequence[str]]
    ) -> list[dict[str, object]]:
        """Return at most *limit* candidates of *types* for the name *text*, "" for none, and the
        values by property that they should have; the best first, as JSON.
        """
        text = text.strip()[:MAX_NAME]
        stated = {
            name: self._targets(name, values)
            for name, values in properties.items()
            if PROPERTIES[name].compared
        }
        known = self._find(text) if "://" in text else None
        matches = [
            *([known] if known and known.kind in types else []),
            *self._concepts(text, types, stated),
            *self._things(text, types, stated),
        ]
        unique = {match.iri: match for match in reversed(matches)}
        ranked = sorted(unique.values(), key=lambda match: (-match.score, match.iri))
        certain = [match.iri for match in ranked if match.is_certain]
        return [self._named(match).as_json(certain == [match.iri]) for match in ranked[:limit]]

    def entity(self, iri: str) -> Candidate | None:
        """Return the entity *iri* with its name in the language of the request; None if it is not
        published.
        """
        candidate = self._find(iri)
        return self._named(candidate) if candidate else None

    def _find(self, iri: str) -> Candidate | None:
        if self.concepts and (kind := self.concepts.types.get(iri)):
            return Candidate(iri, kind)
        [entry] = self.searcher.entries([iri])
        return Candidate(iri, entry.kind, entry) if entry and entry.kind in THING_TYPES else None

    def _named(self, candidate: Candidate) -> Candidate:
        """Return the candidate with its name and with what distinguishes it from its namesakes: the
        code of a concept, the countries and the registry of a thing.
        """
        entry = candidate.entry
        if not entry:
            code = next(iter(self._concept(candidate.iri, candidate.kind).notations), "")
            return replace(candidate, name=self.concept_name(candidate.iri), description=code)
        wanted = (current_locale().language, "en", None)
        titles = sorted(
            entry.titles,
            key=lambda title: wanted.index(title[1]) if title[1] in wanted else len(wanted),
        )
        countries = [
            self.concept_name(iri)
            for iri in entry.links
            if self.concepts and self.concepts.types.get(iri) == "country"
        ]
        return replace(
            candidate,
            name=titles[0][0] if titles else entry.thing.rpartition("/")[2],
            description=" · ".join([*countries[:3], entry.source]),
        )

    def suggestions(
        self, prefix: str, types: Sequence[str], skipped: int, limit: int
    ) -> list[Candidate]:
        """Return entities whose name begins with *prefix*, concepts first, or the entity with the
        identifier *prefix*.
        """
        if entity := self.entity(prefix):
            return [entity][skipped:]
        kinds = tuple(kind for kind in types if kind in CONCEPT_TYPES)
        concepts = self.concepts.beginning(prefix[:MAX_NAME], kinds) if self.concepts else []
        candidates = [entity for iri in concepts if (entity := self.entity(iri))]
        things = tuple(kind for kind in types if kind in THING_TYPES)
        if things and len(candidates) < skipped + limit:
            entries = self.searcher.named(prefix[:MAX_NAME], things, _SUGGESTED, is_prefix=True)
            candidates += [
                self._named(Candidate(entry.thing, entry.kind, entry)) for entry in entries
            ]
        return candidates[skipped : skipped + limit]

    def concept_name(self, iri: str) -> str:
        """Return the name of a concept in the language of the request."""
        return concept_name(iri, current_locale().language, self.iris.base) or iri

    def _concepts(
        self, text: str, types: Sequence[str], stated: dict[str, frozenset[str]]
    ) -> Iterable[Candidate]:
        kinds = [kind for kind in types if kind in CONCEPT_TYPES]
        for iri, score in (
            self.concepts.scores(text, kinds) if self.concepts and text else {}
        ).items():
            kind = self.concepts.types[iri] if self.concepts else ""
            agreed = {
                name: bool({value.casefold() for value in values} & self._codes(iri, kind))
                for name, values in stated.items()
                if PROPERTIES[name].compared == "codes"
            }
            yield Candidate(iri, kind, None, *_scored(score, agreed))

    def _things(
        self, text: str, types: Sequence[str], stated: dict[str, frozenset[str]]
    ) -> Iterable[Candidate]:
        kinds = tuple(kind for kind in types if kind in THING_TYPES)
        folded = fold(text)
        links = tuple(
            frozenset(values)
            for name, values in stated.items()
            if PROPERTIES[name].compared == "links"
        )
        if not kinds or not (folded or (links and not text)):
            return
        best = 0.0
        for similar in (False, True) if folded else (False,):
            if best >= _GOOD:
                return
            limit = _RETRIEVED[similar] if folded else MAX_CANDIDATES
            for entry in self.searcher.named(
                text, kinds, limit, links=() if folded else links, similar=similar
            ):
                score = (
                    max((_similarity(folded, title) for title, _ in entry.titles), default=0.0)
                    if folded
                    else LOWEST
                )
                if score >= LOWEST or (len(folded) >= _SHORTEST_PART and _contains(entry, folded)):
                    best = max(best, score)
                    agreed = {
                        name: _agrees(entry, name, values)
                        for name, values in stated.items()
                        if entry.kind in PROPERTIES[name].types
                    }
                    yield Candidate(entry.thing, entry.kind, entry, *_scored(score, agreed))

    def _targets(self, name: str, values: Sequence[str]) -> frozenset[str]:
        """Return the values of a property as they are compared: the IRI of the concept that a text
        names, else the text.
        """
        kind = PROPERTIES[name].value_type
        if kind in CONCEPT_TYPES and self.concepts:
            return frozenset(self.concepts.exact(value, kind) or value for value in values)
        return frozenset(values)

    def _concept(self, iri: str, kind: str) -> Concept:
        return concepts(SCHEMES[kind], self.iris.base)[iri]

    def _codes(self, iri: str, kind: str) -> set[str]:
        concept = self._concept(iri, kind)
        return {code.casefold() for code in (*concept.notations, *concept.codes)}


@lru_cache(1 << 14)
def _keys(title: str) -> tuple[str, str]:
    """Return a folded title, and its words in order of the alphabet."""
    folded = fold(title[:MAX_NAME])
    return folded, sorted_words_key(folded)


def _similarity(folded: str, title: str) -> float:
    """Return how similar a folded name and a title are, 0 to 100; the order of words costs little."""
    other, key = _keys(title)
    if folded == other:
        return 100.0
    return min(SIMILAR, max(fuzz.ratio(folded, other), fuzz.ratio(_keys(folded)[1], key)))


def _contains(entry: SearchEntry, folded: str) -> bool:
    """Return whether a title has the words of a folded name, side by side."""
    return any(f" {folded} " in f" {_keys(title)[0]} " for title, _ in entry.titles)


def _agrees(entry: SearchEntry, name: str, values: frozenset[str]) -> bool:
    compared = PROPERTIES[name].compared
    if compared == "links":
        return bool(values & set(entry.links))
    if compared == "source":
        return entry.source in values
    names = {_keys(text)[0] for text, _ in entry.parties}
    return any(fold(value) in names for value in values)


def _scored(
    name_score: float, agreed: dict[str, bool]
) -> tuple[float, tuple[tuple[str, float | bool], ...]]:
    """Return the score and the features of a candidate from the score of its name and the
    properties that agree.
    """
    share = sum(agreed.values()) / len(agreed) if agreed else 1.0
    score = name_score if not agreed else _NAME_SHARE * name_score + (1 - _NAME_SHARE) * 100 * share
    return score, (("name", round(name_score, 2)), *agreed.items())
