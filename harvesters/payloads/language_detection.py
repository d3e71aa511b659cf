"""Tongues: the language of texts that name none, where it shows clearly, and marked as found by us.

Source: https://github.com/adbar/py3langid (97 languages and more, by Naive Bayes over byte n-grams)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from vocab.initiative import Detection, Event, Post, Resource, Text

MIN_CONFIDENCE = 0.9  # below it a language is not told; short texts rarely reach it
_SHORT = 80  # letters: a text that has more is looked at by itself, others together with the record's other texts
_LEAST = 12  # letters of all texts together, in which nothing can show
_MOST = 4000  # characters that are looked at
_LOOK = 5  # of the languages that may be it: the others have no share
_NONE = "zxx"  # no language at all
# Members of a macrolanguage (ISO 639-3) that are hardly told apart where they are written.
_WHOLE = {"ary": "ar", "arz": "ar", "wuu": "zh", "yue": "zh"}
_TEXTS = {"titles": "title", "descriptions": "description", "venue": "venue", "content": "content"}


def detect_languages(resource: Resource) -> Resource:
    """Give each text without a language the one that shows in it, and mark it as detected; what is declared stays.

    Names of organizations and subjects are left alone: a word or two show no language.
    """
    bare = {name: texts for name in _TEXTS if (texts := [text for text in _texts(resource, name) if text.language is None])}
    if not bare:
        return resource
    together = " ".join(text.value for texts in bare.values() for text in texts)
    changed: dict[str, Any] = {}
    found: dict[tuple[str, str], float] = {}
    for name, texts in bare.items():
        spoken = {text: it for text in texts if (it := _tongue(text.value, together))}
        if spoken:
            changed[name] = _changed(resource, name, {text: tongue for text, (tongue, _) in spoken.items()})
            for tongue, confidence in spoken.values():
                found[_TEXTS[name], tongue] = min(confidence, found.get((_TEXTS[name], tongue), 1.0))
    if not changed:
        return resource
    return replace(resource, **changed, detected=tuple(Detection(*of, confidence) for of, confidence in found.items()))


def _texts(resource: Resource, name: str) -> Iterable[Text]:
    if name in {"titles", "descriptions"}:
        texts: tuple[Text, ...] = getattr(resource, name)
        return texts
    single = resource.venue if name == "venue" and isinstance(resource, Event) else None
    single = resource.content if name == "content" and isinstance(resource, Post) else single
    return () if single is None else (single,)


def _changed(resource: Resource, name: str, tongues: dict[Text, str]) -> Any:
    texts = tuple(text._replace(language=tongues.get(text, text.language)) for text in _texts(resource, name))
    return texts if name in {"titles", "descriptions"} else texts[0]


def _tongue(text: str, together: str) -> tuple[str, float] | None:
    alone = sum(map(str.isalpha, text[:_MOST])) >= _SHORT
    return _detected(text[:_MOST] if alone else together[:_MOST])


@lru_cache(maxsize=256)
def _detected(text: str) -> tuple[str, float] | None:
    if sum(map(str.isalpha, text)) < _LEAST:
        return None
    sums: Counter[str] = Counter()
    for tongue, confidence in _identifier().rank(text)[:_LOOK]:
        sums[_WHOLE.get(tongue, str(tongue))] += confidence
    (tongue, confidence), *_ = sums.most_common(1)
    return (tongue, min(1.0, round(float(confidence), 3))) if confidence >= MIN_CONFIDENCE and tongue != _NONE else None


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """Load the model, when the first text needs it: it takes some seconds and 120 MB."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
