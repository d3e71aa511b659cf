"""A classifier of goals: logistic regression over the vectors of texts, calibrated, with a
threshold below which it says nothing.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harvesters.errors import HarvestError
from harvesters.mappings.topics.embedding import WIDTH, Vectors

NAME = "e5-logistic"
_PARTS = ("codes", "mean", "scale", "weights", "calibration", "threshold")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TopicModel:
    """*weights* has a row for each of *codes*, the offset last; *calibration* is the slope and
    offset from scores to probabilities.

    *threshold* is the probability below which nothing is suggested: the lowest from which on, with
    a confidence of 95 %, nine in ten suggestions for texts that it had not seen were right.
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
        scaled = (vectors - self.mean) / self.scale
        scores = scaled @ self.weights[:, :-1].T + self.weights[:, -1]
        return np.asarray(1 / (1 + np.exp(-slope * scores - offset)), dtype=np.float64)


@lru_cache(maxsize=1)
def load(file: Path) -> TopicModel:
    """Read a model; its version is the digest of the file. Raises HarvestError if the file is
    missing or damaged.
    """
    remedy = "install Stocktake again"
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
