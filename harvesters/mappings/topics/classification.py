"""Suggest the goals that a text is about by the classifier that its source uses."""

from __future__ import annotations

import re
from pathlib import Path

from harvesters.mappings.topics import classifier
from harvesters.mappings.topics.classifier import TopicModel
from harvesters.mappings.topics.embedding import check_model, embed
from harvesters.mappings.topics.suitability import unsuitable
from harvesters.source import Source
from vocab.goals import SDG
from vocab.initiative import Basis, Claim

SHIPPED = Path(__file__).with_name("goals.npz")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？؟])\s*|\n+")
# sentences that are compared, and characters of the one that is kept
_SENTENCES, _LONGEST = 12, 300


def model_of(source: Source) -> TopicModel:
    """Return the classifier of a source. Raises HarvestError if its file is missing or damaged."""
    return classifier.load(Path(source.classifier) if source.classifier else SHIPPED)


def method_version(source: Source) -> str:
    """Return the method and the version of the classifier of a source. Raises HarvestError as
    ``model_of`` does.
    """
    return f"{classifier.NAME} {model_of(source).version}"


def check(source: Source) -> None:
    """Raise HarvestError if the model of the vectors or the classifier of a source is missing or
    damaged.
    """
    check_model()
    model_of(source)


def classify(text: str, language: str | None, model: TopicModel) -> tuple[list[Claim], str]:
    """Return a claim for each goal that *text* is about, the surest first, and why there is none,
    "" if there is one.

    Its word is the sentence that fits the goal best. Raises HarvestError as ``check_model`` does.
    """
    if reason := unsuitable(text, language):
        return [], reason
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
