"""Detect the language of texts that declare none, and mark it as detected.

Source: https://github.com/adbar/py3langid (97 languages and more, by Naive Bayes over byte n-grams)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from typing import Any

from vocab.initiative import Detection, Event, Post, Resource, Text

MIN_CONFIDENCE = 0.9  # below it no language is stated; short texts rarely reach it
# letters: a text that has more is looked at by itself, others together with the record's other
# texts
_LONG_LETTERS = 80
_MIN_LETTERS = 12  # letters of all texts together, in which nothing can show
_MAX_CHARACTERS = 4000  # characters that are looked at
_CANDIDATES = 5  # of the languages that may be it: the others have no share
_NO_LANGUAGE = "zxx"  # no language at all
# Members of a macrolanguage (ISO 639-3) that can hardly be distinguished in writing.
_MACROLANGUAGES = {"ary": "ar", "arz": "ar", "wuu": "zh", "yue": "zh"}
_TEXTS = {"titles": "title", "descriptions": "description", "venue": "venue", "content": "content"}


def detect_languages(resource: Resource) -> Resource:
    """Return the resource with a detected language for each text without one, if it is clear;
    declared languages stay.

    Names of organizations and subjects are skipped: a word or two are too short to detect.
    """
    untagged = {
        name: texts
        for name in _TEXTS
        if (texts := [text for text in _texts(resource, name) if text.language is None])
    }
    if not untagged:
        return resource
    all_text = " ".join(text.value for texts in untagged.values() for text in texts)
    changed: dict[str, Any] = {}
    detections: dict[tuple[str, str], float] = {}
    for name, texts in untagged.items():
        results = {text: result for text in texts if (result := _detect(text.value, all_text))}
        if results:
            changed[name] = _with_languages(
                resource, name, {text: language for text, (language, _) in results.items()}
            )
            for language, confidence in results.values():
                detections[_TEXTS[name], language] = min(
                    confidence, detections.get((_TEXTS[name], language), 1.0)
                )
    if not changed:
        return resource
    return replace(
        resource,
        **changed,
        detected=tuple(Detection(*field, confidence) for field, confidence in detections.items()),
    )


def _texts(resource: Resource, name: str) -> Iterable[Text]:
    if name in {"titles", "descriptions"}:
        texts: tuple[Text, ...] = getattr(resource, name)
        return texts
    single = resource.venue if name == "venue" and isinstance(resource, Event) else None
    single = resource.content if name == "content" and isinstance(resource, Post) else single
    return () if single is None else (single,)


def _with_languages(resource: Resource, name: str, languages: dict[Text, str]) -> Any:
    texts = tuple(
        text._replace(language=languages.get(text, text.language))
        for text in _texts(resource, name)
    )
    return texts if name in {"titles", "descriptions"} else texts[0]


def _detect(text: str, all_text: str) -> tuple[str, float] | None:
    is_long = sum(map(str.isalpha, text[:_MAX_CHARACTERS])) >= _LONG_LETTERS
    return _rank(text[:_MAX_CHARACTERS] if is_long else all_text[:_MAX_CHARACTERS])


@lru_cache(maxsize=256)
def _rank(text: str) -> tuple[str, float] | None:
    if sum(map(str.isalpha, text)) < _MIN_LETTERS:
        return None
    sums: Counter[str] = Counter()
    for language, confidence in _identifier().rank(text)[:_CANDIDATES]:
        sums[_MACROLANGUAGES.get(language, str(language))] += confidence
    (language, confidence), *_ = sums.most_common(1)
    return (
        (language, min(1.0, round(float(confidence), 3)))
        if confidence >= MIN_CONFIDENCE and language != _NO_LANGUAGE
        else None
    )


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """Import the library and load the model on first use: it takes some seconds and 120 MB."""
    langid = import_module("py3langid.langid")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
