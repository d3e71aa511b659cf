"""Look up countries and areas, goals and targets, and action lines by the many ways to write them: names
are normalized, so that different spellings have the same key.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, wraps

from vocab.schemes import Concept, concepts

MAX_LENGTH = 1000  # Characters of a name or cached text; the longest title of a target has 747.

# The first characters of a cell that a spreadsheet would evaluate.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_GAPS = re.compile(r"[\W_]+")
# Words that differ between forms of one name: "Tanzania, United Republic of" and "the United
# Republic of Tanzania".
_STOP_WORDS = frozenset(("the", "of", "and"))


def fold(text: str) -> str:
    r"""Return the key of a name, without compatibility forms, case, accents and punctuation.

    >>> fold("Côte d'Ivoire"), fold("  E-Health. "), fold("\uff33DG")
    ('cote d ivoire', 'e health', 'sdg')
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    if not plain.isascii():
        plain = "".join(char for char in plain if not unicodedata.combining(char))
    return _GAPS.sub(" ", plain).strip()


def sorted_words_key(key: str) -> str:
    """Return the sorted words of a folded *key* without stop words, for names whose words may be
    inverted.

    >>> sorted_words_key("tanzania united republic of") == sorted_words_key("the united republic of tanzania")
    True
    """
    return " ".join(sorted(word for word in key.split() if word not in _STOP_WORDS))


