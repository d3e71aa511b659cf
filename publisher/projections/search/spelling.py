"""Suggest another spelling if words of a search match nothing."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from publisher.projections.search.index import find_words, fold, tokens
from publisher.projections.search.query_parser import SearchRequest
from publisher.projections.search.searcher import Searcher

MIN_LETTERS = 4  # of a word that is corrected: shorter words are similar to too many others
MAX_WORDS = 8  # words of a search that are checked
_NEAR = 0.74  # similarity by difflib's measure: one typing error in four letters, two in eight
# things, and characters of each of their texts, that are searched for similar words
_MAX_THINGS, _MAX_CHARACTERS = 20, 2_000


def suggest_spelling(words: str, search: Searcher) -> str | None:
    """Return *words* with words that match nothing replaced by the most similar ones; None if that
    matches nothing either.

    Operators and words that match stay as they were typed.
    """
    pieces: list[str] = []
    last, seen = 0, 0
    for match in find_words(words):
        word = match.group()
        if (
            len(word) < MIN_LETTERS
            or word == "OR"
            or words[match.start() - 1 : match.start()] == "-"
            or seen >= MAX_WORDS
        ):
            continue
        seen += 1
        if (similar := _similar(word, search)) is not None:
            pieces += [words[last : match.start()], similar]
            last = match.end()
    if not pieces:
        return None
    suggestion = "".join([*pieces, words[last:]])
    return (
        suggestion
        if search.find(SearchRequest(suggestion), 1, with_entries=False, similar=False).total
        else None
    )


def _similar(word: str, search: Searcher) -> str | None:
    """Return the indexed word most similar to *word*; None if *word* itself matches or no word is
    similar.
    """
    parts = tokens(word)
    if (
        len(parts) != 1
        or parts[0][1]
        or search.find(SearchRequest(word), 1, with_entries=False, similar=False).total
    ):
        return None
    candidates: dict[str, str] = {}
    for text in _texts(word, search):
        for written, run in tokens(text[:_MAX_CHARACTERS]):
            if not run and abs(len(written) - len(word)) <= 2:
                candidates.setdefault(fold(written), written)
    nearest = get_close_matches(fold(parts[0][0]), candidates, n=1, cutoff=_NEAR)
    return candidates[nearest[0]] if nearest else None


def _texts(word: str, search: Searcher) -> Iterator[str]:
    """Yield the texts that may contain a word similar to *word*: names of topics, then titles,
    organizations and descriptions of things.
    """
    for hit in search.topics.search(word, fuzzy=True)[:_MAX_THINGS] if search.topics else ():
        yield from search.topics.names(hit.topic) if search.topics else ()
    entries = search.find(SearchRequest(word), _MAX_THINGS).entries
    for entry in entries:
        yield from (text for text, _ in (*entry.titles, *entry.parties))
    for entry in entries:
        yield from (text for text, _ in entry.texts)
