"""Match entities: one thing from a threshold on, a person's decision between two, and never against
a decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum

from harvesters.matching.blocking import SCHEMA, WordWeights, candidate_pairs
from harvesters.matching.entity_store import EntityStore
from harvesters.matching.scoring import AUTOMATIC, QUEUED, Score, score
from harvesters.matching.scratch import open_scratch

Pair = tuple[str, str]


class Judgement(StrEnum):
    """What a person decided about a pair, in the terms of nomenklatura
    (https://github.com/opensanctions/nomenklatura).
    """

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNSURE = "unsure"


class Status(StrEnum):
    """What becomes of a pair."""

    AUTOMATIC = "automatic"  # one thing by its score
    QUEUED = "queued"  # a person decides
    CONTRADICTION = "contradiction"  # merging it would contradict a decision
    DECIDED = "decided"  # by a person


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A pair with its score and what becomes of it."""

    pair: Pair
    score: Score
    status: Status


def ordered(first: str, second: str) -> Pair:
    """Return two IRIs as a pair, in the order of the alphabet."""
    return (first, second) if first < second else (second, first)


class Clusters:
    """Sets of entities that are one thing, which negative decisions keep apart.

    *parents*, empty at first, says where sets are kept: in memory if it is None.
    """

    def __init__(
        self, decisions: Mapping[Pair, Judgement], parents: MutableMapping[str, str] | None = None
    ) -> None:
        # an entity that leads a set is its own
        self._parents: MutableMapping[str, str] = {} if parents is None else parents
        self._apart: dict[str, set[str]] = {}
        for (first, second), judgement in sorted(decisions.items()):
            if judgement is Judgement.NEGATIVE:
                self._apart.setdefault(first, set()).add(second)
                self._apart.setdefault(second, set()).add(first)
        self.conflicts = [
            pair
            for pair, judgement in sorted(decisions.items())
            if judgement is Judgement.POSITIVE and not self.join(*pair)
        ]

    def root(self, iri: str) -> str:
        """Return the representative of the set of an entity."""
        while (parent := self._parents.get(iri, iri)) != iri:
            if (next_parent := self._parents[parent]) != parent:
                self._parents[iri] = next_parent
            iri = parent
        return iri

    def join(self, first: str, second: str) -> bool:
        """Join the sets of two entities; return False, and change nothing, if a negative decision
        is between them.
        """
        one, other = self.root(first), self.root(second)
        if one == other:
            return True
        if any(self.root(iri) == other for iri in self._apart.get(one, ())):
            return False
        self._parents[one] = self._parents[other] = one
        if other in self._apart:
            self._apart.setdefault(one, set()).update(self._apart.pop(other))
        return True

    def members(self) -> Iterator[str]:
        """Yield the entities that are in a set of two or more."""
        return iter(self._parents)

    def sets(self) -> list[list[str]]:
        """Return the sets of two entities or more, each in the order of the alphabet."""
        groups: dict[str, list[str]] = {}
        for iri in sorted(self.members()):
            groups.setdefault(self.root(iri), []).append(iri)
        return sorted(groups.values())


def score_pairs(
    entities: EntityStore, *, only_changed: bool = False
) -> Iterator[tuple[Pair, Score]]:
    """Yield the pairs of *entities* that score QUEUED bits or more; with *only_changed*, only those
    with one that is marked as changed.
    """
    for kind in entities.kinds():
        with open_scratch(SCHEMA) as database:
            weights = WordWeights.count_in(database, entities.of_kind(kind))
            for pair in candidate_pairs(
                database, entities, kind, weights, only_changed=only_changed
            ):
                scored = score(entities[pair[0]], entities[pair[1]], weights)
                if scored.bits >= QUEUED:
                    yield pair, scored


def classify(
    pairs: Iterable[tuple[Pair, Score]], decisions: Mapping[Pair, Judgement]
) -> tuple[list[ScoredPair], Clusters]:
    """Return what becomes of each scored pair, the highest score first, and the sets that result."""
    clusters = Clusters(decisions)
    return list(
        classify_each(sorted(pairs, key=lambda item: (-item[1].bits, item[0])), decisions, clusters)
    ), clusters


def classify_each(
    pairs: Iterable[tuple[Pair, Score]], decisions: Mapping[Pair, Judgement], clusters: Clusters
) -> Iterator[ScoredPair]:
    """Yield what becomes of each of *pairs*, which have the highest score first, and join those
    that are one thing in *clusters*.

    Decisions come first: a pair that was decided is never merged by its score, nor is one whose
    merging would join two entities that were decided to be different; such a pair is a
    contradiction, which a person resolves.
    """
    for pair, scored in pairs:
        if pair in decisions and decisions[pair] is not Judgement.UNSURE:
            status = Status.DECIDED
        elif pair in decisions or scored.bits < AUTOMATIC:
            status = Status.QUEUED
        else:
            status = Status.AUTOMATIC if clusters.join(*pair) else Status.CONTRADICTION
        yield ScoredPair(pair, scored, status)
