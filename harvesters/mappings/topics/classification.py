"""Suggest the goals that a text is about by the shipped classifier.

How it was trained and what was measured is in docs/explanation/quality.md#suggestions.
"""

from __future__ import annotations

import re
from pathlib import Path

from harvesters.mappings.topics import classifier
from harvesters.mappings.topics.embedding import check_model, embed
from harvesters.mappings.topics.suitability import unsuitable
from vocab.initiative import Basis, Claim
from vocab.lookup import SDG

SHIPPED = Path(__file__).with_name("goals.npz")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？؟])\s*|\n+")
# So many sentences are compared, and so many characters of the best one are kept.
_SENTENCES, _LONGEST = 12, 300


def method_version() -> str:
    """Return the method and the version of the classifier. Raises HarvestError as ``check`` does."""
    return f"{classifier.NAME} {classifier.load(SHIPPED).version}"


def check() -> None:
    """Raise HarvestError if the model of the vectors or the classifier is missing or damaged."""
    check_model()
    classifier.load(SHIPPED)


def classify(text: str, language: str | None) -> tuple[list[Claim], str]:
    """Return a claim for each goal that *text* is about, the surest first, and why there is none,
    "" if there is one.

    Its word is the sentence that fits the goal best. Raises HarvestError as ``check`` does.
    """
    if reason := unsuitable(text, language):
        return [], reason
    model = classifier.load(SHIPPED)
    (probabilities,) = model.probabilities(embed([text]))
    chosen = [
        column
        for column in probabilities.argsort()[::-1]
        if probabilities[column] >= model.threshold
    ]
    if not chosen:
        best = probabilities.argmax()
        return (
            [],
            f"no goal is sure enough: goal {model.codes[best]} has {probabilities[best]:.2f}, {model.threshold:.2f} is needed",
        )
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
            method=classifier.NAME,
            method_version=model.version,
        )
        for column in chosen
    ], ""
