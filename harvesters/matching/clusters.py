"""Compute the published descriptions of clusters from scored pairs and decisions.

The descriptions depend on the entities, pairs and decisions alone, so a decision that is taken back gives the bytes of before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from sys import intern

from harvesters.ledger.ledger import Ledger
from harvesters.matching.entities import Entity
from harvesters.matching.pairs import Clusters, Judgement, Pair, ScoredPair, Status, classify, classify_each
from harvesters.matching.scoring import AUTOMATIC
from harvesters.matching.stored import Decision, StoredPair, current_decisions, pair_id, stored_pairs
from vocab.iris import Iris
from vocab.statements.clusters import Match, cluster_iri, describe_cluster


def classify_stored(ledger: Ledger) -> tuple[dict[Pair, StoredPair], list[ScoredPair], Clusters]:
    """Return the stored pairs, what becomes of each by its score and the decisions, and the sets that result."""
    stored = {item.pair: item for item in stored_pairs(ledger)}
    return stored, *classify_pairs(stored, current_decisions(ledger))


def classify_pairs(stored: Mapping[Pair, StoredPair], decisions: Mapping[Pair, Decision]) -> tuple[list[ScoredPair], Clusters]:
    """Return what becomes of each pair by its score and *decisions*, and the sets that result."""
    return classify(((pair, item.score) for pair, item in stored.items()), _judgements(decisions))


@dataclass(frozen=True, slots=True)
class PairCounts:
    """How many pairs of each kind have each status, and the *sets* that result."""

    statuses: Mapping[tuple[str, Status], int]
    sets: list[list[str]]


def count_pairs(ledger: Ledger) -> PairCounts:
    """Count what becomes of the stored pairs, one by one."""
    judgements = _judgements(current_decisions(ledger))
    clusters = Clusters(judgements)
    scored = classify_each(((item.pair, item.score) for item in stored_pairs(ledger)), judgements, clusters)
    counts = Counter((item.pair[0].partition("/id/")[2].partition("/")[0], item.status) for item in scored)
    return PairCounts(counts, clusters.sets())


def cluster_descriptions(
    entities: Mapping[str, Entity], pairs: Iterable[StoredPair], decisions: Mapping[Pair, Decision], iris: Iris
) -> Iterator[tuple[str, list[str], str]]:
    """Yield the IRI of each cluster, its members, and its description.

    A cluster is named after the member that was published first, so that its IRI stays when members join or leave.
    *pairs* have the highest score first. Pairs and decisions about what is not published are ignored.
    """
    current = {pair: decision for pair, decision in decisions.items() if all(iri in entities for iri in pair)}
    judgements = _judgements(current)
    clusters = Clusters(judgements)
    # Features are kept of what can join two entities: the pairs in the queue are many more.
    known = (item for item in pairs if item.score.bits >= AUTOMATIC or item.pair in current)
    scored = ((item.pair, item.score) for item in known if all(iri in entities for iri in item.pair))
    agreeing: dict[Pair, str] = {}
    joined = {pair for pair, judgement in judgements.items() if judgement is Judgement.POSITIVE}
    for item in classify_each(scored, judgements, clusters):
        if item.status is Status.AUTOMATIC or item.pair in joined:
            joined.add(item.pair)
            agreeing[item.pair] = intern(" ".join(sorted(feature.name for feature in item.score.features if feature.bits > 0)))
    pairs_of: dict[str, list[Pair]] = {}
    for pair in sorted(joined):
        if (root := clusters.root(pair[0])) == clusters.root(pair[1]):
            pairs_of.setdefault(root, []).append(pair)
    for members in clusters.sets():
        first = min(members, key=lambda iri: (entities[iri].first_seen, iri))
        cluster = cluster_iri(first, iris)
        matches = [_match(pair, tuple(agreeing.get(pair, "").split()), current.get(pair)) for pair in pairs_of[clusters.root(first)]]
        yield cluster, members, "\n".join(describe_cluster(cluster, members, matches, iris))


def _judgements(decisions: Mapping[Pair, Decision]) -> dict[Pair, Judgement]:
    return {pair: decision.judgement for pair, decision in decisions.items() if decision.judgement}


def _match(pair: Pair, features: tuple[str, ...], decision: Decision | None) -> Match:
    decided, reason = (decision.when, decision.reason) if decision and decision.judgement is Judgement.POSITIVE else (None, "")
    return Match(pair_id(pair), *pair, features, decided, reason)
