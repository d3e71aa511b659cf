"""Recognize identifiers that others assign to organizations, initiatives and documents, and check
their digits.

An identifier is recognized by its web address or by the name of its scheme before it, such as
``LEI: 5493001KJTIIGC8Y1R12``. A bare number may belong to any scheme and stays a text. Nothing is
looked up.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

MAX_LENGTH = 200  # Characters of an identifier.
# The alphabet of ROR: https://www.crockford.com/base32.html
_CROCKFORD = {char: value for value, char in enumerate("0123456789abcdefghjkmnpqrstvwxyz")}


class Identifier(NamedTuple):
    """An identifier: the name of its *scheme*, its canonical *value*, and whether its form and its
    check digits are correct.

    *same_as* is the IRI that identifies the same thing, "" if the scheme has none: the address of a
    page about a thing does not identify the thing.
    """

    scheme: str
    value: str
    is_valid: bool
    same_as: str = ""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A scheme of identifiers: its *title*, its *page*, how a value is written, and what it
    identifies.

    *in_text* matches the value in a text, *pattern* a correct one. *check* returns whether the
    check digits of a value are correct. *iri* is the prefix of the IRIs that identify the things
    themselves, "" if there are none.
    """

    title: str
    page: str
    kinds: frozenset[str]
    in_text: re.Pattern[str]
    pattern: re.Pattern[str]
    canonical: Callable[[str], str] = str
    check: Callable[[str], bool] = bool
    iri: str = ""


def has_valid_ror_digits(value: str) -> bool:
    """Return whether the two last digits of a ROR identifier are those of ISO/IEC 7064 MOD 97-10
    over the others.

    Source: https://ror.readme.io/docs/identifier

    >>> has_valid_ror_digits("03yrm5c26"), has_valid_ror_digits("03yrm5c27")
    (True, False)
    """
    number = 0
    for char in value[:-2]:
        number = number * 32 + _CROCKFORD[char]
    return 98 - (number * 100) % 97 == int(value[-2:])


def has_valid_lei_digits(value: str) -> bool:
    """Return whether the check digits of a Legal Entity Identifier are correct (ISO 17442, ISO/IEC
    7064 MOD 97-10).

    Source: https://www.gleif.org/en/about-lei/iso-17442-the-lei-code-structure

    >>> has_valid_lei_digits("5493001KJTIIGC8Y1R12"), has_valid_lei_digits("5493001KJTIIGC8Y1R13")
    (True, False)
    """
    return int("".join(str(int(char, 36)) for char in value)) % 97 == 1


def has_valid_isni_digit(value: str) -> bool:
    """Return whether the last character of an ISNI is correct (ISO 27729, ISO/IEC 7064 MOD 11-2).

    Source: https://isni.org/page/technical-documentation/

    >>> has_valid_isni_digit("0000000121032683"), has_valid_isni_digit("0000000121032684")
    (True, False)
    """
    total = 0
    for char in value:
        total = (total * 2 + (10 if char == "X" else int(char))) % 11
    return total == 1


def _compact(value: str) -> str:
    return re.sub(r"[\s-]", "", value).upper()


def _scheme(
    title: str, page: str, kinds: str, prefix: str, value: str, pattern: str, **others: object
) -> Scheme:
    result = re.compile(rf"(?:{prefix})\s*(?P<value>{value})/?\Z", re.IGNORECASE)
    return Scheme(
        title,
        page,
        frozenset(kinds.split()),
        result,
        re.compile(rf"{pattern}\Z"),
        **others,  # type: ignore[arg-type]
    )


