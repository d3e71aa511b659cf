"""Compute sets of entities that are one thing, from a threshold of the score on and never against a
decision, and the published descriptions of the sets; decide about many pairs at once: by a rule, or
by an SSSOM table, of which all lines are stored or none.

The descriptions depend on the entities, pairs and decisions alone, so withdrawing a decision
restores the same bytes.

Source: https://mapping-commons.github.io/sssom/spec-model/. A negative decision has the predicate
modifier ``Not``, an unsure one the confidence 0.5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TypeAlias

from harvesters.errors import IdentityError
from harvesters.ledger.ledger import Ledger
from harvesters.matching.entities import EntityStore
from harvesters.matching.match import (
    Decision,
    Judgement,
    Pair,
    StoredPair,
    current_decisions,
    ordered,
    pair_id,
    stored_pairs,
)
from harvesters.matching.scoring import AUTOMATIC, FEATURES
from harvesters.reasons import Reason
from vocab import curated
from vocab.annotations import Match, cluster_iri, describe_cluster
from vocab.curated import RowFault
from vocab.iris import Iris


class Status(StrEnum):
    """The status of a pair."""

    AUTOMATIC = "automatic"  # one thing by its score
    QUEUED = "queued"  # a person decides
    CONTRADICTION = "contradiction"  # merging it would contradict a decision
    DECIDED = "decided"  # by a person


Rated: TypeAlias = tuple[StoredPair, Status]


class Clusters:
    """Sets of entities that are one thing, which negative decisions keep apart."""

    def __init__(self, decisions: Mapping[Pair, Judgement]) -> None:
        # An entity that represents a set is its own parent.
        self._parents: dict[str, str] = {}
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
    pairs: Iterable[StoredPair], decisions: Mapping[Pair, Judgement]
) -> tuple[list[Rated], Clusters]:
    """Return each of *pairs*, which have the highest score first, with its status, and the resulting
    sets.
    """
    clusters = Clusters(decisions)
    return list(classify_each(pairs, decisions, clusters)), clusters


def classify_each(
    pairs: Iterable[StoredPair], decisions: Mapping[Pair, Judgement], clusters: Clusters
) -> Iterator[Rated]:
    """Yield each of *pairs*, which have the highest score first, with its status; join those that
    are one thing in *clusters*.

    A decided pair is never merged by its score. A pair whose merging would join two entities that
    were decided to be different is a contradiction, which a person resolves.
    """
    for item in pairs:
        judgement = decisions.get(item.pair)
        if judgement not in (None, Judgement.UNSURE):
            status = Status.DECIDED
        elif judgement or item.score.bits < AUTOMATIC:
            status = Status.QUEUED
        else:
            status = Status.AUTOMATIC if clusters.join(*item.pair) else Status.CONTRADICTION
        yield item, status


def classify_stored(
    ledger: Ledger, further: Mapping[Pair, Decision] | None = None
) -> tuple[list[Rated], Clusters]:
    """Return the stored pairs, the highest score first, each with its status by score, decisions and
    *further* ones, and the resulting sets.
    """
    decisions = {**current_decisions(ledger), **(further or {})}
    return classify(stored_pairs(ledger), _judgements(decisions))


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
    clusters, sets, merged = Clusters(judgements), Counter[str](), Counter[str]()
    rated = classify_each(stored_pairs(ledger), judgements, clusters)
    statuses = Counter((item.kind, status) for item, status in rated)
    sizes = Counter(clusters.root(iri) for iri in clusters.members() if iri in entities)
    for root, members in sizes.items():
        kind = root.partition("/id/")[2].partition("/")[0]
        sets[kind] += members > 1
        merged[kind] += members - 1
    return PairCounts(statuses, +sets, +merged)


def cluster_descriptions(
    entities: EntityStore,
    pairs: Iterable[StoredPair],
    decisions: Mapping[Pair, Decision],
    iris: Iris,
) -> Iterator[tuple[str, list[str], str]]:
    """Yield the IRI of each cluster, its members, and its description.

    A cluster is named after the member that was published first, so that its IRI stays when members
    join or leave. *pairs* have the highest score first. Pairs and decisions about what is not
    published are ignored.
    """
    current = {
        pair: decision
        for pair, decision in decisions.items()
        if all(iri in entities for iri in pair)
    }
    judgements = _judgements(current)
    clusters, joined = Clusters(judgements), dict[str, list[Pair]]()
    # Only pairs that can join two entities are in memory: those in the queue are many more.
    known = (
        item
        for item in pairs
        if (item.score.bits >= AUTOMATIC or item.pair in judgements)
        and all(iri in entities for iri in item.pair)
    )
    agreeing: dict[Pair, tuple[str, ...]] = {
        pair: () for pair, judgement in judgements.items() if judgement is Judgement.POSITIVE
    }
    for item, status in classify_each(known, judgements, clusters):
        if status is Status.AUTOMATIC or item.pair in agreeing:
            names = (feature.name for feature in item.score.features if feature.bits > 0)
            agreeing[item.pair] = tuple(sorted(names))
    for pair in sorted(agreeing):
        # A decision that contradicts another one joins nothing.
        if (root := clusters.root(pair[0])) == clusters.root(pair[1]):
            joined.setdefault(root, []).append(pair)
    for members in clusters.sets():
        oldest = min(members, key=lambda iri: (entities[iri].first_seen, iri))
        cluster, pairs_of_set = cluster_iri(oldest, iris), joined[clusters.root(oldest)]
        matches = [_match(pair, agreeing[pair], current.get(pair)) for pair in pairs_of_set]
        yield cluster, members, "\n".join(describe_cluster(cluster, members, matches, iris))


def _judgements(decisions: Mapping[Pair, Decision]) -> dict[Pair, Judgement]:
    return {pair: decision.judgement for pair, decision in decisions.items() if decision.judgement}


def _match(pair: Pair, features: tuple[str, ...], decision: Decision | None) -> Match:
    decided, reason = (
        (decision.when, decision.reason)
        if decision and decision.judgement is Judgement.POSITIVE
        else (None, "")
    )
    return Match(pair_id(pair), *pair, features, decided, reason)


@dataclass(frozen=True, slots=True)
class PairRule:
    """Selects the pairs that meet all conditions. "" and empty sets are no condition.

    *least* and *most* are bits of the score. *agree* are features with more than 0 bits, *differ*
    those with less, *silent* those that were not compared. Both sides are of one of *sources*.
    """

    kind: str = ""
    least: float = float("-inf")
    most: float = float("inf")
    agree: frozenset[str] = frozenset()
    differ: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()

    def covers(self, pair: StoredPair) -> bool:
        bits = {feature.name: feature.bits for feature in pair.score.features}
        return (
            (not self.kind or pair.kind == self.kind)
            and self.least <= pair.score.bits <= self.most
            and all(bits.get(name, 0) > 0 for name in self.agree)
            and all(bits.get(name, 0) < 0 for name in self.differ)
            and not self.silent & bits.keys()
            and (not self.sources or all(_source(iri) in self.sources for iri in pair.pair))
        )


def check_rule(rule: PairRule) -> None:
    """Raise IdentityError for a rule without a condition, and for one with an unknown feature."""
    named = rule.agree | rule.differ | rule.silent
    if unknown := sorted(named - FEATURES):
        raise IdentityError(
            f"no feature is called {unknown[0]!r}; the features are {', '.join(sorted(FEATURES))}"
        )
    if rule == PairRule(kind=rule.kind):
        raise IdentityError(
            "the rule has no condition and would decide all waiting pairs; name features, bits or registries"
        )


def covered_pairs(
    rule: PairRule, rated: Iterable[Rated], decided: Collection[Pair]
) -> list[StoredPair]:
    """Return the pairs in the queue that a rule covers and nobody decided, the highest score first."""
    return [
        item
        for item, status in rated
        if status is Status.QUEUED and item.pair not in decided and rule.covers(item)
    ]


def _source(iri: str) -> str:
    return iri.partition("/id/")[2].split("/")[1]


COLUMNS = (
    *("subject_id", "predicate_id", "predicate_modifier", "object_id", "mapping_justification"),
    *("author_label", "mapping_date", "confidence", "comment"),
)
_SHOWN = 20  # faults that an error lists
_PREDICATE, _JUSTIFICATION = "skos:exactMatch", "semapv:ManualMappingCuration"
_UNSURE = "0.5"


def write_table(decisions: Iterable[Decision]) -> str:
    """Return *decisions* as tab-separated values with a header, in the order of their pairs."""
    rows = (
        (
            decision.pair[0],
            _PREDICATE,
            "Not" if decision.judgement is Judgement.NEGATIVE else "",
            decision.pair[1],
            _JUSTIFICATION,
            decision.who,
            f"{decision.when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            _UNSURE if decision.judgement is Judgement.UNSURE else "1",
            decision.reason,
        )
        for decision in sorted(decisions, key=lambda item: item.pair)
    )
    return curated.write_table(COLUMNS, rows)


def read_table(text: str, known: Collection[str], who: str, now: datetime) -> list[Decision]:
    """Return the decisions of a table; *who* and *now* replace a missing author and date.

    *known* are the IRIs that exist. Raises IdentityError that lists the faults with their lines;
    then no line is to be used.
    """
    needed = ("subject_id", "object_id")
    rows, faults = curated.read_table(
        text, COLUMNS, needed, dict, partial(_fault, known=known), id, lambda _: RowFault("")
    )
    if faults:
        listed = [f"line {item.line}: {Reason(item.code, **item.values).text}" for item in faults]
        more = f"\n... and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise IdentityError(
            "\n".join(listed[:_SHOWN])
            + more
            + "\nnothing was stored; correct these lines and import the table again"
        )
    return [_decision(row, who, now) for row in rows]


def _fault(row: Mapping[str, str], known: Collection[str]) -> RowFault | None:
    """Return the fault of a line, None if it has none."""
    first, second, predicate = row["subject_id"], row["object_id"], row["predicate_id"]
    unknown = [iri or "without an IRI" for iri in (first, second) if iri not in known]
    kinds = [iri.split("/id/")[-1].partition("/")[0] for iri in (first, second)]
    modifier, day = row["predicate_modifier"], row["mapping_date"]
    faults = (
        (unknown, f"unknown record {', '.join(unknown)}"),
        (first == second, "both sides are the same record"),
        (kinds[0] != kinds[1], "an organization and an initiative are never one thing"),
        (
            predicate not in ("", _PREDICATE),
            f"the predicate is {predicate!r}; it must be {_PREDICATE}",
        ),
        (
            modifier not in ("", "Not"),
            f"the predicate modifier is {modifier!r}; it must be Not or empty",
        ),
        (
            day and _parse_date(day) is None,
            f"{day!r} is not a date; write it as 2026-01-31 or 2026-01-31T12:00:00Z",
        ),
    )
    return next((RowFault("other", {"text": text}) for is_wrong, text in faults if is_wrong), None)


def _parse_date(text: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _decision(row: Mapping[str, str], who: str, now: datetime) -> Decision:
    stated = Judgement.NEGATIVE if row["predicate_modifier"] else Judgement.POSITIVE
    return Decision(
        ordered(row["subject_id"], row["object_id"]),
        Judgement.UNSURE if row["confidence"] == _UNSURE else stated,
        row["author_label"] or who,
        _parse_date(row["mapping_date"]) or now,
        row["comment"],
    )
