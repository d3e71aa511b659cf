"""Look up action lines by the many ways to write them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from vocab.normalization import MAX_LENGTH, fold
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

# Letters that look like a Latin C or e: registries and ITU pages write the C of C1..C11 in
# Cyrillic.
_LOOKALIKE_C = re.compile("[\u0421\u0441\u03f9\u03f2](?=[ .-]?[0-9])")
_LOOKALIKE_E = re.compile("[\u0415\u0435](?=[ -]?[A-Za-z])")
_BEFORE = r"(?P<before>(?:wsis\s+)?(?:(?:action\s+lines?|al)[\s:#-]*)?)"
_CODE = re.compile(
    rf"{_BEFORE}c[ .-]?0?(?P<number>1[01]|[1-9])(?!\d|\s?[.-]\s?\d)(?P<rest>(?![^\W\d_]).*)\Z",
    re.DOTALL,
)
_SECOND_CODE = re.compile(r"\bc ?(?:1[01]|[1-9])\b")
_APPLICATION = re.compile(rf"\be ?({'|'.join(APPLICATIONS)})\b")
_SEPARATORS = frozenset(".:-–—()")
_PARENT = "ict applications "


@lru_cache(maxsize=1)
def _codes() -> dict[str, str | None]:
    """Return the code of each folded notation and title; None if two action lines share it."""
    table: dict[str, str | None] = {}
    for concept in concepts("action-line").values():
        (code,) = concept.notations
        for name in (code, code.replace("-", ""), *(name.value for name in concept.labels)):
            key = fold(name)
            table[key] = code if table.get(key, code) == code else None
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
    code_found = _codes().get(rest, otherwise)
    return code_found if code_found and code_found.startswith("C7") else None


def _read_code(match: re.Match[str]) -> str | None:
    """Parse a code and the text after it, which must not name another action line; unknown words
    need a separator before them.
    """
    code, following = f"C{match['number']}", match["rest"].lstrip()
    rest = fold(following)
    if not rest:
        return code
    if _SECOND_CODE.search(rest):
        return None
    otherwise = code if match["before"] or following[0] in _SEPARATORS else None
    if code == "C7":
        return _application(rest, otherwise)
    return None if _APPLICATION.search(rest) or _codes().get(rest, otherwise) != code else code


def action_line(text: str) -> str | None:
    """Return the code of the action line that *text* names, or None; an application under C7 rather
    than C7 itself.

    >>> action_line("C7. ICT APPLICATIONS: E-HEALTH"), action_line("AL C7 (E-health)"), action_line("\u0421\u0032")
    ('C7-ehea', 'C7-ehea', 'C2')
    >>> action_line("C12") is None, action_line("C1, C2") is None, action_line("health") is None, action_line("C4 plants") is None
    (True, True, True, True)
    """
    return _action_line(text) if len(text) <= MAX_LENGTH else None


@lru_cache(maxsize=8192)
def _action_line(text: str) -> str | None:
    normalized = _LOOKALIKE_E.sub("e", _LOOKALIKE_C.sub("c", text.strip()))
    for key in (fold(text), fold(normalized)):
        if key in _codes():
            return _codes()[key]
    match = _CODE.match(unicodedata.normalize("NFKC", normalized).casefold())
    if match:
        return _read_code(match)
    return _application(key.removeprefix(_PARENT), None) if key.startswith(_PARENT) else None
