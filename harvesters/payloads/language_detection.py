"""Detect the language of texts that declare none, and mark it as detected.

Source: https://github.com/adbar/py3langid (97 languages and more, by Naive Bayes over byte n-grams)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from typing import Any

from vocab.initiative import Detection, Resource, Text

MIN_CONFIDENCE = 0.9  # Below it no language is stated; short texts rarely reach it.
# A text with at least so many letters is examined by itself, a shorter one together with the record's
# other texts.
_LONG_LETTERS = 80
_MIN_LETTERS = 12  # Fewer letters in all texts together show no language.
_MAX_CHARACTERS = 4000  # Characters that are examined.
_CANDIDATES = 5  # The most likely languages: the others' confidence is near zero.
_NO_LANGUAGE = "zxx"  # The code for content that is not in any language.
# Members of a macrolanguage (ISO 639-3) that can hardly be distinguished in writing.
_MACROLANGUAGES = {"ary": "ar", "arz": "ar", "wuu": "zh", "yue": "zh"}
_TEXTS = {"titles": "title", "descriptions": "description", "venue": "venue", "content": "content"}


def detect_languages(resource: Resource) -> Resource:
    """Return the resource with a detected language for each text without one, if it is clear;
    declared languages stay.

    Names of organizations and subjects are skipped: a word or two are too short to detect.
    """
    texts = {name: getattr(resource, name, None) or () for name in _TEXTS}
    untagged = {
        name: [text for text in _as_tuple(value) if text.language is None]
        for name, value in texts.items()
    }
    all_text = " ".join(text.value for values in untagged.values() for text in values)
    changed: dict[str, Any] = {}
    detections: dict[tuple[str, str], float] = {}
    for name, values in untagged.items():
        results = {text: result for text in values if (result := _detect(text.value, all_text))}
        for language, confidence in results.values():
            field = _TEXTS[name], language
            detections[field] = min(confidence, detections.get(field, 1.0))
        if results:
            tagged = tuple(
                text._replace(language=results[text][0]) if text in results else text
                for text in _as_tuple(texts[name])
            )
            changed[name] = tagged[0] if isinstance(texts[name], Text) else tagged
    if not changed:
        return resource
    detected = tuple(Detection(*field, confidence) for field, confidence in detections.items())
    return replace(resource, **changed, detected=detected)


def _as_tuple(value: Text | tuple[Text, ...]) -> tuple[Text, ...]:
    # A text is a tuple itself.
    return (value,) if isinstance(value, Text) else value


def _detect(text: str, all_text: str) -> tuple[str, float] | None:
    is_long = sum(map(str.isalpha, text[:_MAX_CHARACTERS])) >= _LONG_LETTERS
    return _rank((text if is_long else all_text)[:_MAX_CHARACTERS])


@lru_cache(maxsize=256)
def _rank(text: str) -> tuple[str, float] | None:
    if sum(map(str.isalpha, text)) < _MIN_LETTERS:
        return None
    sums: Counter[str] = Counter()
    for language, confidence in _identifier().rank(text)[:_CANDIDATES]:
        sums[_MACROLANGUAGES.get(language, str(language))] += confidence
    language, confidence = sums.most_common(1)[0]
    is_clear = confidence >= MIN_CONFIDENCE and language != _NO_LANGUAGE
    return (language, min(1.0, round(float(confidence), 3))) if is_clear else None


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """Import the library and load the model on first use: it takes some seconds and 120 MB."""
    langid = import_module("py3langid.langid")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
