"""Choose the waiting pairs that a rule covers, so that a person decides about them at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from harvesters.errors import IdentityError
from harvesters.matching.pairs import Pair, ScoredPair, Status
from harvesters.matching.scoring import FEATURES
from harvesters.matching.stored import StoredPair


@dataclass(frozen=True, slots=True)
class PairRule:
    """Which pairs are decided: all conditions hold. "" and empty sets are no condition.

    *least* and *most* are bits of the score. *agree* are features that gave more than 0 bits,
    *differ* those that gave less, *silent* those that were not compared. *sources* are registries:
    each side is of one of them.
    """

    kind: str = ""
    least: float = float("-inf")
    most: float = float("inf")
    agree: frozenset[str] = frozenset()
    differ: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()

    def covers(self, pair: StoredPair) -> bool:
        """Return whether all conditions hold for a pair."""
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
    rule: PairRule,
    stored: Mapping[Pair, StoredPair],
    scored: Iterable[ScoredPair],
    decided: Collection[Pair],
) -> list[StoredPair]:
    """Return the pairs in the queue that a rule covers and nobody decided, the highest score first."""
    waiting = (
        stored[item.pair]
        for item in scored
        if item.status is Status.QUEUED and item.pair not in decided
    )
    return [pair for pair in waiting if rule.covers(pair)]


def _source(iri: str) -> str:
    return iri.partition("/id/")[2].split("/")[1]
