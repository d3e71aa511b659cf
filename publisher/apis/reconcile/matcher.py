"""Find the entities that a query may mean, and score each: names first, then the properties that
the query states.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz import fuzz

from languages.request_locale import current_locale
from publisher.apis.reconcile.batch import MAX_CANDIDATES, NameQuery
from publisher.apis.reconcile.concept_names import (
    LOWEST,
    SIMILAR,
    ConceptNames,
    concept_name,
    open_concept_names,
)
from publisher.apis.reconcile.model import CONCEPT_TYPES, PROPERTIES, THING_TYPES, type_title
from publisher.projections.search.index import SearchEntry
from publisher.projections.search.searcher import Searcher
from vocab.iris import Iris
from vocab.normalization import fold, sorted_words_key
from vocab.schemes import concepts

MAX_NAME = 300  # characters of a name that are compared; longer ones are cut
CERTAIN = 100.0  # score of a name that is the same; its entity is the match if no other has it
_GOOD = 85.0  # at this score of a name, things with similar words are not searched too
_SHORTEST_PART = 4  # letters of a name that is only a part of the entity's
_SUGGESTED = 200  # things that can be reached by suggestions
# things whose names are compared: those with the same words, and those with similar ones
_RETRIEVED = {False: 10, True: 25}
_NAME_SHARE = 0.7  # of the score, where a query states properties
_SCHEMES = {"country": "area", "goal": "sdg", "target": "sdg", "action-line": "action-line"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entity that a query may mean. *features* are the score of the name, and whether each
    stated property agrees.
    """

    iri: str
    name: str
    kind: str
    score: float
    features: tuple[tuple[str, float | bool], ...]
    description: str = ""

    def as_json(self, match: bool) -> dict[str, object]:
        """Return the JSON of a reconciliation candidate."""
        return {
            "id": self.iri,
            "name": self.name,
            "description": self.description,
            "score": round(self.score, 2),
            "features": [{"id": name, "value": value} for name, value in self.features],
            "match": match,
            "type": [{"id": self.kind, "name": type_title(self.kind)}],
        }


@dataclass(frozen=True, slots=True)
class _Match:
    """A candidate without its texts, which only those that are returned need. *entry* is that of a
    thing; a concept has none.
    """

    iri: str
    kind: str
    score: float
    features: tuple[tuple[str, float | bool], ...]
    entry: SearchEntry | None = None


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

    def candidates(self, query: NameQuery) -> list[dict[str, object]]:
        """Return the candidates of *query*, the best first, as JSON."""
        text = query.text.strip()[:MAX_NAME]
        stated = {
            name: self._targets(name, values)
            for name, values in query.properties
            if PROPERTIES[name].compared
        }
        matches = [
            *self._known(text, query.types),
            *self._concepts(text, query.types, stated),
            *self._things(text, query.types, stated),
        ]
        unique = {match.iri: match for match in reversed(matches)}
        ranked = sorted(unique.values(), key=lambda match: (-match.score, match.iri))
        certain = [match.iri for match in ranked if _is_certain(match)]
        return [
            self._candidate(match).as_json(certain == [match.iri])
            for match in ranked[: query.limit]
        ]

    def entity(self, iri: str) -> Candidate | None:
        """Return the entity *iri* with its name in the language of the request; None if it is not
        published.
        """
        if self.concepts and (kind := self.concepts.types.get(iri)):
            return Candidate(
                iri,
                self.concept_name(iri),
                kind,
                100.0,
                (("identifier", True),),
                self._code(iri, kind),
            )
        [entry] = self.searcher.entries([iri])
        if entry is None or entry.kind not in THING_TYPES:
            return None
        return Candidate(
            iri,
            self._title(entry),
            entry.kind,
            100.0,
            (("identifier", True),),
            self._described(entry),
        )

    def suggestions(
        self, prefix: str, types: tuple[str, ...], skipped: int, limit: int
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
                Candidate(
                    entry.thing, self._title(entry), entry.kind, 100.0, (), self._described(entry)
                )
                for entry in entries
            ]
        return candidates[skipped : skipped + limit]

    def concept_name(self, iri: str) -> str:
        """Return the name of a concept in the language of the request."""
        return concept_name(iri, current_locale().language, self.iris.base) or iri

    def _candidate(self, match: _Match) -> Candidate:
        name = self._title(match.entry) if match.entry else self.concept_name(match.iri)
        description = (
            self._described(match.entry) if match.entry else self._code(match.iri, match.kind)
        )
        return Candidate(match.iri, name, match.kind, match.score, match.features, description)

    def _known(self, text: str, types: tuple[str, ...]) -> list[_Match]:
        entity = self.entity(text) if "://" in text else None
        if entity is None or entity.kind not in types:
            return []
        [entry] = self.searcher.entries([entity.iri]) if entity.kind in THING_TYPES else [None]
        return [_Match(entity.iri, entity.kind, entity.score, entity.features, entry)]

    def _concepts(
        self, text: str, types: tuple[str, ...], stated: dict[str, frozenset[str]]
    ) -> Iterable[_Match]:
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
            yield _Match(iri, kind, *_scored(score, agreed))

    def _things(
        self, text: str, types: tuple[str, ...], stated: dict[str, frozenset[str]]
    ) -> Iterable[_Match]:
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
                    yield _Match(entry.thing, entry.kind, *_scored(score, agreed), entry)

    def _targets(self, name: str, values: tuple[str, ...]) -> frozenset[str]:
        """Return the values of a property as they are compared: the IRI of the concept that a text
        names, else the text.
        """
        kind = PROPERTIES[name].value_type
        if kind in CONCEPT_TYPES and self.concepts:
            return frozenset(self.concepts.exact(value, kind) or value for value in values)
        return frozenset(values)

    def _title(self, entry: SearchEntry) -> str:
        """Return the title in the language of the request, else in English, else any; the key where
        it has none.
        """
        wanted = (current_locale().language, "en", None)
        titles = sorted(
            entry.titles,
            key=lambda title: wanted.index(title[1]) if title[1] in wanted else len(wanted),
        )
        return titles[0][0] if titles else entry.thing.rpartition("/")[2]

    def _described(self, entry: SearchEntry) -> str:
        """Return what distinguishes a thing from its namesakes: its countries and its registry."""
        countries = [
            self.concept_name(iri)
            for iri in entry.links
            if self.concepts and self.concepts.types.get(iri) == "country"
        ]
        return " · ".join([*countries[:3], entry.source])

    def _code(self, iri: str, kind: str) -> str:
        return next(iter(concepts(_SCHEMES[kind], self.iris.base)[iri].notations), "")

    def _codes(self, iri: str, kind: str) -> set[str]:
        concept = concepts(_SCHEMES[kind], self.iris.base)[iri]
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


def _is_certain(match: _Match) -> bool:
    name = match.features[0][1]
    return (name is True or name >= CERTAIN) and all(
        value is not False for _, value in match.features
    )
