"""Choose the pairs that are compared, entities that share an identifier, a page, a name, rare words
or an acronym, and score each pair with the bits of each feature.

The score is a sum of weights in bits, the logarithm of how much more often the feature is seen in
pairs of one thing than in pairs of two (Fellegi and Sunter,
https://doi.org/10.1080/01621459.1969.10501049). The weights are set by hand;
``tests/support/labelled.py`` measures them.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import combinations
from math import log2

from rapidfuzz import fuzz

from harvesters.matching.entities import KINDS, Entity, EntityStore

MAX_BLOCK = 40  # All entities of a block of this size are compared.
# In a larger block, each is compared with so many neighbours: a thousand namesakes make 5,000 pairs.
WINDOW = 5
_RARE = 3  # rarest words of a name whose pairs are keys
_REMEMBERED = 1 << 14  # words whose count is cached
# The places of entities in blocks of two or more with one that is changed: in a large block, near to
# those of the same countries.
_PLACE = """
INSERT INTO place SELECT key, place, number, changed, size FROM (
    SELECT key, row_number() OVER (PARTITION BY key ORDER BY countries, number) AS place, number, changed,
    count(*) OVER (PARTITION BY key) AS size, max(changed) OVER (PARTITION BY key) AS is_changed
    FROM block JOIN entity USING (number)
) WHERE size > 1 AND is_changed
"""
_PAIRS = f"""
SELECT DISTINCT min(a.number, b.number), max(a.number, b.number) FROM place AS a JOIN place AS b
ON b.key = a.key AND b.place > a.place AND b.place <= iif(a.size > {MAX_BLOCK}, a.place + {WINDOW}, a.size)
WHERE a.changed OR b.changed ORDER BY 1, 2
"""


class WordWeights:
    """How rare each word is among different names: the bits that a name's agreement is worth.

    A name that several registries have counts once, so that the words of an often named
    organization do not count as common. *count* returns in how many of *total* names a word is.
    """

    def __init__(self, count: Callable[[str], int], total: int) -> None:
        self._count, self._total = count, max(total, 2)

    @classmethod
    def from_entities(cls, entities: Iterable[Entity]) -> WordWeights:
        """Return the weights of the words in the names of a few entities."""
        names = {words for entity in entities for words in entity.words}
        counts = Counter(word for words in names for word in set(words))
        return cls(lambda word: counts[word], len(names))

    @classmethod
    def of_kind(cls, entities: EntityStore, kind: str) -> WordWeights:
        """Return the weights of the words in the names of all entities of a kind."""
        database = entities.database

        @lru_cache(_REMEMBERED)
        def count(word: str) -> int:
            text = "SELECT names FROM word WHERE kind = ? AND word = ?"
            row = database.execute(text, (kind, word)).fetchone()
            return row[0] if row else 0

        total = database.execute("SELECT count(*) FROM name WHERE kind = ?", (kind,))
        return cls(count, total.fetchone()[0])

    def bits(self, word: str) -> float:
        """Return the bits of information of a word: 0 for one that all names have."""
        return max(0.0, log2(self._total / max(1, self._count(word))))

    def rarest(self, words: Collection[str]) -> list[str]:
        """Return the rarest different words, in the order of the alphabet."""
        return sorted(sorted(set(words), key=lambda word: (self._count(word), word))[:_RARE])


def keys(entity: Entity, weights: WordWeights) -> Iterator[str]:
    """Yield the blocking keys of an entity."""
    for scheme, value in entity.identifiers:
        yield f"identifier {scheme} {value}"
    if entity.kind == "document":
        return
    for page in entity.pages:
        yield f"page {page}"
    for origin in entity.origins:
        yield f"origin {origin}"
    if entity.origins and ":" in entity.key:  # A key such as 17 does not identify an origin.
        yield f"origin {entity.key}"
    for words in entity.words:
        yield f"name {' '.join(sorted(words))}"
        for pair in combinations(weights.rarest(words), 2):
            yield f"words {' '.join(pair)}"
    if entity.kind == "organization":
        for acronym in entity.acronyms:
            yield f"acronym {acronym}"
        for host in entity.hosts:
            yield f"host {host}"


def candidate_pairs(
    entities: EntityStore, weights: Mapping[str, WordWeights]
) -> Iterator[tuple[int, int]]:
    """Yield the numbers of each pair of entities that share a key once, in their order; one of them
    is marked as changed. *weights* are those of each kind.

    In a block of more than MAX_BLOCK, neighbours are compared in the order of their countries and
    registries.
    """
    stored = entities.database.execute("SELECT number, iri IN changed, data FROM entity")
    read = ((number, changed, pickle.loads(data)) for number, changed, data in stored)
    blocks = (
        (_digest(f"{entity.kind} {key}"), number, changed)
        for number, changed, entity in read
        for key in set(keys(entity, weights[entity.kind]))
    )
    entities.database.executemany("INSERT INTO block VALUES (?, ?, ?)", blocks)
    entities.database.execute(_PLACE)
    return entities.database.execute(_PAIRS)


def _digest(key: str) -> int:
    """Return a key as a number of 64 bits: two keys of one number would only lead to one more
    comparison.
    """
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), signed=True)


def score_pairs(entities: EntityStore) -> Iterator[tuple[tuple[str, str], Score]]:
    """Yield the pairs of *entities* that score QUEUED bits or more, with one that is marked as
    changed.
    """
    weights = {kind: WordWeights.of_kind(entities, kind) for kind in KINDS}
    for numbers in candidate_pairs(entities, weights):
        first, second = map(entities.numbered, numbers)
        scored = score(first, second, weights[first.kind])
        if scored.bits >= QUEUED:
            yield (first.iri, second.iri), scored


AUTOMATIC = 14.0  # bits from which a pair is one thing
QUEUED = 6.0  # bits from which a person decides
# The most and the least bits of a name, so that a name alone is never enough.
_SAME_NAME, _DIFFERENT_NAME = 12.0, -8.0
_SIMILAR, _DISSIMILAR = (
    90.0,
    70.0,
)  # lowest similarity (of 100) of like names, highest of unlike ones
_NUMERALS = "i ii iii iv v vi vii viii ix x one two three four five first second third"
_NUMBERS = frozenset(_NUMERALS.split())


@dataclass(frozen=True, slots=True)
class Feature:
    """The result of a feature of a pair. *bits* above 0 mean one thing, below 0 two things;
    *detail* names what was compared.
    """

    name: str
    bits: float
    detail: str


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a pair: its *features*, whose bits add up to it."""

    features: tuple[Feature, ...]

    @property
    def bits(self) -> float:
        return round(sum(feature.bits for feature in self.features), 2)


