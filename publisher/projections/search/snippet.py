"""Extract the passage of a text that matches a search, and mark the matching words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from publisher.projections.search.index import (
    STEMMERS,
    Texts,
    find_words,
    fold,
    primary_language,
    stem,
)
from publisher.projections.search.query_parser import parse_clauses

LENGTH = 260  # characters of a passage
_BEFORE = 70  # of them before the first match
_INFIX = 4  # minimum letters of a word that is marked inside another, in a fuzzy search


class Piece(NamedTuple):
    """A piece of a text; *is_match* is whether it matches the search."""

    text: str
    is_match: bool


@dataclass(frozen=True, slots=True)
class Marker:
    """Marks matches of words, prefixes (*prefixes*) and runs of scripts without spaces, all folded;
    *similar* for a fuzzy search.
    """

    words: frozenset[str]
    prefixes: tuple[str, ...]
    runs: tuple[str, ...]
    similar: bool

    def pieces(self, text: str, tag: str | None) -> list[Piece]:
        """Split *text* into matching pieces and others."""
        out: list[Piece] = []
        last = 0
        for start, end in self._spans(text, primary_language(tag)):
            out += [Piece(text[last:start], False)] if start > last else []
            out.append(Piece(text[start:end], True))
            last = end
        return [*out, Piece(text[last:], False)] if last < len(text) or not out else out

    def passage(self, text: str, tag: str | None) -> list[Piece]:
        """Return the passage of *text* around the first match, else its beginning, cut at spaces if
        possible.
        """
        line = " ".join(text.split())
        first = next((start for start, _ in self._spans(line, primary_language(tag))), 0)
        start = first - _BEFORE if first > _BEFORE else 0
        if start and (space := line.find(" ", start, first)) >= 0:
            start = space + 1
        end = min(len(line), start + LENGTH)
        if end < len(line) and (space := line.rfind(" ", start + LENGTH // 2, end)) >= 0:
            end = space
        pieces = self.pieces(line[start:end], tag)
        before = [Piece("… ", False)] if start else []
        after = [Piece(" …", False)] if end < len(line) else []
        return [*before, *pieces, *after]

    def _spans(self, text: str, language: str) -> list[tuple[int, int]]:
        matches = [
            match.span() for match in find_words(text) if self._is_match(match.group(), language)
        ]
        for run in self.runs:
            matches += [match.span() for match in re.finditer(re.escape(run), text)]
        spans: list[tuple[int, int]] = []
        for start, end in sorted(matches):
            if not spans or start >= spans[-1][1]:
                spans.append((start, end))
        return spans

    def _is_match(self, original: str, language: str) -> bool:
        word = unicodedata.normalize("NFKC", original).casefold()
        folded = fold(word)
        if folded in self.words or (self.prefixes and folded.startswith(self.prefixes)):
            return True
        if self.similar and any(len(other) >= _INFIX and other in folded for other in self.words):
            return True
        return language in STEMMERS and any(
            stem(word, language) == stem(other, language) for other in self.words
        )


def build_marker(search: str, *, similar: bool = False) -> Marker:
    """Return the marker of a search; *similar* also marks words inside others."""
    clauses = [
        clause for group in parse_clauses(search) for clause in group if not clause.is_negated
    ]
    words = frozenset(
        part
        for clause in clauses
        for word, run in clause.words
        if not run
        for part in (word, fold(word))
    )
    prefixes = tuple(
        fold(clause.words[-1][0])
        for clause in clauses
        if clause.is_prefix and not clause.words[-1][1]
    )
    return Marker(
        words,
        prefixes,
        tuple(word for clause in clauses for word, run in clause.words if run),
        similar,
    )


def best_text(texts: Texts, marker: Marker, language: str | None) -> tuple[str, str | None] | None:
    """Return the text to show: one with a match, in *language*, in English, or the first, in this
    order of preference.
    """
    if not texts:
        return None

    def rank(item: tuple[str, str | None]) -> tuple[bool, bool, bool]:
        has_match = any(piece.is_match for piece in marker.pieces(*item))
        return (
            not has_match,
            primary_language(item[1]) != language,
            primary_language(item[1]) != "en",
        )

    return min(texts, key=rank)
