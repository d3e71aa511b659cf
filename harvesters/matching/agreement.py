"""Draw a sample of pairs for two curators, and measure how far their decisions agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from harvesters.matching.pairs import Judgement, Pair
from harvesters.matching.stored import Decision, StoredPair


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two curators decided about the same pairs: *both* is their number, *same* how many have
    one judgement.

    *kappa* is Cohen's: 1 for complete agreement, 0 for what chance gives; None if both used one
    judgement only. Source: https://doi.org/10.1177/001316446002000104
    """

    both: int
    same: int
    kappa: float | None
    differences: tuple[tuple[Pair, Judgement, Judgement], ...]


def draw_sample(pairs: Iterable[StoredPair], size: int, seed: int) -> list[StoredPair]:
    """Return *size* pairs, the same for one *seed*, in an order that does not follow their scores."""
    ordered = sorted(pairs, key=lambda pair: pair.pair)
    return Random(seed).sample(ordered, min(size, len(ordered)))


def measure_agreement(first: Iterable[Decision], second: Iterable[Decision]) -> Agreement:
    """Compare the decisions of two curators about the pairs that both decided."""
    one, other = _judgements(first), _judgements(second)
    common = sorted(one.keys() & other.keys())
    differences = tuple(
        (pair, one[pair], other[pair]) for pair in common if one[pair] != other[pair]
    )
    same = len(common) - len(differences)
    return Agreement(
        len(common),
        same,
        _kappa([one[pair] for pair in common], [other[pair] for pair in common], same),
        differences,
    )


def _judgements(decisions: Iterable[Decision]) -> Mapping[Pair, Judgement]:
    return {decision.pair: decision.judgement for decision in decisions if decision.judgement}


def _kappa(first: Sequence[Judgement], second: Sequence[Judgement], same: int) -> float | None:
    if not first:
        return None
    one, other = Counter(first), Counter(second)
    chance = sum(one[judgement] * other[judgement] for judgement in Judgement) / len(first) ** 2
    return None if chance == 1 else (same / len(first) - chance) / (1 - chance)
