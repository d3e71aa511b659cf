"""Choose the pairs that are compared: entities that share an identifier, a page, a name, rare words or an acronym."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations
from math import log2

from harvesters.matching.entities import Entity

MAX_BLOCK = 40  # entities of one key that are all compared
WINDOW = 5  # neighbours with which each is compared in a larger block, so that a thousand namesakes make 5,000 pairs
_RARE = 3  # rarest words of a name that are keys, in pairs


class WordWeights:
    """How rare each word is among different names: the bits that a name's agreement is worth.

    A name that several registries have counts once, so that an organization is not taken for a common word because it is named often.
    """

    def __init__(self, entities: Iterable[Entity]) -> None:
        names = {words for entity in entities for words in entity.words}
        self._counts: Counter[str] = Counter(word for words in names for word in set(words))
        self._total = max(len(names), 2)

    def bits(self, word: str) -> float:
        """Return the bits of information of a word: 0 for one that all names have."""
        return max(0.0, log2(self._total / max(1, self._counts[word])))

    def rarest(self, words: Collection[str]) -> list[str]:
        """Return the rarest different words, in the order of the alphabet."""
        return sorted(sorted(set(words), key=lambda word: (self._counts[word], word))[:_RARE])


def keys(entity: Entity, weights: WordWeights) -> Iterator[str]:
    """Yield the blocking keys of an entity."""
    for scheme, value in entity.identifiers:
        yield f"identifier {scheme} {value}"
    for page in entity.pages:
        yield f"page {page}"
    for origin in entity.origins:
        yield f"origin {origin}"
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
    entities: Mapping[str, Entity], weights: WordWeights, changed: Collection[str] | None = None
) -> Iterator[tuple[str, str]]:
    """Yield each pair of entities of one kind that share a key once; with *changed*, only pairs with one of these.

    In a block of more than MAX_BLOCK, neighbours are compared in the order of their countries and registries.
    """
    blocks: dict[str, list[str]] = {}
    for iri, entity in entities.items():
        for key in set(keys(entity, weights)):
            blocks.setdefault(f"{entity.kind} {key}", []).append(iri)
    seen: set[tuple[str, str]] = set()
    for _, members in sorted(blocks.items()):
        for pair in _pairs(members, entities):
            if pair not in seen and (changed is None or pair[0] in changed or pair[1] in changed):
                seen.add(pair)
                yield pair


def _pairs(members: list[str], entities: Mapping[str, Entity]) -> Iterator[tuple[str, str]]:
    if len(members) <= MAX_BLOCK:
        for first, second in combinations(sorted(members), 2):
            yield first, second
        return
    ordered = sorted(members, key=lambda iri: (sorted(entities[iri].countries), iri))
    for index, first in enumerate(ordered):
        for second in ordered[index + 1 : index + 1 + WINDOW]:
            yield (first, second) if first < second else (second, first)
