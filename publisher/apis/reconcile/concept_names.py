"""Find countries, goals, targets and action lines by their names in six languages, their codes, and
similar spellings.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from rapidfuzz import fuzz, process

from publisher.apis.reconcile.model import CONCEPT_TYPES, concept_type
from publisher.projections.search.topics import TopicIndex
from vocab.action_lines import action_line
from vocab.countries import country
from vocab.goals import SDG, goal, target
from vocab.normalization import fold, sorted_words_key
from vocab.schemes import concepts, label

LOWEST = 75.0  # score of a similar name, of 100
SIMILAR = 97.0  # largest score of a name that is not the same
# The score of texts of lengths m <= n is at most 200 m / (m + n):
# https://rapidfuzz.github.io/RapidFuzz/Usage/fuzz.html#ratio
_LENGTHS = 200 / LOWEST - 1 + 1e-9
_SIMILAR = 20  # names of one type that are returned


@dataclass(slots=True)
class _NameTable:
    """The names of the concepts of one type, folded and with their words in order of the alphabet,
    and the concept of each.
    """

    names: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    iris: list[str] = field(default_factory=list)

    def add(self, name: str, iri: str) -> None:
        """Add a name that is not empty."""
        if folded := fold(name):
            self.names.append(folded)
            self.keys.append(sorted_words_key(folded))
            self.iris.append(iri)

    def sort(self) -> None:
        """Sort the names by the length of their keys, the shortest first, as ``similar`` needs
        them.
        """
        order = sorted(range(len(self.keys)), key=lambda index: len(self.keys[index]))
        self.names, self.keys, self.iris = (
            [column[index] for index in order] for column in (self.names, self.keys, self.iris)
        )

    def similar(self, key: str) -> Iterable[tuple[str, float]]:
        """Yield the concepts with a name like *key*, a folded name with its words in order, and the
        score of each.

        Two texts whose lengths differ by more than the factor ``_LENGTHS`` have a lower score than
        ``LOWEST``, and are not compared.
        """
        start = bisect_left(self.keys, len(key) / _LENGTHS, key=len)
        keys = self.keys[start : bisect_right(self.keys, len(key) * _LENGTHS, key=len)]
        for _, score, index in process.extract(
            key, keys, scorer=fuzz.ratio, limit=_SIMILAR, score_cutoff=LOWEST
        ):
            yield self.iris[start + index], min(score, SIMILAR)


class ConceptNames:
    """The names of the concepts of *topics*; *base* is that of our IRIs."""

    def __init__(self, topics: TopicIndex, base: str) -> None:
        self.types: dict[str, str] = {}
        self._tables = {name: _NameTable() for name in CONCEPT_TYPES}
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
                texts = [
                    *topics.names[topic.iri],
                    *(text for text, _ in (*topic.preferred, *topic.others)),
                ]
                for text in dict.fromkeys(texts):
                    self._tables[kind].add(text, topic.iri)
        for table in self._tables.values():
            table.sort()

    def scores(self, text: str, types: Iterable[str]) -> dict[str, float]:
        """Return the concepts of *types* with the name or the code *text*, 100 of 100, else those
        with a similar one.
        """
        kinds = tuple(types)
        scores = {
            iri: 100.0
            for kind in kinds
            if (iri := self._exact[kind](text)) and self.types.get(iri) == kind
        }
        if scores or not (folded := fold(text)):
            return scores
        key = sorted_words_key(folded)
        for kind in kinds:
            for similar, score in self._tables[kind].similar(key):
                scores[similar] = max(scores.get(similar, 0.0), score)
        return scores

    def exact(self, text: str, kind: str) -> str | None:
        """Return the concept of type *kind* with the name, the code or the IRI *text*."""
        return text if self.types.get(text) == kind else self._exact[kind](text)

    def beginning(self, prefix: str, types: Iterable[str]) -> list[str]:
        """Return the concepts of *types* with a name that begins with *prefix*, those with the
        shortest first.
        """
        folded = fold(prefix)
        lengths: dict[str, int] = {}
        for table in (self._tables[kind] for kind in types) if folded else ():
            for name, iri in zip(table.names, table.iris, strict=True):
                if name.startswith(folded):
                    lengths[iri] = min(lengths.get(iri, len(name)), len(name))
        return sorted(lengths, key=lambda iri: (lengths[iri], iri))


@lru_cache(maxsize=8192)
def concept_name(iri: str, language: str, base: str) -> str | None:
    """Return the name of a concept in *language*, else in English: of a goal the short one; None if
    it is no concept of ours.

    >>> concept_name("http://metadata.un.org/sdg/4", "es", "https://w3id.org/wsis-stocktaking/")
    'Educación de Calidad'
    """
    is_goal = iri.startswith(SDG) and "." not in iri.rpartition("/")[2]
    if is_goal and (concept := concepts("sdg", base).get(iri)):
        for tag in (language, "en"):
            if names := [name.value for name in concept.labels if name.language == tag]:
                return min(names, key=len)
    return label(iri, language, base)


@lru_cache(maxsize=2)  # as the topic indexes
def open_concept_names(topics: TopicIndex, base: str) -> ConceptNames:
    """Return the names of the concepts of *topics*."""
    return ConceptNames(topics, base)
