"""Look up goals and targets of the United Nations by the many ways to write them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from vocab.label_index import LabelIndex, label_pairs
from vocab.normalization import MAX_LENGTH, fold
from vocab.schemes import Concept, concepts

SDG = "http://metadata.un.org/sdg/"

# Prefixes of a number in the six languages: "SDG 4", "Goal 4", "ODD 4", "Цель 4", "目标4".
_SDG = (
    r"sdgs?|ods|odd|цур|sustainable\s+development\s+goals?|objectifs?\s+de\s+développement\s+durable"
    r"|objetivos?\s+de\s+desarrollo\s+sostenible|цел[ьи]\s+устойчивого\s+развития|可持续发展目标|goals?|objectif|objetivo|цель|目标|الهدف"
)
_TARGET = r"targets?|cible|meta|задача|具体目标|الغاية"
_AFTER = r"[\s:#_-]*(?:n(?:o\.|°)\s*)?"
_WEB = r"https?://metadata\.un\.org/sdg/"
_BEFORE = rf"#?(?P<before>(?:{_WEB}|(?:(?:the|un)\s+)*(?:(?:{{words}}){_AFTER}){{{{1,2}}}})?)0?(?P<goal>\d{{{{1,2}}}})(?!\d)(?P<rest>.*)\Z"
_GOAL_NUMBER = re.compile(_BEFORE.format(words=_SDG), re.DOTALL)
_TARGET_NUMBER = re.compile(_BEFORE.format(words=f"{_SDG}|{_TARGET}"), re.DOTALL)
_POINT = re.compile(
    r"\s?\.\s?(?:0?(?P<number>[1-9]\d?)|0?(?P<letter>[a-d]))(?!\w)(?P<rest>.*)\Z", re.DOTALL
)
# A year does not count as a second number.
_SECOND_NUMBER = re.compile(r"\b(?!(?:19|20)\d\d\b)\d|^[a-d]$")
_SEPARATORS = frozenset(":-–—.")


def _concepts_of_type(name: str) -> list[Concept]:
    return [
        concept for concept in concepts("sdg").values() if f"{SDG}ontology#{name}" in concept.types
    ]


@lru_cache(maxsize=1)
def _goals() -> LabelIndex:
    return LabelIndex(label_pairs(_concepts_of_type("Goal")))


@lru_cache(maxsize=1)
def _targets() -> LabelIndex:
    return LabelIndex(label_pairs(_concepts_of_type("Target")))


def _check_rest(rest: str, iri: str, names: LabelIndex, *, strict: bool) -> str | None:
    """Return *iri* unless the text after its number names another concept, more numbers, or nothing
    known (if *strict*).
    """
    words = fold(rest)
    if not words:
        return iri
    named = names.find(words)
    if named is not None or strict or _SECOND_NUMBER.search(words):
        return iri if named == iri else None
    return iri


def _to_ascii(text: str) -> str:
    """Convert full-width forms and the digits of every script to ASCII."""
    ascii_text = text.strip()
    return (
        ascii_text
        if ascii_text.isascii()
        else re.sub(
            r"\d", lambda digit: str(int(digit[0])), unicodedata.normalize("NFKC", ascii_text)
        )
    )


def goal(text: str | int) -> str | None:
    """Return the IRI of the Sustainable Development Goal named in *text*; None if it names no goal,
    a target, or several goals.

    Source: http://metadata.un.org/sdg/ (the United Nations' own IRIs).

    >>> goal("SDG 4: Quality education")
    'http://metadata.un.org/sdg/4'
    >>> goal("education") is None, goal("SDG 4.4") is None, goal(18) is None
    (True, True, True)
    """
    words = str(text)
    return _goal(words) if len(words) <= MAX_LENGTH else None


@lru_cache(maxsize=8192)
def _goal(text: str) -> str | None:
    ascii_text = _to_ascii(text)
    if named := _goals().find(fold(ascii_text)):
        return named
    match = _GOAL_NUMBER.match(ascii_text.casefold())
    if not match or not 1 <= int(match["goal"]) <= 17:
        return None
    iri = f"{SDG}{int(match['goal'])}"
    return _check_rest(match["rest"], iri, _goals(), strict=not match["before"])


def target(text: str | int) -> str | None:
    """Return the IRI of the target named in *text*; None if it names no target, or an indicator.

    Source: http://metadata.un.org/sdg/ (the United Nations' own IRIs).

    >>> target("Target 4.b"), target("04.04")
    ('http://metadata.un.org/sdg/4.b', 'http://metadata.un.org/sdg/4.4')
    >>> target("4.4.1") is None, target("4.9") is None
    (True, True)
    """
    words = str(text)
    return _target(words) if len(words) <= MAX_LENGTH else None


@lru_cache(maxsize=8192)
def _target(text: str) -> str | None:
    ascii_text = _to_ascii(text)
    if named := _targets().find(fold(ascii_text)):
        return named
    match = _TARGET_NUMBER.match(ascii_text.casefold())
    point = _POINT.match(match["rest"]) if match else None
    if not match or not point:
        return None
    iri = f"{SDG}{int(match['goal'])}.{point['number'] or point['letter']}"
    if iri not in concepts("sdg"):
        return None
    rest = point["rest"].lstrip()
    marked = bool(match["before"]) or rest[:1] in _SEPARATORS
    return _check_rest(rest, iri, _targets(), strict=not marked)
