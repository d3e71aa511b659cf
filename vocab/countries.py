"""Countries: from names in six languages and codes to the United Nations' IRIs of areas, or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from vocab.names import Names, labelled
from vocab.normal import LONGEST, fold
from vocab.schemes import Concept, concepts

AREA = "http://metadata.un.org/sdg/codes/geoArea/"

_COUNTRY = f"{AREA}co"
_CODE = re.compile(r"[A-Z]{2,3}\Z")
_NUMBER = re.compile(r"[0-9]{1,3}\Z")


@lru_cache(maxsize=1)
def _countries() -> dict[str, Concept]:
    return {iri: concept for iri, concept in concepts("area").items() if _COUNTRY in concept.types}


@lru_cache(maxsize=1)
def _areas() -> Names:
    """Name what is no country; a country's name goes before an area's: Micronesia is both, and so is no area here."""
    return Names(labelled(it for iri, it in concepts("area").items() if it.notations and iri not in _countries()))


@lru_cache(maxsize=1)
def _names() -> Names:
    return Names(labelled(_countries().values()), inverted=True)


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    return {code: iri for iri, concept in _countries().items() for code in concept.codes}


def _numbered(plain: str, known: Iterable[str]) -> str | None:
    iri = AREA + plain.zfill(3)
    return iri if iri in known else None


def country(text: str | int) -> str | None:
    """Find the country that *text* names, as its IRI: a name in six languages, ISO 3166 codes in capitals, or M49.

    Source: https://unstats.un.org/unsd/methodology/m49/ and https://cldr.unicode.org/

    >>> country("Tanzania, United Republic of") == country("TZA") == country("坦桑尼亚")
    True
    >>> country("KENYA"), country("no") is None, country("Africa") is None
    ('http://metadata.un.org/sdg/codes/geoArea/404', True, True)
    """
    words = str(text)
    return _country(words) if len(words) <= LONGEST else None


@lru_cache(maxsize=16384)
def _country(text: str) -> str | None:
    plain = text.strip()
    if _CODE.match(plain) and plain in _codes():
        return _codes()[plain]
    if _NUMBER.match(plain):
        return _numbered(plain, _countries())
    if plain in _countries():
        return plain
    return _names().find(fold(plain))


def area(text: str | int) -> str | None:
    """Find the country or M49 area (continent, region) that *text* names, as its IRI.

    >>> area("Eastern Africa"), area("Kenya") == country("Kenya")
    ('http://metadata.un.org/sdg/codes/geoArea/014', True)
    """
    words = str(text)
    return _area(words) if len(words) <= LONGEST else None


@lru_cache(maxsize=4096)
def _area(text: str) -> str | None:
    plain = text.strip()
    if _NUMBER.match(plain):
        return _numbered(plain, concepts("area"))
    return country(plain) or _areas().find(fold(plain))