_WEB = r"https?://(?:www\.)?"
_WORD = r"[^\s/?#]{1,100}"
_ALL = "organization initiative event document post"
# The page of each scheme is the source of its patterns.
SCHEMES: dict[str, Scheme] = {
    "ror": _scheme(
        "ROR", "https://ror.org/", "organization", rf"{_WEB}ror\.org/|ror\.org/|ror:", _WORD, "0[a-hj-km-np-tv-z0-9]{6}[0-9]{2}",
        canonical=str.lower, check=has_valid_ror_digits, iri="https://ror.org/",
    ),
    "lei": _scheme(
        "LEI", "https://www.gleif.org/", "organization", r"lei\s*:|urn:lei:|" + rf"{_WEB}search\.gleif\.org/#/record/", _WORD,
        "[0-9A-Z]{18}[0-9]{2}", canonical=_compact, check=has_valid_lei_digits,
    ),
    "isni": _scheme(
        "ISNI", "https://isni.org/", "organization", rf"{_WEB}isni\.org/(?:isni/)?|isni\s*:", r"[0-9X][0-9X\s-]{0,40}", "[0-9]{15}[0-9X]",
        canonical=_compact, check=has_valid_isni_digit, iri="https://isni.org/isni/",
    ),
    "wikidata": _scheme(
        "Wikidata", "https://www.wikidata.org/", _ALL, rf"{_WEB}wikidata\.org/(?:entity|wiki)/|wikidata\s*:", _WORD, "Q[1-9][0-9]{0,11}",
        canonical=str.upper, iri="http://www.wikidata.org/entity/",
    ),
    "duns": _scheme(
        "DUNS", "https://www.dnb.com/duns.html", "organization", r"d-?u-?n-?s(?: number)?\s*:", r"[0-9][0-9\s-]{0,20}", "[0-9]{9}",
        canonical=_compact,
    ),
    "org-id": _scheme(
        "org-id", "https://org-id.guide/", "organization", r"org-id\s*:|(?-i:(?=[A-Z]{2}-[A-Z0-9_]{2,12}-))", r"\S{1,120}",
        r"[A-Z]{2}-[A-Z0-9_]{2,12}-\S{1,100}",
    ),
    "iati": _scheme(
        "IATI", "https://iatistandard.org/en/guidance/preparing-organisation/organisation-data-publication/how-to-create-your-iati-activity-identifier/",
        "initiative", rf"iati\s*:|{_WEB}d-portal\.org/ctrack\.html#view=act&aid=", r"\S{1,150}", r"[^\s/&|?]{3,150}",
    ),
    "world-bank": _scheme(
        "World Bank", "https://projects.worldbank.org/", "initiative",
        r"https?://projects\.worldbank\.org/[a-z/-]{0,60}/project-detail/|world bank\s*:", _WORD, "P[0-9]{6}", canonical=str.upper,
    ),
    "cordis": _scheme(
        "CORDIS", "https://cordis.europa.eu/", "initiative", r"https?://cordis\.europa\.eu/project/id/|cordis\s*:", r"[0-9]{1,12}",
        "[0-9]{5,9}",
    ),
    "doi": _scheme(
        "DOI", "https://www.doi.org/", "document initiative",
        r"https?://(?:dx\.|www\.)?doi\.org/|(?:urn:|info:)?doi\s*[:/]|doi\s(?=10\.)|(?=10\.[0-9]{4,9}/)", r"\S{1,180}",
        r"10\.[0-9]{4,9}/\S{1,170}", canonical=str.lower,
    ),
}  # fmt: skip
# A DOI identifies a document itself, but only a publication about an initiative.
_DOCUMENTS = "https://doi.org/"


# A text without any of these has no identifier of a scheme: one pattern is faster than ten.
_HINT = re.compile(
    r"ror|lei|isni|wikidata|d-?u-?n-?s|org-id|iati|d-portal|world ?bank|cordis|doi|10\.[0-9]{4,9}/|(?-i:[A-Z]{2}-[A-Z0-9_]{2,12}-)",
    re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def parse_identifier(text: str, kind: str) -> Identifier | None:
    """Return the identifier in *text* of a thing of *kind*; None if it belongs to no known scheme, or
    to one for other kinds.

    >>> parse_identifier("https://ror.org/03yrm5c26", "organization")
    Identifier(scheme='ror', value='03yrm5c26', is_valid=True, same_as='https://ror.org/03yrm5c26')
    >>> parse_identifier("LEI: 5493001KJTIIGC8Y1R13", "organization").is_valid, parse_identifier("12345", "organization") is None
    (False, True)
    """
    if len(text) > MAX_LENGTH or not _HINT.search(text):
        return None
    stripped = text.strip()
    for name, scheme in SCHEMES.items():
        if kind in scheme.kinds and (match := scheme.in_text.match(stripped)):
            value = scheme.canonical(match["value"])
            is_valid = bool(scheme.pattern.match(value)) and scheme.check(value)
            prefix = _DOCUMENTS if (name, kind) == ("doi", "document") else scheme.iri
            return Identifier(
                name,
                value if is_valid else match["value"],
                is_valid,
                prefix + value if is_valid and prefix else "",
            )
    return None


class WellKnownOrganization(NamedTuple):
    """An organization: its org-id *identifier*, its *names*, its *acronyms* and its *page* on the
    web.
    """

    identifier: str
    names: tuple[str, ...]
    acronyms: tuple[str, ...]
    page: str


@cache
def well_known_organizations() -> tuple[WellKnownOrganization, ...]:
    """Return the organizations of the list.

    >>> next(item.acronyms for item in well_known_organizations() if item.identifier == "XM-DAC-41303")
    ('ITU', 'UIT')
    """
    with (files("vocab") / "organizations.toml").open("rb") as file:
        rows = tomllib.load(file)["organization"]
    return tuple(
        WellKnownOrganization(
            row["identifier"], tuple(row["names"]), tuple(row["acronyms"]), row["page"]
        )
        for row in rows
    )
