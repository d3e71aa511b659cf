"""Search the index of one snapshot, show what matches, and suggest another spelling if words of a
search match nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import tantivy
from tantivy import Occur

from publisher.store.search.index import (
    STEMMERS,
    TOPICS,
    SearchEntry,
    Texts,
    find_entry,
    find_words,
    fold,
    open_index,
    primary_language,
    stem,
    stored_entry,
    tokens,
)
from publisher.store.search.query import (
    Clause,
    SearchRequest,
    TopicIndex,
    build_query,
    build_topics,
    group_query,
    name_query,
    parse_clauses,
    wanted_clauses,
)

CACHED_MATCHES = 50  # searches whose results are cached, since each page of a search needs them
# Entries that are cached; a batch of names needs the same ones again.
CACHED_ENTRIES = 2_000
# Documents whose IRIs are cached, about 200 bytes each: reading them is half of the time of a
# search.
CACHED_THINGS = 50_000
SCORE_DIGITS = 4  # decimals that distinguish two scores; the engine sums 32-bit floats in any order
_PASSAGE, _BEFORE = 260, 70  # characters of a passage, and of them before the first match
_INFIX = 4  # minimum letters of a word that is marked inside another, in a fuzzy search
# The fewest letters of a word that is corrected, since shorter words are similar to too many others,
# and the words of a search that are checked.
_MIN_LETTERS, _MAX_CHECKED = 4, 8
_NEAR = 0.74  # similarity by difflib's measure: one typing error in four letters, two in eight
# Things, and characters of each of their texts, that are searched for similar words.
_MAX_THINGS, _MAX_CHARACTERS = 20, 2_000


class Matches(NamedTuple):
    """Results: *total* counts all, *scores* are by IRI, the best first; *is_fuzzy* if similar words
    were searched.
    """

    total: int
    scores: dict[str, float]
    is_fuzzy: bool


class Searcher:
    """The index in *folder*, which does not change while it is open. ``matches`` is ``find`` with a
    cache.
    """

    def __init__(self, folder: Path) -> None:
        self._searcher = open_index(folder)
        self._folder = folder
        self.matches = lru_cache(CACHED_MATCHES)(self.find)
        self._thing = lru_cache(CACHED_THINGS)(self._read_thing)
        self._entry = lru_cache(CACHED_ENTRIES)(self._read_entry)

    @cached_property
    def topics(self) -> TopicIndex | None:
        """Return the concepts that things are linked to; None if the store has no vocabulary. The
        first call may build their index.
        """
        path = self._folder / TOPICS
        return build_topics(path.read_bytes()) if path.exists() else None

    @cached_property
    def languages(self) -> list[str]:
        return [language for language, _ in self._searcher.terms_with_prefix("language", "")]

    def find(self, request: SearchRequest, limit: int, *, similar: bool = True) -> Matches:
        """Return the best *limit* results.

        If nothing matches the words, similar words are searched, unless *similar* is False. Equal
        scores are ordered by IRI: the engine orders them by their position in the index, which
        depends on when each document was written, so two publishers of one journal would return
        pages in different orders.
        """
        topics = self.topics if request.words else None
        result = self._searcher.search(build_query(request, self.languages, topics=topics), limit)
        is_fuzzy = similar and not _count(result) and self._has_similar(request)
        if is_fuzzy:
            query = build_query(request, self.languages, fuzzy=True, topics=topics)
            result = self._searcher.search(query, limit)
        # Hits are read in their order in the index, so that each block of documents is read once.
        hits = sorted((address.segment_ord, address.doc, score) for score, address in result.hits)
        rows = sorted(
            (-round(float(score), SCORE_DIGITS), self._thing(segment, number), float(score))
            for segment, number, score in hits
        )
        scores = {thing: score for _, thing, score in rows}
        return Matches(_count(result), scores, is_fuzzy and _count(result) > 0)

    def _read_thing(self, segment: int, number: int) -> str:
        return str(self._searcher.doc(tantivy.DocAddress(segment, number))["thing"][0])

    def _read_entry(self, segment: int, number: int) -> SearchEntry:
        return stored_entry(self._searcher.doc(tantivy.DocAddress(segment, number)))

    def _has_similar(self, request: SearchRequest) -> bool:
        """Return False if a search for similar words cannot match: there are no words, or nothing
        has one of several or a similar one.

        Similar words cost a hundred times as much as the words themselves, so they are looked up
        only for a word that nothing has.
        """
        groups = parse_clauses(request.words)
        return len(groups) == 1 or (
            bool(groups) and all(self._is_matched(group, request) for group in groups)
        )

    def _is_matched(self, group: list[Clause], request: SearchRequest) -> bool:
        for fuzzy in (False, True):
            occur, query = group_query(
                group, request, self.languages, fuzzy=fuzzy, topics=self.topics
            )
            if occur == Occur.MustNot or _count(self._searcher.search(query, 1)):
                return True
        return False

    def named_links(self, words: str, *, fuzzy: bool = False) -> frozenset[str]:
        """Return the IRIs of the concepts that any of *words* names; things linked to them match
        the search.
        """
        topics = self.topics
        return frozenset(
            iri
            for clause in wanted_clauses(words)
            for word, run in clause.words
            if topics
            for iris in topics.named_by(
                word, run, clause.is_prefix and word == clause.words[-1][0], fuzzy
            )
            for iri in iris
        )

    def entries(self, things: Iterable[str]) -> list[SearchEntry | None]:
        """Return the entries of things by their IRIs, None for things that are not in the index."""
        return [find_entry(self._searcher, thing) for thing in things]

    def find_entries(
        self, request: SearchRequest, limit: int, *, similar: bool = True
    ) -> list[SearchEntry]:
        """Return the entries of the best *limit* results, as ``find`` does."""
        scores = self.find(request, limit, similar=similar).scores
        return [entry for entry in self.entries(scores) if entry]

    def named(
        self,
        text: str,
        kinds: Iterable[str],
        limit: int,
        *,
        links: Iterable[Iterable[str]] = (),
        is_prefix: bool = False,
        similar: bool = False,
    ) -> list[SearchEntry]:
        """Return the entries of at most *limit* things of *kinds* whose titles have most of the
        words of *text*; see ``name_query``.

        A text without words matches nothing, unless *links* are stated.
        """
        if not tokens(text) and not links:
            return []
        query = name_query(text, kinds, links, is_prefix=is_prefix, similar=similar)
        rows = [
            (-round(float(score), SCORE_DIGITS), self._entry(address.segment_ord, address.doc))
            for score, address in self._searcher.search(query, limit).hits
        ]
        return [entry for _, entry in sorted(rows, key=lambda row: (row[0], row[1].thing))]


def _count(result: tantivy.SearchResult) -> int:
    count: int = result.count  # type: ignore[attr-defined]  # missing in its stubs
    return count


def open_searcher(snapshot: str) -> Searcher | None:
    """Open the index of the snapshot in the folder *snapshot*; None if it has none yet."""
    folder = Path(snapshot) / "text"
    try:
        return _open_cached(folder, (folder / "meta.json").stat().st_ino)
    except FileNotFoundError:
        return None


@lru_cache(maxsize=2)  # the current snapshot, and the previous one during a switch
def _open_cached(folder: Path, _inode: int) -> Searcher:
    """Open an index; the inode distinguishes a new index from the one that it replaced."""
    return Searcher(folder)


class Piece(NamedTuple):
    """A piece of a text; *is_match* is whether it matches the search."""

    text: str
    is_match: bool


class Marker:
    """Marks the matches of *search* in texts; *similar* also marks words inside others."""

    def __init__(self, search: str, *, similar: bool = False) -> None:
        clauses = wanted_clauses(search)
        words = [word for clause in clauses for word, run in clause.words if not run]
        self._words = {*words, *map(fold, words)}
        self._runs = [word for clause in clauses for word, run in clause.words if run]
        last = [clause.words[-1] for clause in clauses if clause.is_prefix]
        self._prefixes = tuple(fold(word) for word, run in last if not run)
        self._similar = similar

    def pieces(self, text: str, tag: str | None) -> list[Piece]:
        pieces, last = list[Piece](), 0
        for start, end in self._spans(text, primary_language(tag)):
            pieces += [Piece(text[last:start], False), Piece(text[start:end], True)]
            last = end
        pieces.append(Piece(text[last:], False))
        return [piece for piece in pieces if piece.text] or pieces

    def passage(self, text: str, tag: str | None) -> list[Piece]:
        """Return the passage of *text* around the first match, else its beginning, cut at spaces if
        possible.
        """
        line = " ".join(text.split())
        first = next((start for start, _ in self._spans(line, primary_language(tag))), 0)
        start = first - _BEFORE if first > _BEFORE else 0
        if start and (space := line.find(" ", start, first)) >= 0:
            start = space + 1
        end = min(len(line), start + _PASSAGE)
        if end < len(line) and (space := line.rfind(" ", start + _PASSAGE // 2, end)) >= 0:
            end = space
        before = [Piece("… ", False)] if start else []
        after = [Piece(" …", False)] if end < len(line) else []
        return [*before, *self.pieces(line[start:end], tag), *after]

    def _spans(self, text: str, language: str) -> list[tuple[int, int]]:
        words = (match for match in find_words(text) if self._is_match(match.group(), language))
        runs = (match for run in self._runs for match in re.finditer(re.escape(run), text))
        spans: list[tuple[int, int]] = []
        for start, end in sorted(match.span() for match in (*words, *runs)):
            if not spans or start >= spans[-1][1]:
                spans.append((start, end))
        return spans

    def _is_match(self, original: str, language: str) -> bool:
        word = unicodedata.normalize("NFKC", original).casefold()
        folded = fold(word)
        parts = [other for other in self._words if self._similar and len(other) >= _INFIX]
        alike = self._words if language in STEMMERS else ()
        return (
            folded in self._words
            or folded.startswith(self._prefixes)
            or any(part in folded for part in parts)
            or any(stem(word, language) == stem(other, language) for other in alike)
        )


def best_text(texts: Texts, marker: Marker, language: str | None) -> tuple[str, str | None] | None:
    """Return the text to show: one with a match, in *language*, in English, or the first, in this
    order of preference.
    """
    return min(
        texts,
        default=None,
        key=lambda item: (
            not any(piece.is_match for piece in marker.pieces(*item)),
            primary_language(item[1]) != language,
            primary_language(item[1]) != "en",
        ),
    )


def suggest_spelling(words: str, search: Searcher) -> str | None:
    """Return *words* with words that match nothing replaced by the most similar ones; None if that
    matches nothing either.

    Operators and words that match stay as they were typed.
    """
    checked = [
        match
        for match in find_words(words)
        if len(match.group()) >= _MIN_LETTERS and words[match.start() - 1 : match.start()] != "-"
    ]
    suggestion = words
    for match in reversed(checked[:_MAX_CHECKED]):
        similar = _similar_word(match.group(), search) or match.group()
        suggestion = suggestion[: match.start()] + similar + suggestion[match.end() :]
    is_better = suggestion != words and _is_matched(suggestion, search)
    return suggestion if is_better else None


def _is_matched(words: str, search: Searcher) -> bool:
    return search.find(SearchRequest(words), 1, similar=False).total > 0


def _similar_word(word: str, search: Searcher) -> str | None:
    """Return the indexed word most similar to *word*; None if *word* itself matches or no word is
    similar.
    """
    parts = tokens(word)
    if len(parts) != 1 or parts[0][1] or _is_matched(word, search):
        return None
    words = [
        (fold(written), written)
        for text in _similar_texts(word, search)
        for written, run in tokens(text[:_MAX_CHARACTERS])
        if not run and abs(len(written) - len(word)) <= 2
    ]
    candidates = dict(reversed(words))  # the first of equal words wins
    nearest = get_close_matches(fold(parts[0][0]), candidates, n=1, cutoff=_NEAR)
    return candidates[nearest[0]] if nearest else None


def _similar_texts(word: str, search: Searcher) -> list[str]:
    """Return the texts that may contain a word similar to *word*: names of topics, then titles,
    organizations and descriptions of things.
    """
    topics = search.topics
    named = list(topics.search(word, fuzzy=True))[:_MAX_THINGS] if topics else []
    names = [name for iri in named if topics for name in topics.names[iri]]
    entries = search.find_entries(SearchRequest(word), _MAX_THINGS)
    titles = [text for entry in entries for text, _ in (*entry.titles, *entry.parties)]
    return [*names, *titles, *(text for entry in entries for text, _ in entry.texts)]
