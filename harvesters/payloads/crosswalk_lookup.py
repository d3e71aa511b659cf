"""Look up words in the crosswalks, with a cache."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

from harvesters.payloads.value_parsing import MAX_NAME_LENGTH, split_words
from vocab.crosswalks import Crosswalks
from vocab.initiative import Basis, Claim, Coded, Document, Event, Initiative, Resource
from vocab.lookup import SDG

_CACHE_SIZE = 16384  # Words: a registry's vocabulary, some 3 MB.
# An action line, goal or target by its code alone, or any number.
_BARE_CODE = re.compile(r"[CcСс]? ?[\d.]{1,6}[a-d]?\Z")
# Other activity types, such as a toolkit, can be documents.
_INITIATIVES = frozenset(("project", "programme", "training"))

Find = Callable[[str], str | None]
Match = Callable[[str], tuple[Claim, ...]]


def sort_claims(claims: Iterable[Claim]) -> dict[str, Any]:
    """Return claims by the member of a resource that has their scheme, the first of each concept."""
    members: dict[str, dict[str, Claim]] = {"action_lines": {}, "goals": {}, "targets": {}}
    for claim in claims:
        code = claim.concept.removeprefix(SDG)
        is_line, is_target = code == claim.concept, "." in code
        name = "action_lines" if is_line else "targets" if is_target else "goals"
        members[name].setdefault(claim.concept, claim)
    return {name: tuple(each.values()) for name, each in members.items()}


class CrosswalkLookup:
    """Look up words in the crosswalks, with a cache for each."""

    def __init__(self, crosswalks: Crosswalks) -> None:
        cached, named = lru_cache(_CACHE_SIZE), crosswalks.find_by_name
        self.line, self.goal = cached(crosswalks.action_line), cached(crosswalks.goal)
        self.target, self.find_country = cached(crosswalks.target), cached(crosswalks.country)
        self.find_coverage = cached(partial(named, "coverage"))
        self.find_activity_type = cached(partial(named, "activity-type"))
        self.country = _with_fallback(crosswalks.country)
        self.prize_category = _with_fallback(crosswalks.prize_category)
        self.prize_stage = _with_fallback(partial(named, "prize-stage"))
        self.stakeholder_type, self.coverage, self.status, self.activity_type = (
            _translation(crosswalks, scheme)
            for scheme in ("stakeholder-type", "coverage", "status", "activity-type")
        )
        sdg, lines = crosswalks.iris.scheme("sdg"), crosswalks.iris.scheme("action-line")
        line, goal, target = (self.line, lines), (self.goal, sdg), (self.target, sdg)
        curated = crosswalks.is_curated
        # A bare 4 is a goal in a field of goals or targets, a 4.4 a target.
        self.declared: Mapping[str, Match] = {
            "action_lines": _matcher(curated, line),
            "goals": _matcher(curated, goal, target),
            "targets": _matcher(curated, target, goal),
        }
        # The name of a target, goal or action line gives a crosswalked claim. A keyword declares
        # nothing, since its field is not about them.
        self.keyword = _matcher(curated, target, goal, line, is_keyword=True)

    def list_countries(self, word: str) -> tuple[str, ...]:
        """Return the country that a word names, or those of a list if each of its parts names one."""
        if country := self.find_country(word):
            return (country,)
        mark = ";" if ";" in word else ","
        parts = split_words(word, mark) if mark in word else ()
        countries = tuple(filter(None, map(self.find_country, parts)))
        return countries if len(countries) == len(parts) else ()

    def kind(self, types: Iterable[str]) -> type[Resource]:
        """Return the class of a record that has these types: a project, a programme or a training
        is an initiative.

        >>> from vocab.iris import Iris
        >>> lexicon = CrosswalkLookup(Crosswalks(Iris()))
        >>> [lexicon.kind([word]).__name__ for word in ("Project", "Event", "Dataset", "Conference paper")]
        ['Initiative', 'Event', 'Document', 'Document']
        """
        for word in types:
            if (self.find_activity_type(word) or "").rpartition("/")[2] in _INITIATIVES:
                return Initiative
            if word.rpartition("/")[2].lower() == "event":  # The word may be DCMI's IRI.
                return Event
        return Document


def _with_fallback(find: Find) -> Callable[[str], str]:
    """Return the function *find* with a cache, and with unknown words returned unchanged, for the
    shapes to report.
    """
    known = lru_cache(_CACHE_SIZE)(lambda word: find(word) or word)
    return lambda word: known(word) if len(word) <= MAX_NAME_LENGTH else word


def _translation(crosswalks: Crosswalks, scheme: str) -> Callable[[str], Coded]:
    """Return the function that translates the values of a coded field.

    The field declares a concept by its own code or preferred label. For another name the result is
    a crosswalked claim with the source's word. Unknown words are returned unchanged, for the shapes
    to report.
    """

    @lru_cache(_CACHE_SIZE)
    def known(word: str) -> Coded:
        concept = crosswalks.find_by_name(scheme, word)
        if concept is None or crosswalks.is_own_name(concept, word):
            return concept or word
        return Claim(concept, Basis.CROSSWALKED, word, crosswalk=crosswalks.iris.scheme(scheme))

    return lambda word: known(word) if len(word) <= MAX_NAME_LENGTH else word


def _matcher(
    curated: Callable[[str], bool], *finds: tuple[Find, str], is_keyword: bool = False
) -> Match:
    """Return a function that returns the claim of the first of *finds* (function, scheme) that has
    one for a word: crosswalked if the word is *curated*, else declared. A list with commas
    ("1, 4, 5") has the claims of its parts if each has one.

    A keyword is crosswalked unless it is the concept's own IRI, and makes no claim if it is a bare
    number or code ("4.4", "C2") that is not curated.
    """

    def match(word: str) -> Claim | None:
        if is_keyword and _BARE_CODE.match(word) and not curated(word):
            return None
        for find, scheme in finds:
            if concept := find(word):
                is_iri = word.startswith((SDG, SDG.replace("http:", "https:")))
                if is_iri if is_keyword else not curated(word):
                    return Claim(concept, word=word)
                return Claim(concept, Basis.CROSSWALKED, word, crosswalk=scheme)
        return None

    @lru_cache(_CACHE_SIZE)
    def known(word: str) -> tuple[Claim, ...]:
        if whole := match(word):
            return (whole,)
        parts = word.split(",") if "," in word else ()
        claims = tuple(claim for part in parts if (claim := match(part.strip())))
        return claims if len(claims) == len(parts) else ()

    return lambda word: known(word) if len(word) <= MAX_NAME_LENGTH else ()


def crosswalked(crosswalks: Crosswalks, scheme: str, code: str, word: str) -> tuple[Claim, ...]:
    """Return the claims of *word*, whose *code* a registry's own crosswalk translates."""
    iri = crosswalks.iris.scheme(scheme)
    matches = crosswalks.find_all(scheme, code)
    return tuple([Claim(match, Basis.CROSSWALKED, word, crosswalk=iri) for match in matches])