def escape_formula(cell: object) -> object:
    """Return a cell of a table that no spreadsheet evaluates as a formula.

    Source: https://owasp.org/www-community/attacks/CSV_Injection

    >>> escape_formula("=1+1"), escape_formula("a = b"), escape_formula(-1)
    ("'=1+1", 'a = b', -1)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


class LabelIndex:
    """An immutable index from folded labels to IRIs."""

    __slots__ = ("_bags", "_keys")

    def __init__(self, names: Iterable[tuple[str, str]], *, inverted: bool = False) -> None:
        self._keys = _unique_table((fold(name), iri) for name, iri in names)
        self._bags = (
            _unique_table((sorted_words_key(key), iri) for key, iri in self._keys.items() if iri)
            if inverted
            else {}
        )

    def find(self, key: str) -> str | None:
        """Return the one concept with the folded *key*; None if there is none or more than one."""
        if key in self._keys:
            return self._keys[key]
        return self._bags.get(sorted_words_key(key)) if self._bags else None


def label_pairs(concepts: Iterable[Concept]) -> Iterator[tuple[str, str]]:
    return ((name.value, concept.iri) for concept in concepts for name in concept.labels)


def _unique_table(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    table: dict[str, str | None] = {}
    for key, iri in pairs:
        if key:
            table[key] = iri if table.get(key, iri) == iri else None
    return table


def _look_up(
    size: int,
) -> Callable[[Callable[[str], str | None]], Callable[[str | int], str | None]]:
    """Return a decorator that remembers what the last *size* texts name; a text of more than
    MAX_LENGTH characters names nothing.
    """

    def decorate(find: Callable[[str], str | None]) -> Callable[[str | int], str | None]:
        cached = lru_cache(maxsize=size)(find)
        return wraps(find)(lambda text: cached(str(text)) if len(str(text)) <= MAX_LENGTH else None)

    return decorate


AREA = "http://metadata.un.org/sdg/codes/geoArea/"

_COUNTRY = f"{AREA}co"
_COUNTRY_CODE = re.compile(r"[A-Z]{2,3}\Z")
# Two names of one country: "Czechia (Czech Republic)", 'Eswatini (fmr. "Swaziland")'.
_TWO_NAMES = re.compile(
    r"([^()]++)\((?:(?:fmr|formerly|former)\b\.?)?+([^()]++)\)\Z", re.IGNORECASE
)
_AREA_NUMBER = re.compile(r"[0-9]{1,3}\Z")


@lru_cache(maxsize=1)
def _countries() -> dict[str, Concept]:
    return {iri: concept for iri, concept in concepts("area").items() if _COUNTRY in concept.types}


@lru_cache(maxsize=1)
def _area_names() -> LabelIndex:
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
def _country_names() -> LabelIndex:
    return LabelIndex(label_pairs(_countries().values()), inverted=True)


@lru_cache(maxsize=1)
def _country_codes() -> dict[str, str]:
    return {code: iri for iri, concept in _countries().items() for code in concept.codes}


def _find_number(stripped: str, iris: Iterable[str]) -> str | None:
    iri = AREA + stripped.zfill(3)
    return iri if iri in iris else None


@_look_up(size=16384)
def country(text: str) -> str | None:
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
    stripped = text.strip()
    if _COUNTRY_CODE.match(stripped) and stripped in _country_codes():
        return _country_codes()[stripped]
    if _AREA_NUMBER.match(stripped):
        return _find_number(stripped, _countries())
    if stripped in _countries():
        return stripped
    return _country_names().find(fold(stripped)) or _named_twice(stripped)


def _named_twice(text: str) -> str | None:
    """Return the country that both names of *text* name, the second in parentheses."""
    if not (match := _TWO_NAMES.match(text)):
        return None
    first, second = (_country_names().find(fold(name)) for name in match.groups())
    return first if first == second else None


@_look_up(size=4096)
def area(text: str) -> str | None:
    """Return the IRI of the country or M49 area (continent, region) that *text* names, or None.

    >>> area("Eastern Africa"), area("Kenya") == country("Kenya")
    ('http://metadata.un.org/sdg/codes/geoArea/014', True)
    """
    stripped = text.strip()
    if _AREA_NUMBER.match(stripped):
        return _find_number(stripped, concepts("area"))
    return country(stripped) or _area_names().find(fold(stripped))


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


@lru_cache(maxsize=2)
def _names_of(kind: str) -> LabelIndex:
    """Index the goals ("Goal") or the targets ("Target")."""
    all_of = concepts("sdg").values()
    return LabelIndex(label_pairs(c for c in all_of if f"{SDG}ontology#{kind}" in c.types))


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


@_look_up(size=8192)
def goal(text: str) -> str | None:
    """Return the IRI of the Sustainable Development Goal named in *text*; None if it names no goal,
    a target, or several goals.

    Source: http://metadata.un.org/sdg/ (the United Nations' own IRIs).

    >>> goal("SDG 4: Quality education")
    'http://metadata.un.org/sdg/4'
    >>> goal("education") is None, goal("SDG 4.4") is None, goal(18) is None
    (True, True, True)
    """
    ascii_text = _to_ascii(text)
    if named := _names_of("Goal").find(fold(ascii_text)):
        return named
    match = _GOAL_NUMBER.match(ascii_text.casefold())
    if not match or not 1 <= int(match["goal"]) <= 17:
        return None
    iri = f"{SDG}{int(match['goal'])}"
    return _check_rest(match["rest"], iri, _names_of("Goal"), strict=not match["before"])


@_look_up(size=8192)
def target(text: str) -> str | None:
    """Return the IRI of the target named in *text*; None if it names no target, or an indicator.

    Source: http://metadata.un.org/sdg/ (the United Nations' own IRIs).

    >>> target("Target 4.b"), target("04.04")
    ('http://metadata.un.org/sdg/4.b', 'http://metadata.un.org/sdg/4.4')
    >>> target("4.4.1") is None, target("4.9") is None
    (True, True)
    """
    ascii_text = _to_ascii(text)
    if named := _names_of("Target").find(fold(ascii_text)):
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
    return _check_rest(rest, iri, _names_of("Target"), strict=not marked)


APPLICATIONS = {
    "government": "C7-egov",
    "business": "C7-ebus",
    "learning": "C7-elea",
    "health": "C7-ehea",
    "employment": "C7-eemp",
    "environment": "C7-eenv",
    "agriculture": "C7-eagr",
    "science": "C7-esci",
}

# Letters that look like a Latin C or e: registries and ITU pages write the C of C1..C11 in
# Cyrillic.
_LOOKALIKE_C = re.compile("[\u0421\u0441\u03f9\u03f2](?=[ .-]?[0-9])")
_LOOKALIKE_E = re.compile("[\u0415\u0435](?=[ -]?[A-Za-z])")
_LINE_BEFORE = r"(?P<before>(?:wsis\s+)?(?:(?:action\s+lines?|al)[\s:#-]*)?)"
_LINE_CODE = re.compile(
    rf"{_LINE_BEFORE}c[ .-]?0?(?P<number>1[01]|[1-9])(?!\d|\s?[.-]\s?\d)(?P<rest>(?![^\W\d_]).*)\Z",
    re.DOTALL,
)
_SECOND_LINE_CODE = re.compile(r"\bc ?(?:1[01]|[1-9])\b")
_APPLICATION = re.compile(rf"\be ?({'|'.join(APPLICATIONS)})\b")
_LINE_SEPARATORS = frozenset(".:-–—()")
_PARENT = "ict applications "


@lru_cache(maxsize=1)
def _line_codes() -> dict[str, str | None]:
    """Return the code of each folded notation and title; None if two action lines share it."""
    table = _unique_table(
        (fold(name), code)
        for concept in concepts("action-line").values()
        for code in concept.notations
        for name in (code, code.replace("-", ""), *(label.value for label in concept.labels))
    )
    for name_of_application, code in APPLICATIONS.items():
        table[f"e {name_of_application}"] = table[f"e{name_of_application}"] = code
    return table


def _application(rest: str, otherwise: str | None) -> str | None:
    """Return the one application that *rest* names; None if it names several, *otherwise* if it
    names none.
    """
    codes = {
        APPLICATIONS[name_of_application] for name_of_application in _APPLICATION.findall(rest)
    }
    if codes:
        return codes.pop() if len(codes) == 1 else None
    code_found = _line_codes().get(rest, otherwise)
    return code_found if code_found and code_found.startswith("C7") else None


def _read_code(match: re.Match[str]) -> str | None:
    """Parse a code and the text after it, which must not name another action line; unknown words
    need a separator before them.
    """
    code, following = f"C{match['number']}", match["rest"].lstrip()
    rest = fold(following)
    if not rest:
        return code
    if _SECOND_LINE_CODE.search(rest):
        return None
    otherwise = code if match["before"] or following[0] in _LINE_SEPARATORS else None
    if code == "C7":
        return _application(rest, otherwise)
    return None if _APPLICATION.search(rest) or _line_codes().get(rest, otherwise) != code else code


@_look_up(size=8192)
def action_line(text: str) -> str | None:
    """Return the code of the action line that *text* names, or None; an application under C7 rather
    than C7 itself.

    >>> action_line("C7. ICT APPLICATIONS: E-HEALTH"), action_line("AL C7 (E-health)"), action_line("\u0421\u0032")
    ('C7-ehea', 'C7-ehea', 'C2')
    >>> action_line("C12") is None, action_line("C1, C2") is None, action_line("health") is None, action_line("C4 plants") is None
    (True, True, True, True)
    """
    normalized = _LOOKALIKE_E.sub("e", _LOOKALIKE_C.sub("c", text.strip()))
    for key in (fold(text), fold(normalized)):
        if key in _line_codes():
            return _line_codes()[key]
    match = _LINE_CODE.match(unicodedata.normalize("NFKC", normalized).casefold())
    if match:
        return _read_code(match)
    return _application(key.removeprefix(_PARENT), None) if key.startswith(_PARENT) else None
