"""Action lines: from the many ways to write them to their codes, or not at all."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from vocab.normal import LONGEST, fold
from vocab.schemes import concepts

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

# Letters that look like a Latin C or e: registries write the C of C1..C11 in Cyrillic, as pages of the ITU do.
_ALIKE_C = re.compile("[\u0421\u0441\u03f9\u03f2](?=[ .-]?[0-9])")
_ALIKE_E = re.compile("[\u0415\u0435](?=[ -]?[A-Za-z])")
_BEFORE = r"(?P<before>(?:wsis\s+)?(?:(?:action\s+lines?|al)[\s:#-]*)?)"
_CODE = re.compile(rf"{_BEFORE}c[ .-]?0?(?P<number>1[01]|[1-9])(?!\d|\s?[.-]\s?\d)(?P<rest>(?![^\W\d_]).*)\Z", re.DOTALL)
_MORE = re.compile(r"\bc ?(?:1[01]|[1-9])\b")
_APPLICATION = re.compile(rf"\be ?({'|'.join(APPLICATIONS)})\b")
_MARKS = frozenset(".:-–—()")
_PARENT = "ict applications "


@lru_cache(maxsize=1)
def _codes() -> dict[str, str | None]:
    """Give the code of each folded notation and title; None where two lines have it."""
    table: dict[str, str | None] = {}
    for concept in concepts("action-line").values():
        (code,) = concept.notations
        for name in (code, code.replace("-", ""), *(name.value for name in concept.labels)):
            key = fold(name)
            table[key] = code if table.get(key, code) == code else None
    for word, code in APPLICATIONS.items():
        table[f"e {word}"] = table[f"e{word}"] = code
    return table


def _application(rest: str, otherwise: str | None) -> str | None:
    """Give the one application that *rest* names; None where it names several, *otherwise* where it names none."""
    found = {APPLICATIONS[word] for word in _APPLICATION.findall(rest)}
    if found:
        return found.pop() if len(found) == 1 else None
    named = _codes().get(rest, otherwise)
    return named if named and named.startswith("C7") else None


def _coded(match: re.Match[str]) -> str | None:
    """Read a code and the words behind it, which must not name another line; unknown words need a mark before them."""
    code, behind = f"C{match['number']}", match["rest"].lstrip()
    rest = fold(behind)
    if not rest:
        return code
    if _MORE.search(rest):
        return None
    otherwise = code if match["before"] or behind[0] in _MARKS else None
    if code == "C7":
        return _application(rest, otherwise)
    return None if _APPLICATION.search(rest) or _codes().get(rest, otherwise) != code else code


def line(text: str) -> str | None:
    """Find the code of the action line that *text* names, the application under C7 before C7 itself.

    >>> line("C7. ICT APPLICATIONS: E-HEALTH"), line("AL C7 (E-health)"), line("\u0421\u0032")
    ('C7-ehea', 'C7-ehea', 'C2')
    >>> line("C12") is None, line("C1, C2") is None, line("health") is None, line("C4 plants") is None
    (True, True, True, True)
    """
    return _line(text) if len(text) <= LONGEST else None


@lru_cache(maxsize=8192)
def _line(text: str) -> str | None:
    plain = _ALIKE_E.sub("e", _ALIKE_C.sub("c", text.strip()))
    for key in (fold(text), fold(plain)):
        if key in _codes():
            return _codes()[key]
    match = _CODE.match(unicodedata.normalize("NFKC", plain).casefold())
    if match:
        return _coded(match)
    return _application(key.removeprefix(_PARENT), None) if key.startswith(_PARENT) else None
