"""Lexicon: the crosswalks as a mapping asks them: whole lists of words at once, each answer remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from harvesters.payloads.value_parsing import MAX_NAME_LENGTH
from vocab.crosswalks import Crosswalks
from vocab.initiative import Claim

_MEMO = 16384  # words: a registry's vocabulary, some 3 MB
_LINE, _GOAL, _TARGET = 0, 1, 2  # where Subjects has them

_NONE: Sequence[tuple[Claim, ...]] = ((), (), ())

Match = tuple[int, Claim]  # one of these places, and the claim


class Subjects(NamedTuple):
    """Words, sorted by what they name; *left* names nothing that we know."""

    lines: tuple[Claim, ...]
    goals: tuple[Claim, ...]
    targets: tuple[Claim, ...]
    unmatched: tuple[str, ...]


class CrosswalkLookup:
    """The crosswalks as a mapping asks them, remembering each answer."""

    def __init__(self, words: Crosswalks) -> None:
        self.line = lru_cache(_MEMO)(words.action_line)
        self.goal = lru_cache(_MEMO)(words.goal)
        self.target = lru_cache(_MEMO)(words.target)
        self.country = _known(words.country)
        self.find_country = lru_cache(_MEMO)(words.country)
        self.stakeholder_type = _known(words.stakeholder_type)
        self.coverage = _known(words.coverage)
        self.find_coverage = lru_cache(_MEMO)(words.coverage)
        self.status = _known(words.status)
        self.find_status = lru_cache(_MEMO)(words.status)
        self.activity_type = _known(words.activity_type)
        self.find_activity_type = lru_cache(_MEMO)(words.activity_type)
        self.prize_category = _known(words.prize_category)
        self.prize_stage = _known(words.prize_stage)
        as_line, as_goal, as_target = (_LINE, self.line), (_GOAL, self.goal), (_TARGET, self.target)
        self._lines = _sorter(as_line)
        self._goals = _sorter(as_goal, as_target)
        self._targets = _sorter(as_target, as_goal)
        self._words = _sorter(as_target, as_goal, as_line, bare=False)

    def parse_subjects(self, words: Iterable[str]) -> Subjects:
        """Sort free words: a target's, goal's or action line's name or code declares it, all others are left."""
        left: dict[str, None] = {}
        lines, goals, targets = _sorted(words, self._words, left)
        return Subjects(lines, goals, targets, tuple(left))

    def parse_declared(self, lines: Iterable[str], goals: Iterable[str], targets: Iterable[str]) -> Subjects:
        """Sort words that the source gives as action lines, goals and targets; a bare 4 is a goal here, a 4.4 a target."""
        left: dict[str, None] = {}
        found_lines, _, _ = _sorted(lines, self._lines, left)
        _, first_goals, more_targets = _sorted(goals, self._goals, left)
        _, more_goals, first_targets = _sorted(targets, self._targets, left)
        return Subjects(found_lines, _merged(first_goals, more_goals), _merged(first_targets, more_targets), tuple(left))


def _known(find: Callable[[str], str | None]) -> Callable[[str], str]:
    """Give the look-up *find* with a memory, and the word itself where no crosswalk knows it, for the shapes to flag."""

    @lru_cache(_MEMO)
    def known(word: str) -> str:
        return find(word) or word

    return lambda word: known(word) if len(word) <= MAX_NAME_LENGTH else word


def _sorter(*finds: tuple[int, Callable[[str], str | None]], bare: bool = True) -> Callable[[str], Match | None]:
    """Give what sorts a word by the first of *finds* that knows it; *bare* numbers among free words may be anything."""

    @lru_cache(_MEMO)
    def sort(word: str) -> Match | None:
        if not bare and word.isascii() and not any(map(str.isalpha, word)):
            return None
        claims = ((place, Claim(concept, word=word)) for place, find in finds if (concept := find(word)))
        return next(claims, None)

    return sort


def _sorted(words: Iterable[str], sort: Callable[[str], Match | None], left: dict[str, None]) -> Sequence[tuple[Claim, ...]]:
    if not words:
        return _NONE
    found: tuple[dict[str, Claim], ...] = ({}, {}, {})
    for word in words:
        if it := sort(word) if len(word) <= MAX_NAME_LENGTH else None:
            place, claim = it
            found[place].setdefault(claim.concept, claim)
        elif word:
            left[word] = None
    lines, goals, targets = found
    return tuple(lines.values()), tuple(goals.values()), tuple(targets.values())


def _merged(first: tuple[Claim, ...], more: tuple[Claim, ...]) -> tuple[Claim, ...]:
    if not more:
        return first
    known = {claim.concept for claim in first}
    return (*first, *(claim for claim in more if claim.concept not in known))


def merge_subjects(first: Subjects, second: Subjects) -> Subjects:
    """Put two sortings together, each concept once, the first one's before the second's."""
    return Subjects(
        _merged(first.lines, second.lines),
        _merged(first.goals, second.goals),
        _merged(first.targets, second.targets),
        tuple(dict.fromkeys(first.unmatched + second.unmatched)) if first.unmatched else second.unmatched,
    )
