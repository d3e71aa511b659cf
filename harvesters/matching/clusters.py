"""Compute the published descriptions of clusters from scored pairs and decisions.

The descriptions depend on the entities, pairs and decisions alone, so a decision that is taken back gives the bytes of before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harvesters.ledger.ledger import Ledger
from harvesters.matching.entities import Entity
from harvesters.matching.pairs import Clusters, Judgement, Pair, ScoredPair, Status, classify
from harvesters.matching.stored import Decision, StoredPair, current_decisions, pair_id, stored_pairs
from vocab.clusters import Match, cluster_iri, describe_cluster
from vocab.iris import Iris


def classify_stored(ledger: Ledger) -> tuple[dict[Pair, StoredPair], list[ScoredPair], Clusters]:
    """Return the stored pairs, what becomes of each by its score and the decisions, and the sets that result."""
    stored = {item.pair: item for item in stored_pairs(ledger)}
    return stored, *classify_pairs(stored, current_decisions(ledger))


def classify_pairs(stored: Mapping[Pair, StoredPair], decisions: Mapping[Pair, Decision]) -> tuple[list[ScoredPair], Clusters]:
    """Return what becomes of each pair by its score and *decisions*, and the sets that result."""
    judgements = {pair: decision.judgement for pair, decision in decisions.items() if decision.judgement}
    return classify(((pair, item.score) for pair, item in stored.items()), judgements)


def cluster_descriptions(
    entities: Mapping[str, Entity], pairs: Iterable[StoredPair], decisions: Mapping[Pair, Decision], iris: Iris
) -> dict[str, str]:
    """Return the description of each cluster by its IRI.

    A cluster is named after the member that was published first, so that its IRI stays when members join or leave.
    Pairs and decisions about what is not published are ignored.
    """
    known = {pair.pair: pair for pair in pairs if all(iri in entities for iri in pair.pair)}
    current = {pair: decision for pair, decision in decisions.items() if all(iri in entities for iri in pair)}
    scored, clusters = classify_pairs(known, current)
    positive = {pair for pair, decision in current.items() if decision.judgement is Judgement.POSITIVE}
    joined = positive.union(item.pair for item in scored if item.status is Status.AUTOMATIC)
    matches: dict[str, list[Match]] = {}
    for pair in sorted(joined):
        if (root := clusters.root(pair[0])) == clusters.root(pair[1]):
            matches.setdefault(root, []).append(_match(pair, known.get(pair), current.get(pair)))
    result = {}
    for members in clusters.sets():
        first = min(members, key=lambda iri: (entities[iri].first_seen, iri))
        cluster = cluster_iri(first, iris)
        result[cluster] = "\n".join(describe_cluster(cluster, members, matches[clusters.root(first)], iris))
    return result


def _match(pair: Pair, scored: StoredPair | None, decision: Decision | None) -> Match:
    features = tuple(sorted(feature.name for feature in scored.score.features if feature.bits > 0)) if scored else ()
    decided, reason = (decision.when, decision.reason) if decision and decision.judgement is Judgement.POSITIVE else (None, "")
    return Match(pair_id(pair), *pair, features, decided, reason)
