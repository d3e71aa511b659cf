"""Look up countries and areas of the United Nations by names in six languages and by codes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from vocab.label_index import LabelIndex, label_pairs
from vocab.normalization import MAX_LENGTH, fold
from vocab.schemes import Concept, concepts

AREA = "http://metadata.un.org/sdg/codes/geoArea/"

_COUNTRY = f"{AREA}co"
_CODE = re.compile(r"[A-Z]{2,3}\Z")
# Two names of one country: "Czechia (Czech Republic)", 'Eswatini (fmr. "Swaziland")'.
_TWO_NAMES = re.compile(
    r"([^()]++)\((?:(?:fmr|formerly|former)\b\.?)?+([^()]++)\)\Z", re.IGNORECASE
)
_NUMBER = re.compile(r"[0-9]{1,3}\Z")


@lru_cache(maxsize=1)
def _countries() -> dict[str, Concept]:
    return {iri: concept for iri, concept in concepts("area").items() if _COUNTRY in concept.types}


@lru_cache(maxsize=1)
def _areas() -> LabelIndex:
    """Index the areas that are not countries; a country's name takes precedence, as for Micronesia,
    which is both.
    """
    return LabelIndex(
        label_pairs(
            concept
            for iri, concept in concepts("area").items()
            if concept.notations and iri not in _countries()
        )
    )


@lru_cache(maxsize=1)
def _names() -> LabelIndex:
    return LabelIndex(label_pairs(_countries().values()), inverted=True)


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    return {code: iri for iri, concept in _countries().items() for code in concept.codes}


def _find_number(stripped: str, iris: Iterable[str]) -> str | None:
    iri = AREA + stripped.zfill(3)
    return iri if iri in iris else None


def country(text: str | int) -> str | None:
    """Return the IRI of the country that *text* names (a name in six languages, an ISO 3166 code in
    capitals, or M49), or None.

    Source: https://unstats.un.org/unsd/methodology/m49/ and https://cldr.unicode.org/

    >>> country("Tanzania, United Republic of") == country("TZA") == country("坦桑尼亚")
    True
    >>> country("KENYA"), country("no") is None, country("Africa") is None
    ('http://metadata.un.org/sdg/codes/geoArea/404', True, True)
    >>> country('Eswatini (fmr. "Swaziland")') == country("Eswatini"), country("Kenya (Uganda)")
    (True, None)
    """
    value = str(text)
    return _country(value) if len(value) <= MAX_LENGTH else None


@lru_cache(maxsize=16384)
def _country(text: str) -> str | None:
    stripped = text.strip()
    if _CODE.match(stripped) and stripped in _codes():
        return _codes()[stripped]
    if _NUMBER.match(stripped):
        return _find_number(stripped, _countries())
    if stripped in _countries():
        return stripped
    return _names().find(fold(stripped)) or _named_twice(stripped)


def _named_twice(text: str) -> str | None:
    """Return the country that both names of *text* name, the second in parentheses."""
    if not (match := _TWO_NAMES.match(text)):
        return None
    first, second = (_names().find(fold(name)) for name in match.groups())
    return first if first == second else None


def area(text: str | int) -> str | None:
    """Return the IRI of the country or M49 area (continent, region) that *text* names, or None.

    >>> area("Eastern Africa"), area("Kenya") == country("Kenya")
    ('http://metadata.un.org/sdg/codes/geoArea/014', True)
    """
    value = str(text)
    return _area(value) if len(value) <= MAX_LENGTH else None


@lru_cache(maxsize=4096)
def _area(text: str) -> str | None:
    stripped = text.strip()
    if _NUMBER.match(stripped):
        return _find_number(stripped, concepts("area"))
    return country(stripped) or _areas().find(fold(stripped))
