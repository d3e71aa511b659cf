"""Compute sets of entities that are one thing, from a threshold of the score on and never against a
decision, and the published descriptions of the sets.

The descriptions depend on the entities, pairs and decisions alone, so withdrawing a decision
restores the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from sqlite3 import Connection

from harvesters.ledger.ledger import Ledger
from harvesters.matching.entity_store import EntityStore, ScratchMapping, open_scratch
from harvesters.matching.scoring import AUTOMATIC, Score
from harvesters.matching.stored import (
    Decision,
    Judgement,
    Pair,
    StoredPair,
    current_decisions,
    pair_id,
    stored_pairs,
)
from vocab.annotations import Match, cluster_iri, describe_cluster
from vocab.iris import Iris


class Status(StrEnum):
    """The status of a pair."""

    AUTOMATIC = "automatic"  # one thing by its score
    QUEUED = "queued"  # a person decides
    CONTRADICTION = "contradiction"  # merging it would contradict a decision
    DECIDED = "decided"  # by a person


@dataclass(frozen=True, slots=True)
class ScoredPair:
    pair: Pair
    score: Score
    status: Status


class Clusters:
    """Sets of entities that are one thing, which negative decisions keep apart.

    *parents* is an empty mapping on disk that stores the sets; they are in memory if it is None.
    """

    def __init__(
        self, decisions: Mapping[Pair, Judgement], parents: ScratchMapping | None = None
    ) -> None:
        # An entity that represents a set is its own parent.
        self._parents: dict[str, str] | ScratchMapping = {} if parents is None else parents
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


def classify(
    pairs: Iterable[tuple[Pair, Score]], decisions: Mapping[Pair, Judgement]
) -> tuple[list[ScoredPair], Clusters]:
    """Return each scored pair with its status, the highest score first, and the resulting sets."""
    clusters = Clusters(decisions)
    return list(
        classify_each(sorted(pairs, key=lambda item: (-item[1].bits, item[0])), decisions, clusters)
    ), clusters


def classify_each(
    pairs: Iterable[tuple[Pair, Score]], decisions: Mapping[Pair, Judgement], clusters: Clusters
) -> Iterator[ScoredPair]:
    """Yield each of *pairs*, which have the highest score first, with its status; join those that
    are one thing in *clusters*.

    A decided pair is never merged by its score. A pair whose merging would join two entities that
    were decided to be different is a contradiction, which a person resolves.
    """
    for pair, scored in pairs:
        if pair in decisions and decisions[pair] is not Judgement.UNSURE:
            status = Status.DECIDED
        elif pair in decisions or scored.bits < AUTOMATIC:
            status = Status.QUEUED
        else:
            status = Status.AUTOMATIC if clusters.join(*pair) else Status.CONTRADICTION
        yield ScoredPair(pair, scored, status)


# Sets of entities (ScratchMapping), the pairs that may join them, and both by the root of a set.
_SCHEMA = f"""
{ScratchMapping.SCHEMA}
CREATE TABLE scored (first TEXT, second TEXT, features TEXT NOT NULL, PRIMARY KEY (first, second)) WITHOUT ROWID;
CREATE TABLE joined (root TEXT, first TEXT, second TEXT, features TEXT NOT NULL, PRIMARY KEY (root, first, second)) WITHOUT ROWID;
CREATE TABLE member (root TEXT, iri TEXT, PRIMARY KEY (root, iri)) WITHOUT ROWID;
"""


def classify_stored(ledger: Ledger) -> tuple[dict[Pair, StoredPair], list[ScoredPair], Clusters]:
    """Return the stored pairs, each with its status by score and decisions, and the resulting sets."""
    stored = {item.pair: item for item in stored_pairs(ledger)}
    return stored, *classify_pairs(stored, current_decisions(ledger))


def classify_pairs(
    stored: Mapping[Pair, StoredPair], decisions: Mapping[Pair, Decision]
) -> tuple[list[ScoredPair], Clusters]:
    """Return each pair with its status by score and *decisions*, and the resulting sets."""
    return classify(((pair, item.score) for pair, item in stored.items()), _judgements(decisions))


@dataclass(frozen=True, slots=True)
class PairCounts:
    """The number of pairs by kind and status; by kind, the number of *sets* of two or more entities,
    and of entities that were *merged* into another.
    """

    statuses: Mapping[tuple[str, Status], int]
    sets: Mapping[str, int]
    merged: Mapping[str, int]


def count_pairs(ledger: Ledger, entities: EntityStore) -> PairCounts:
    """Count the stored pairs by status, and the resulting sets of published *entities*."""
    judgements = _judgements(current_decisions(ledger))
    with open_scratch(_SCHEMA) as database:
        clusters = Clusters(judgements, ScratchMapping(database))
        scored = classify_each(
            ((item.pair, item.score) for item in stored_pairs(ledger)), judgements, clusters
        )
        statuses = Counter(
            (item.pair[0].partition("/id/")[2].partition("/")[0], item.status) for item in scored
        )
        _write_members(database, clusters, entities)
        sets, merged = Counter[str](), Counter[str]()
        for root, members in database.execute(
            "SELECT root, count(*) FROM member GROUP BY root HAVING count(*) > 1"
        ):
            kind = root.partition("/id/")[2].partition("/")[0]
            sets[kind] += 1
            merged[kind] += members - 1
    return PairCounts(statuses, sets, merged)


def cluster_descriptions(
    entities: EntityStore,
    pairs: Iterable[StoredPair],
    decisions: Mapping[Pair, Decision],
    iris: Iris,
) -> Iterator[tuple[str, list[str], str]]:
    """Yield the IRI of each cluster, its members, and its description.

    A cluster is named after the member that was published first, so that its IRI stays when members
    join or leave. *pairs* have the highest score first. Pairs and decisions about what is not
    published are ignored. Sets are on disk while they are computed, so that any number of them
    needs the same memory.
    """
    current = {
        pair: decision
        for pair, decision in decisions.items()
        if all(iri in entities for iri in pair)
    }
    with open_scratch(_SCHEMA) as database:
        clusters = _write_joined(database, entities, pairs, _judgements(current))
        _write_members(database, clusters, entities)
        for root, rows in groupby(
            database.execute("SELECT root, iri FROM member ORDER BY root, iri"), itemgetter(0)
        ):
            members = [iri for _, iri in rows]
            cluster = cluster_iri(
                min(members, key=lambda iri: (entities[iri].first_seen, iri)), iris
            )
            joined = database.execute(
                "SELECT first, second, features FROM joined WHERE root = ? ORDER BY first, second",
                (root,),
            )
            matches = [
                _match((first, second), tuple(names.split()), current.get((first, second)))
                for first, second, names in joined
            ]
            yield cluster, members, "\n".join(describe_cluster(cluster, members, matches, iris))


def _write_joined(
    database: Connection,
    entities: EntityStore,
    pairs: Iterable[StoredPair],
    judgements: Mapping[Pair, Judgement],
) -> Clusters:
    """Write the pairs that are one thing, each with its set and the names of the features that
    agree; return the sets.
    """
    clusters = Clusters(judgements, ScratchMapping(database))
    # Only pairs that can join two entities are stored: those in the queue are many more.
    known = (item for item in pairs if item.score.bits >= AUTOMATIC or item.pair in judgements)
    scored = (
        (item.pair, item.score) for item in known if all(iri in entities for iri in item.pair)
    )
    positive = {pair for pair, judgement in judgements.items() if judgement is Judgement.POSITIVE}
    insert = "INSERT OR REPLACE INTO scored VALUES (?, ?, ?)"
    database.executemany(insert, ((*pair, "") for pair in positive))
    for item in classify_each(scored, judgements, clusters):
        if item.status is Status.AUTOMATIC or item.pair in positive:
            agreeing = sorted(feature.name for feature in item.score.features if feature.bits > 0)
            database.execute(insert, (*item.pair, " ".join(agreeing)))
    for first, second, features in database.execute("SELECT first, second, features FROM scored"):
        # A decision that contradicts another one joins nothing.
        if (root := clusters.root(first)) == clusters.root(second):
            database.execute(
                "INSERT INTO joined VALUES (?, ?, ?, ?)", (root, first, second, features)
            )
    return clusters


def _write_members(database: Connection, clusters: Clusters, entities: EntityStore) -> None:
    rows = ((clusters.root(iri), iri) for iri in clusters.members() if iri in entities)
    database.executemany("INSERT INTO member VALUES (?, ?)", rows)


def _judgements(decisions: Mapping[Pair, Decision]) -> dict[Pair, Judgement]:
    return {pair: decision.judgement for pair, decision in decisions.items() if decision.judgement}


def _match(pair: Pair, features: tuple[str, ...], decision: Decision | None) -> Match:
    decided, reason = (
        (decision.when, decision.reason)
        if decision and decision.judgement is Judgement.POSITIVE
        else (None, "")
    )
    return Match(pair_id(pair), *pair, features, decided, reason)
