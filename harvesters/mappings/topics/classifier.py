"""A classifier of goals: logistic regression over the vectors of texts, calibrated, with a
threshold below which it says nothing.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harvesters.errors import HarvestError
from harvesters.mappings.topics.embedding import WIDTH, Vectors

NAME = "e5-logistic"
# the share of suggestions above the threshold that are right at least, with a confidence of 95 %
PRECISION = 0.9
FEWEST_MEASURED = 200  # with at least this number of texts of registries, only these are measured
_QUANTILE = 1.645  # of the normal distribution, for a bound on one side with a confidence of 95 %
_FOLDS = 5
_STRENGTH = 100.0  # of the regularization: vectors have 384 numbers, and a goal some hundred texts
_STEPS, _ENOUGH = 25, 1e-3  # of Newton's method, and the change at which it stops
_PARTS = ("codes", "mean", "scale", "weights", "calibration", "threshold")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TopicModel:
    """*weights* has a row for each of *codes*, the offset last; *calibration* is the slope and
    offset from scores to probabilities.

    *threshold* is the probability below which nothing is suggested; over 1 if no threshold reaches
    ``PRECISION``.
    """

    codes: tuple[str, ...]
    mean: Floats
    scale: float
    weights: Floats
    calibration: tuple[float, float]
    threshold: float
    version: str = ""

    def probabilities(self, vectors: Vectors) -> Floats:
        """Return for each row of *vectors* the probability of each code."""
        slope, offset = self.calibration
        return _sigmoid(slope * _scores(self._scaled(vectors), self.weights) + offset)

    def _scaled(self, vectors: Vectors) -> Floats:
        return (vectors - self.mean) / self.scale


@dataclass(frozen=True, slots=True)
class Curve:
    """What was measured on texts that were not trained on: *probabilities* and whether each was
    *right*, a row a text, a column a code.
    """

    probabilities: Floats
    right: NDArray[np.bool_]

    def bins(self, count: int = 10) -> list[tuple[float, float, int]]:
        """Return for each bin of probability that has any its mean probability, the share that was
        right, and the number.
        """
        numbers = np.minimum((self.probabilities * count).astype(int), count - 1)
        return [
            (
                float(self.probabilities[chosen].mean()),
                float(self.right[chosen].mean()),
                int(chosen.sum()),
            )
            for number in range(count)
            if (chosen := numbers == number).any()
        ]

    def rows(self, chosen: NDArray[np.bool_]) -> Curve:
        """Return the curve of the *chosen* texts."""
        return Curve(self.probabilities[chosen], self.right[chosen])

    def threshold(self, precision: float = PRECISION) -> float:
        """Return the lowest probability at which the share of right suggestions is surely at least
        *precision*; 2 if there is none.

        Of the share that was right counts the lower bound of its confidence interval by Wilson
        (https://doi.org/10.2307/2276774): the share itself crosses *precision* several times, so
        that a few other texts would move the threshold far.
        """
        order = np.argsort(-self.probabilities.ravel(), kind="stable")
        numbers, square = np.arange(1, len(order) + 1), _QUANTILE**2
        shares = np.cumsum(self.right.ravel()[order]) / numbers
        spread = _QUANTILE * np.sqrt(shares * (1 - shares) / numbers + square / (4 * numbers**2))
        lowest = (shares + square / (2 * numbers) - spread) / (1 + square / numbers)
        enough = np.flatnonzero(lowest >= precision)
        return float(self.probabilities.ravel()[order[enough[-1]]]) if len(enough) else 2.0

    def figures(self, chosen: NDArray[np.bool_], threshold: float) -> Figures:
        """Return what suggestions from *threshold* on are worth for the *chosen* rows."""
        above, right = self.probabilities[chosen] >= threshold, self.right[chosen]
        share = float(right[above].mean()) if above.any() else None
        return Figures(
            len(above),
            share,
            float(above[right].mean()) if right.any() else None,
            float((~above).all(axis=1).mean()),
        )


class Figures(NamedTuple):
    """*precision* and *recall* of the suggestions for a number of *texts*, None if there are no
    suggestions, and the share of texts *without* any.
    """

    texts: int
    precision: float | None
    recall: float | None
    without: float


@dataclass(frozen=True, slots=True)
class Example:
    """A *text* in a *language* about *goals*. The others that its record has, *also*, are right,
    but no example; *group* is the record.

    *is_name*: the text is the name of a goal, target or indicator.
    """

    text: str
    goals: frozenset[str]
    also: frozenset[str]
    group: str
    language: str = "en"
    is_name: bool = False


def measured_rows(examples: Sequence[Example]) -> NDArray[np.bool_]:
    """Return which examples the probabilities and the threshold are measured on: texts of
    registries, since others are not classified.

    With fewer than ``FEWEST_MEASURED`` of them, all are.
    """
    stated = np.array([not example.is_name for example in examples])
    return stated if stated.sum() >= FEWEST_MEASURED else np.ones(len(examples), dtype=np.bool_)


def train(vectors: Vectors, examples: Sequence[Example]) -> tuple[TopicModel, Curve]:
    """Return a model of examples, a row of *vectors* each, and what was measured on texts whose
    group was not trained on.
    """
    codes = tuple(
        sorted(
            {code for example in examples for code in example.goals},
            key=lambda code: (len(code), code),
        )
    )
    targets = np.array(
        [[code in example.goals for code in codes] for example in examples], dtype=np.float64
    )
    right = np.array(
        [[code in example.goals | example.also for code in codes] for example in examples],
        dtype=np.float64,
    )
    mean = vectors.mean(axis=0, dtype=np.float64)
    scale = float((vectors - mean).std())
    scaled = (vectors - mean) / scale
    folds = np.array(
        [hashlib.sha256(example.group.encode()).digest()[0] % _FOLDS for example in examples]
    )
    unseen = _unseen_scores(scaled, targets, folds)
    measured = measured_rows(examples)
    # Platt's method
    slope, offset = _fit(unseen[measured].reshape(-1, 1), right[measured].ravel(), 1e-6)
    curve = Curve(_sigmoid(slope * unseen + offset), right > 0)
    weights = np.array(
        [_fit(scaled, targets[:, column], _STRENGTH) for column in range(len(codes))]
    )
    return TopicModel(
        codes, mean, scale, weights, (float(slope), float(offset)), curve.rows(measured).threshold()
    ), curve


def save(model: TopicModel, file: Path) -> None:
    """Write a model as compressed NumPy arrays
    (https://numpy.org/doc/stable/reference/generated/numpy.savez_compressed.html).
    """
    content = io.BytesIO()
    np.savez_compressed(
        content,
        codes=np.array(model.codes),
        mean=model.mean.astype(np.float32),
        scale=np.array(model.scale),
        weights=model.weights.astype(np.float32),
        calibration=np.array(model.calibration),
        threshold=np.array(model.threshold),
    )
    file.write_bytes(content.getvalue())


@lru_cache(maxsize=4)
def load(file: Path) -> TopicModel:
    """Read a model; its version is the digest of the file. Raises HarvestError if the file is
    missing or damaged.
    """
    remedy = "run `stocktake topics train`, or install Stocktake again"
    try:
        content = file.read_bytes()
        if not zipfile.is_zipfile(io.BytesIO(content)):
            raise HarvestError(
                f"{file}: the classifier is damaged (it is no archive of NumPy arrays); {remedy}"
            )
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            codes, mean, scale, weights, calibration, threshold = (arrays[name] for name in _PARTS)
    except OSError as error:
        raise HarvestError(
            f"{file}: the classifier cannot be read ({error.strerror}); {remedy}"
        ) from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.error) as error:
        raise HarvestError(f"{file}: the classifier is damaged ({error}); {remedy}") from error
    if (
        mean.shape != (WIDTH,)
        or weights.shape != (len(codes), WIDTH + 1)
        or calibration.shape != (2,)
        or not np.isfinite(weights).all()
    ):
        raise HarvestError(f"{file}: the classifier is damaged (its parts do not fit); {remedy}")
    version = hashlib.sha256(content).hexdigest()[:12]
    names = tuple(map(str, codes))
    return TopicModel(
        names,
        mean,
        float(scale),
        weights,
        (float(calibration[0]), float(calibration[1])),
        float(threshold),
        version,
    )


def _sigmoid(scores: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(scores, -60, 60))), dtype=np.float64)


def _with_offset(vectors: Floats) -> Floats:
    return np.hstack([vectors, np.ones((len(vectors), 1))])


def _scores(vectors: Floats, weights: Floats) -> Floats:
    return np.asarray(_with_offset(vectors) @ weights.T, dtype=np.float64)


def _fit(vectors: Floats, target: Floats, strength: float) -> Floats:
    """Return the weights of a logistic regression by Newton's method; the offset is not
    regularized.
    """
    inputs = _with_offset(vectors)
    weights = np.zeros(inputs.shape[1])
    penalty = np.full(inputs.shape[1], strength)
    penalty[-1] = 1e-6
    for _ in range(_STEPS):
        expected = _sigmoid(inputs @ weights)
        gradient = inputs.T @ (expected - target) + penalty * weights
        curvature = (inputs * (expected * (1 - expected) + 1e-9)[:, None]).T @ inputs + np.diag(
            penalty
        )
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < _ENOUGH:
            break
    return weights


def _unseen_scores(vectors: Floats, targets: Floats, folds: NDArray[np.int_]) -> Floats:
    """Return the score of each text and code by a model that was not trained on the text's fold."""
    scores = np.zeros_like(targets)
    for fold in np.unique(folds):
        seen = folds != fold
        weights = np.array(
            [
                _fit(vectors[seen], targets[seen, column], _STRENGTH)
                for column in range(targets.shape[1])
            ]
        )
        scores[~seen] = _scores(vectors[~seen], weights)
    return scores