# The names of all features.
FEATURES = frozenset(
    (
        "acronym",
        "country",
        "identifier",
        "name",
        "origin",
        "page",
        "parties",
        "registry",
        "start",
        "type",
    )
)


def score(first: Entity, second: Entity, weights: WordWeights) -> Score:
    features = (
        feature for compare in _OF_KIND[first.kind] for feature in compare(first, second, weights)
    )
    return Score(tuple(sorted(features, key=lambda feature: (-abs(feature.bits), feature.name))))


Compare = Callable[[Entity, Entity, WordWeights], Iterator[Feature]]


def _names(first: Entity, second: Entity, weights: WordWeights) -> Iterator[Feature]:
    """Compare the most similar pair of names: the rarer their common words, the more they say."""
    similarity, one, other = max(
        (
            (fuzz.token_sort_ratio(" ".join(one), " ".join(other)), one, other)
            for one in first.words
            for other in second.words
        ),
        default=(0.0, (), ()),
    )
    if not one:
        return
    if numbers_differ(one, other):
        yield Feature(
            "name", _DIFFERENT_NAME, f"{' '.join(one)} | {' '.join(other)}: different numbers"
        )
        return
    known = min(_SAME_NAME, sum(weights.bits(word) for word in set(one) & set(other)))
    if similarity >= _SIMILAR:
        share = 1.0 if similarity == 100 else (similarity - _DISSIMILAR) / (100 - _DISSIMILAR) * 0.8
        bits = max(known, 2.0) * share
    elif similarity > _DISSIMILAR:
        bits = known * 0.3 * (similarity - _DISSIMILAR) / (_SIMILAR - _DISSIMILAR)
    else:
        bits = _DIFFERENT_NAME * (1 - similarity / 100)
    yield Feature(
        "name", round(bits, 2), f"{' '.join(one)} | {' '.join(other)}: {similarity:.0f} of 100"
    )


