"""Snippet: the passage of a text where it was found, and the words that were found in it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from publisher.search.analyzer import STEMMERS, find_words, fold, primary_language, stem
from publisher.search.index import Texts
from publisher.search.query_parser import parse_clauses

LENGTH = 260  # characters of a passage
_BEFORE = 70  # characters of it before the first word that was found
_INSIDE = 4  # letters from which a word is marked inside another, where similar words were taken


class Piece(NamedTuple):
    """A piece of a text; *found* is whether it matches the search."""

    text: str
    is_match: bool


@dataclass(frozen=True, slots=True)
class Marker:
    """What to mark: words, beginnings of words and runs of scripts without spaces, all folded."""

    words: frozenset[str]
    begins: tuple[str, ...]
    runs: tuple[str, ...]
    similar: bool

    def pieces(self, text: str, tag: str | None) -> list[Piece]:
        """Cut *text* into pieces that were found and others."""
        out: list[Piece] = []
        last = 0
        for start, end in self._spans(text, primary_language(tag)):
            out += [Piece(text[last:start], False)] if start > last else []
            out.append(Piece(text[start:end], True))
            last = end
        return [*out, Piece(text[last:], False)] if last < len(text) or not out else out

    def passage(self, text: str, tag: str | None) -> list[Piece]:
        """Return the passage of *text* around what was found first, else its beginning, cut at spaces where there are any."""
        line = " ".join(text.split())
        first = next((start for start, _ in self._spans(line, primary_language(tag))), 0)
        start = first - _BEFORE if first > _BEFORE else 0
        if start and (space := line.find(" ", start, first)) >= 0:
            start = space + 1
        end = min(len(line), start + LENGTH)
        if end < len(line) and (space := line.rfind(" ", start + LENGTH // 2, end)) >= 0:
            end = space
        pieces = self.pieces(line[start:end], tag)
        before, after = ([Piece("… ", False)] if start else []), ([Piece(" …", False)] if end < len(line) else [])
        return [*before, *pieces, *after]

    def _spans(self, text: str, language: str) -> list[tuple[int, int]]:
        matches = [match.span() for match in find_words(text) if self._fits(match.group(), language)]
        for run in self.runs:
            matches += [match.span() for match in re.finditer(re.escape(run), text)]
        spans: list[tuple[int, int]] = []
        for start, end in sorted(matches):
            if not spans or start >= spans[-1][1]:
                spans.append((start, end))
        return spans

    def _fits(self, written: str, language: str) -> bool:
        word = unicodedata.normalize("NFKC", written).casefold()
        folded = fold(word)
        if folded in self.words or (self.begins and folded.startswith(self.begins)):
            return True
        if self.similar and any(len(other) >= _INSIDE and other in folded for other in self.words):
            return True
        return language in STEMMERS and any(stem(word, language) == stem(other, language) for other in self.words)


def build_marker(search: str, *, similar: bool = False) -> Marker:
    """Read from what was typed what is to be marked; *similar* marks words inside others too."""
    wanted = [clause for group in parse_clauses(search) for clause in group if not clause.is_negated]
    words = frozenset(part for clause in wanted for word, run in clause.words if not run for part in (word, fold(word)))
    begins = tuple(fold(clause.words[-1][0]) for clause in wanted if clause.is_prefix and not clause.words[-1][1])
    return Marker(words, begins, tuple(word for clause in wanted for word, run in clause.words if run), similar)


def best_text(texts: Texts, mark: Marker, language: str | None) -> tuple[str, str | None] | None:
    """Choose the text to show: where something was found, in the language that was asked for, in English, the first."""
    if not texts:
        return None

    def rank(item: tuple[str, str | None]) -> tuple[bool, bool, bool]:
        has_match = any(piece.is_match for piece in mark.pieces(*item))
        return (not has_match, primary_language(item[1]) != language, primary_language(item[1]) != "en")

    return min(texts, key=rank)
