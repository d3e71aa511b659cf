"""Lexicon: the crosswalks as a mapping asks them: whole lists of words at once, each answer remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from vocab.crosswalks import Crosswalks
from vocab.initiative import Claim

_MEMO = 16384  # words: a registry's vocabulary, some 3 MB
_LONGEST = 300  # characters of a name; what is longer is a text, and is not looked up


class Subjects(NamedTuple):
    """Words, sorted by what they name; *left* names nothing that we know."""

    lines: tuple[Claim, ...]
    goals: tuple[Claim, ...]
    targets: tuple[Claim, ...]
    left: tuple[str, ...]


class Lexicon:
    """The crosswalks as a mapping asks them, remembering each answer."""

    def __init__(self, words: Crosswalks) -> None:
        self.line = lru_cache(_MEMO)(words.action_line)
        self.goal = lru_cache(_MEMO)(words.goal)
        self.target = lru_cache(_MEMO)(words.target)
        self.country = _known(words.country)
        self.land = lru_cache(_MEMO)(words.country)
        self.stakeholder_type = _known(words.stakeholder_type)
        self.coverage = _known(words.coverage)
        self.scope = lru_cache(_MEMO)(words.coverage)
        self.status = _known(words.status)
        self.state = lru_cache(_MEMO)(words.status)
        self.activity_type = _known(words.activity_type)
        self.activity = lru_cache(_MEMO)(words.activity_type)
        self.prize_category = _known(words.prize_category)
        self.prize_stage = _known(words.prize_stage)
        self._word = lru_cache(_MEMO)(self._sorted)

    def _sorted(self, word: str) -> tuple[int, Claim] | None:
        if word.isascii() and not any(map(str.isalpha, word)):
            return None  # a bare number among free words may be anything
        for place, find in ((2, self.target), (1, self.goal), (0, self.line)):
            if concept := find(word):
                return place, Claim(concept, word=word)
        return None

    def subjects(self, words: Iterable[str]) -> Subjects:
        """Sort free words: a target's, goal's or action line's name or code declares it, all others are left."""
        places: tuple[dict[str, Claim], ...] = ({}, {}, {})
        left: dict[str, None] = {}
        for word in words:
            if found := self._word(word) if len(word) <= _LONGEST else None:
                places[found[0]].setdefault(found[1].concept, found[1])
            elif word:
                left[word] = None
        lines, goals, targets = (tuple(place.values()) for place in places)
        return Subjects(lines, goals, targets, tuple(left))

    def declared(self, lines: Iterable[str], goals: Iterable[str], targets: Iterable[str]) -> Subjects:
        """Sort words that the source gives as action lines, goals and targets; a bare 4 is a goal here, a 4.4 a target."""
        left: dict[str, None] = {}
        found_lines = _claims(lines, (self.line,), left)[0]
        first_goals, more_targets = _claims(goals, (self.goal, self.target), left)
        first_targets, more_goals = _claims(targets, (self.target, self.goal), left)
        return Subjects(found_lines, _merged(first_goals, more_goals), _merged(first_targets, more_targets), tuple(left))


def _known(find: Callable[[str], str | None]) -> Callable[[str], str]:
    """Give the look-up *find* with a memory, and the word itself where no crosswalk knows it, for the shapes to flag."""

    @lru_cache(_MEMO)
    def known(word: str) -> str:
        return find(word) or word

    return lambda word: known(word) if len(word) <= _LONGEST else word


def _claims(words: Iterable[str], finds: Sequence[Callable[[str], str | None]], left: dict[str, None]) -> list[tuple[Claim, ...]]:
    found: list[dict[str, Claim]] = [{} for _ in finds]
    for word in words:
        for place, find in zip(found, finds, strict=True):
            if concept := find(word) if len(word) <= _LONGEST else None:
                place.setdefault(concept, Claim(concept, word=word))
                break
        else:
            left[word] = None
    return [tuple(place.values()) for place in found]


def _merged(first: tuple[Claim, ...], more: tuple[Claim, ...]) -> tuple[Claim, ...]:
    if not more:
        return first
    known = {claim.concept for claim in first}
    return (*first, *(claim for claim in more if claim.concept not in known))


def joined(first: Subjects, second: Subjects) -> Subjects:
    """Put two sortings together, each concept once, the first one's before the second's."""
    return Subjects(
        _merged(first.lines, second.lines),
        _merged(first.goals, second.goals),
        _merged(first.targets, second.targets),
        tuple(dict.fromkeys((*first.left, *second.left))),
    )
