"""Look up words in the crosswalks, with a cache."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

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
Match = Callable[[str], Claim | None]


class Subjects(NamedTuple):
    """The claims of words, one of each concept; *unmatched* has the words without one."""

    claims: tuple[Claim, ...] = ()
    unmatched: tuple[str, ...] = ()


_NONE = Subjects()


def sort_claims(claims: Iterable[Claim]) -> dict[str, Any]:
    """Return claims by the member of a resource that has their scheme, the first of each concept."""
    lines, goals, targets = dict[str, Claim](), dict[str, Claim](), dict[str, Claim]()
    for claim in claims:
        code = claim.concept.removeprefix(SDG)
        scheme = lines if code == claim.concept else targets if "." in code else goals
        scheme.setdefault(claim.concept, claim)
    members = (("action_lines", lines), ("goals", goals), ("targets", targets))
    return {name: tuple(scheme.values()) for name, scheme in members}


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
        sdg, line = crosswalks.iris.scheme("sdg"), crosswalks.iris.scheme("action-line")
        as_line, as_goal, as_target = (self.line, line), (self.goal, sdg), (self.target, sdg)
        curated = crosswalks.is_curated
        self._declared = (
            _matcher(curated, as_line),
            _matcher(curated, as_goal, as_target),
            _matcher(curated, as_target, as_goal),
        )
        self._words = _matcher(curated, as_target, as_goal, as_line, is_keyword=True)

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

    def parse_subjects(self, words: Iterable[str]) -> Subjects:
        """Sort free words; the name of a target, goal or action line gives a crosswalked claim,
        others are unmatched.

        A keyword declares nothing, since its field is not about action lines, goals or targets. A
        bare number or code ("4.4", "C2") is unmatched.
        """
        return _collect([(word, _matches(word, self._words)) for word in words])

    def parse_declared(
        self, lines: Iterable[str], goals: Iterable[str], targets: Iterable[str]
    ) -> Subjects:
        """Sort words that the source declares as action lines, goals and targets; a bare 4 is a
        goal here, a 4.4 a target.
        """
        fields = zip((lines, goals, targets), self._declared, strict=True)
        return _collect(
            [(word, _matches(word, match)) for words, match in fields for word in words]
        )


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
    one: crosswalked for a *curated* word, else declared.

    A keyword is crosswalked unless it is the concept's own IRI, and makes no claim if it is a bare
    code that is not curated.
    """

    @lru_cache(_CACHE_SIZE)
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

    return match


def _collect(words: Sequence[tuple[str, Sequence[Claim]]]) -> Subjects:
    """Return the claims of words, each concept once, and the words without one."""
    if not words:
        return _NONE
    matched, unmatched = dict[str, Claim](), dict[str, None]()
    for word, claims in words:
        for claim in claims:
            matched.setdefault(claim.concept, claim)
        if word and not claims:
            unmatched[word] = None
    return Subjects(tuple(matched.values()), tuple(unmatched))


def _matches(word: str, match: Match) -> Sequence[Claim]:
    """Return the claim of a word; of a list with commas ("1, 4, 5") the claims of its parts if each
    has one.
    """
    if len(word) > MAX_NAME_LENGTH:
        return ()
    if whole := match(word):
        return (whole,)
    parts = word.split(",") if "," in word else ()
    claims = [part for part in map(match, map(str.strip, parts)) if part]
    return claims if len(claims) == len(parts) else ()


def classify_words(
    words: Iterable[str], crosswalk: str, find: Callable[[str], tuple[str, ...]]
) -> Subjects:
    """Sort words by the concepts that a registry's own *crosswalk* (the IRI of its scheme) has for
    them.
    """
    return _collect(
        [
            (
                word,
                [
                    Claim(concept, Basis.CROSSWALKED, word, crosswalk=crosswalk)
                    for concept in find(word)
                ],
            )
            for word in words
        ]
    )