def numbers_differ(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return whether two names have different numbers: phases and years are different things.

    >>> numbers_differ(("clinics", "phase", "2"), ("clinics", "phase", "3")), numbers_differ(("clinics", "2020"), ("clinics", "2020"))
    (True, False)
    """
    numbers = [
        {word for word in words if word in _NUMBERS or word.isdigit()} for words in (one, other)
    ]
    return numbers[0] != numbers[1]


def _identifiers(first: Entity, second: Entity, weights: WordWeights) -> Iterator[Feature]:
    if shared := first.identifiers & second.identifiers:
        yield Feature(
            "identifier", 16.0, ", ".join(f"{scheme} {value}" for scheme, value in sorted(shared))
        )
        return
    schemes = {scheme for scheme, _ in first.identifiers} & {
        scheme for scheme, _ in second.identifiers
    }
    if schemes:
        yield Feature("identifier", -12.0, f"different in {', '.join(sorted(schemes))}")


def _countries(first: Entity, second: Entity, weights: WordWeights) -> Iterator[Feature]:
    if first.countries and second.countries:
        shared = first.countries & second.countries
        yield Feature(
            "country",
            2.0 if shared else -9.0,
            f"{len(shared)} of {len(first.countries | second.countries)}",
        )


def _registry(first: Entity, second: Entity, weights: WordWeights) -> Iterator[Feature]:
    if first.source == second.source:
        yield Feature("registry", -6.0, f"both of {first.source}, which keeps them apart")


def _pages(first: Entity, second: Entity, weights: WordWeights) -> Iterator[Feature]:
    if shared := first.pages & second.pages:
        yield Feature("page", 8.0, min(shared))
    elif first.hosts and second.hosts:
        same = first.hosts & second.hosts
        if same:
            yield Feature("page", 5.0 if first.kind == "organization" else 1.0, f"host {min(same)}")
        else:
            yield Feature("page", -2.0, f"{min(first.hosts)} | {min(second.hosts)}")


def _acronyms(first: Entity, second: Entity, weights: WordWeights) -> Iterator[Feature]:
    """Compare a name that is an acronym with the initials of the other."""
    short = {"".join(words) for words in (*first.words, *second.words) if len(words) == 1}
    shared = (first.acronyms & second.acronyms) & short
    if shared and not set(first.words) & set(second.words):
        yield Feature("acronym", 8.0, min(shared))


def _classes(first: Entity, second: Entity, weights: WordWeights) -> Iterator[Feature]:
    if first.classes and second.classes and not first.classes & second.classes:
        yield Feature("type", -1.0, "different stakeholder types")


def _dates(first: Entity, second: Entity, weights: WordWeights) -> Iterator[Feature]:
    if not (first.start and second.start):
        return
    if first.start == second.start:
        yield Feature("start", 4.0 if len(first.start) == 10 else 1.5, first.start)
    elif first.start[:4] == second.start[:4]:
        yield Feature("start", 0.5, f"{first.start} | {second.start}")
    else:
        yield Feature("start", -4.0, f"{first.start} | {second.start}")


def _parties(first: Entity, second: Entity, weights: WordWeights) -> Iterator[Feature]:
    if first.parties and second.parties:
        shared = first.parties & second.parties
        yield Feature(
            "parties",
            min(6.0, 3.0 * len(shared)) if shared else -2.0,
            ", ".join(" ".join(words) for words in sorted(shared)),
        )


def _origins(first: Entity, second: Entity, weights: WordWeights) -> Iterator[Feature]:
    if (
        shared := first.origins & second.origins
        | {first.key} & second.origins
        | {second.key} & first.origins
    ):
        yield Feature("origin", 30.0, f"copies of {min(shared)}")


_COMMON: tuple[Compare, ...] = (_identifiers, _names, _countries, _pages, _registry)
_OF_KIND: dict[str, tuple[Compare, ...]] = {
    "organization": (*_COMMON, _acronyms, _classes),
    "initiative": (*_COMMON, _dates, _parties, _origins),
    # A DOI identifies a document, whatever the language and format of its description.
    "document": (_identifiers, _registry),
}
