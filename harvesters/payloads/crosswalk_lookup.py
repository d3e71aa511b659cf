"""Look up words in the crosswalks, with a cache."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from harvesters.payloads.value_parsing import MAX_NAME_LENGTH
from vocab.crosswalks import Crosswalks
from vocab.initiative import Basis, Claim, Coded, Document, Event, Initiative, Resource

_SDG = "http://metadata.un.org/sdg/"
_CACHE_SIZE = 16384  # words: a registry's vocabulary, some 3 MB
_LINE, _GOAL, _TARGET = 0, 1, 2  # where Subjects has them

# an action line, goal or target by its code alone, or any number
_BARE_CODE = re.compile(r"[CcСс]? ?[\d.]{1,6}[a-d]?\Z")

# others, such as a toolkit, can be documents
_INITIATIVES = frozenset(("project", "programme", "training"))

_NONE: Sequence[tuple[Claim, ...]] = ((), (), ())

Match = tuple[int, Claim]  # one of these places, and the claim


class Subjects(NamedTuple):
    """Words sorted by the scheme of their concept; *unmatched* has those without one."""

    lines: tuple[Claim, ...]
    goals: tuple[Claim, ...]
    targets: tuple[Claim, ...]
    unmatched: tuple[str, ...]


class CrosswalkLookup:
    """Look up words in the crosswalks, with a cache for each."""

    def __init__(self, crosswalks: Crosswalks) -> None:
        self.line = lru_cache(_CACHE_SIZE)(crosswalks.action_line)
        self.goal = lru_cache(_CACHE_SIZE)(crosswalks.goal)
        self.target = lru_cache(_CACHE_SIZE)(crosswalks.target)
        self.country = _with_fallback(crosswalks.country)
        self.find_country = lru_cache(_CACHE_SIZE)(crosswalks.country)
        self.stakeholder_type = _translation(
            crosswalks, "stakeholder-type", crosswalks.stakeholder_type
        )
        self.coverage = _translation(crosswalks, "coverage", crosswalks.coverage)
        self.find_coverage = lru_cache(_CACHE_SIZE)(crosswalks.coverage)
        self.status = _translation(crosswalks, "status", crosswalks.status)
        self.activity_type = _translation(crosswalks, "activity-type", crosswalks.activity_type)
        self.find_activity_type = lru_cache(_CACHE_SIZE)(crosswalks.activity_type)
        self.prize_category = _with_fallback(crosswalks.prize_category)
        self.prize_stage = _with_fallback(crosswalks.prize_stage)
        as_line, as_goal, as_target = (_LINE, self.line), (_GOAL, self.goal), (_TARGET, self.target)
        sdg, line = crosswalks.iris.scheme("sdg"), crosswalks.iris.scheme("action-line")
        curated = crosswalks.is_curated
        self._lines = _matcher(as_line, curated=curated, scheme=line)
        self._goals = _matcher(as_goal, as_target, curated=curated, scheme=sdg)
        self._targets = _matcher(as_target, as_goal, curated=curated, scheme=sdg)
        finds = (_TARGET, self.target, sdg), (_GOAL, self.goal, sdg), (_LINE, self.line, line)
        self._words = _keyword_matcher(*finds, curated=curated)

    def countries(self, word: str) -> tuple[str, ...]:
        """Return the country that a word names, those of a list with commas if each is known, else
        the word itself.
        """
        if "," in word and len(word) <= MAX_NAME_LENGTH and not self.find_country(word):
            listed = [self.find_country(part.strip()) for part in word.split(",")]
            if all(listed):
                return tuple(country for country in listed if country)
        return (self.country(word),)

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
            if word.rpartition("/")[2].lower() == "event":  # also DCMI's own IRI
                return Event
        return Document

    def parse_subjects(self, words: Iterable[str]) -> Subjects:
        """Sort free words; the name of a target, goal or action line gives a crosswalked claim,
        others are unmatched.

        A keyword declares nothing, since its field is not about action lines, goals or targets. A
        bare number or code ("4.4", "C2") is unmatched.
        """
        unmatched: dict[str, None] = {}
        lines, goals, targets = _sort_words(words, self._words, unmatched)
        return Subjects(lines, goals, targets, tuple(unmatched))

    def parse_declared(
        self, lines: Iterable[str], goals: Iterable[str], targets: Iterable[str]
    ) -> Subjects:
        """Sort words that the source declares as action lines, goals and targets; a bare 4 is a
        goal here, a 4.4 a target.
        """
        unmatched: dict[str, None] = {}
        found_lines, _, _ = _sort_words(lines, self._lines, unmatched)
        _, first_goals, more_targets = _sort_words(goals, self._goals, unmatched)
        _, more_goals, first_targets = _sort_words(targets, self._targets, unmatched)
        return Subjects(
            found_lines,
            _merged(first_goals, more_goals),
            _merged(first_targets, more_targets),
            tuple(unmatched),
        )


def _with_fallback(find: Callable[[str], str | None]) -> Callable[[str], str]:
    """Return the function *find* with a cache, and with unknown words returned unchanged, for the
    shapes to report.
    """

    @lru_cache(_CACHE_SIZE)
    def known(word: str) -> str:
        return find(word) or word

    return lambda word: known(word) if len(word) <= MAX_NAME_LENGTH else word


def _translation(
    crosswalks: Crosswalks, scheme: str, find: Callable[[str], str | None]
) -> Callable[[str], Coded]:
    """Return the function *find* for a coded field.

    The field declares a concept by its own code or preferred label. For another name the result is
    a crosswalked claim with the source's word. Unknown words are returned unchanged, for the shapes
    to report.
    """

    @lru_cache(_CACHE_SIZE)
    def known(word: str) -> Coded:
        concept = find(word)
        if concept is None:
            return word
        if crosswalks.is_own_name(concept, word):
            return concept
        return Claim(concept, Basis.CROSSWALKED, word, crosswalk=crosswalks.iris.scheme(scheme))

    return lambda word: known(word) if len(word) <= MAX_NAME_LENGTH else word


def _matcher(
    *finds: tuple[int, Callable[[str], str | None]], curated: Callable[[str], bool], scheme: str
) -> Callable[[str], Match | None]:
    """Return a function that returns the declared match of the first of *finds* that has one; a
    *curated* word is crosswalked.
    """

    @lru_cache(_CACHE_SIZE)
    def sort(word: str) -> Match | None:
        kind, concept = next(
            ((kind, concept) for kind, find in finds if (concept := find(word))), (0, "")
        )
        if not concept:
            return None
        return kind, Claim(concept, Basis.CROSSWALKED, word, crosswalk=scheme) if curated(
            word
        ) else Claim(concept, word=word)

    return sort


def _keyword_matcher(
    *finds: tuple[int, Callable[[str], str | None], str], curated: Callable[[str], bool]
) -> Callable[[str], Match | None]:
    """Return a function that returns the crosswalked match of the first of *finds* that has one; of
    bare codes only a *curated* one.
    """

    @lru_cache(_CACHE_SIZE)
    def sort(word: str) -> Match | None:
        if _BARE_CODE.match(word) and not curated(word):
            return None
        # the concept's own IRI, in whatever field
        declared = word.startswith((_SDG, _SDG.replace("http:", "https:")))
        claims = (
            (
                kind,
                Claim(concept, word=word)
                if declared
                else Claim(concept, Basis.CROSSWALKED, word, crosswalk=scheme),
            )
            for kind, find, scheme in finds
            if (concept := find(word))
        )
        return next(claims, None)

    return sort


def _sort_words(
    words: Iterable[str], sort: Callable[[str], Match | None], unmatched: dict[str, None]
) -> Sequence[tuple[Claim, ...]]:
    if not words:
        return _NONE
    claims: tuple[dict[str, Claim], ...] = ({}, {}, {})
    for word in words:
        matches = _matches(word, sort) if len(word) <= MAX_NAME_LENGTH else ()
        for kind, claim in matches:
            claims[kind].setdefault(claim.concept, claim)
        if word and not matches:
            unmatched[word] = None
    lines, goals, targets = claims
    return tuple(lines.values()), tuple(goals.values()), tuple(targets.values())


def _matches(word: str, sort: Callable[[str], Match | None]) -> Sequence[Match]:
    """Return the match of a word; of a list with commas ("1, 4, 5") the matches of its parts if
    each has one.
    """
    if match := sort(word):
        return (match,)
    parts = word.split(",") if "," in word else ()
    matches = [match for part in parts if (match := sort(part.strip()))]
    return matches if len(matches) == len(parts) else ()


def classify_words(
    words: Iterable[str], crosswalk: str, find: Callable[[str], tuple[str, ...]]
) -> Subjects:
    """Sort words by the concepts that a registry's own *crosswalk* (the IRI of its scheme) has for
    them.
    """
    claims: tuple[dict[str, Claim], ...] = ({}, {}, {})
    unmatched: dict[str, None] = {}
    for word in words:
        concepts = find(word)
        for concept in concepts:
            kind = (
                _LINE
                if not concept.startswith(_SDG)
                else _TARGET
                if "." in concept.removeprefix(_SDG)
                else _GOAL
            )
            claims[kind].setdefault(
                concept, Claim(concept, Basis.CROSSWALKED, word, crosswalk=crosswalk)
            )
        if not concepts and word:
            unmatched[word] = None
    lines, goals, targets = claims
    return Subjects(
        tuple(lines.values()), tuple(goals.values()), tuple(targets.values()), tuple(unmatched)
    )


def _merged(first: tuple[Claim, ...], more: tuple[Claim, ...]) -> tuple[Claim, ...]:
    if not more:
        return first
    known = {claim.concept for claim in first}
    return (*first, *(claim for claim in more if claim.concept not in known))


def merge_subjects(first: Subjects, second: Subjects) -> Subjects:
    """Merge two results, each concept once, those of *first* before those of *second*."""
    return Subjects(
        _merged(first.lines, second.lines),
        _merged(first.goals, second.goals),
        _merged(first.targets, second.targets),
        tuple(dict.fromkeys(first.unmatched + second.unmatched))
        if first.unmatched
        else second.unmatched,
    )
