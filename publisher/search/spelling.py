"""Spelling: the search that was probably meant, where words of it are found nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from publisher.search.analyzer import find_words, fold, tokens
from publisher.search.query_parser import SearchRequest
from publisher.search.searcher import Searcher

LETTERS = 4  # from which a word may be misspelled: shorter ones are like too many others
WORDS = 8  # words of a search that are looked at
_NEAR = 0.74  # similarity by difflib's measure: one slip in four letters, two in eight
_HITS, _READ = 20, 2_000  # things, and characters of each of their texts, in which similar words are looked for


def suggest_spelling(words: str, search: Searcher) -> str | None:
    """Return *words* with those that nothing has replaced by the most similar ones; None where that finds nothing either.

    Operators and words that are found stay as they were typed.
    """
    pieces: list[str] = []
    last, seen = 0, 0
    for match in find_words(words):
        word = match.group()
        if len(word) < LETTERS or word == "OR" or words[match.start() - 1 : match.start()] == "-" or seen >= WORDS:
            continue
        seen += 1
        if (similar := _similar(word, search)) is not None:
            pieces += [words[last : match.start()], similar]
            last = match.end()
    if not pieces:
        return None
    meant = "".join([*pieces, words[last:]])
    return meant if search.find(SearchRequest(meant), 1, with_entries=False, similar=False).total else None


def _similar(word: str, search: Searcher) -> str | None:
    """Return the word most like *word* that is found, None if *word* itself is found or none is like it."""
    parts = tokens(word)
    if len(parts) != 1 or parts[0][1] or search.find(SearchRequest(word), 1, with_entries=False, similar=False).total:
        return None
    candidates: dict[str, str] = {}
    for text in _texts(word, search):
        for written, run in tokens(text[:_READ]):
            if not run and abs(len(written) - len(word)) <= 2:
                candidates.setdefault(fold(written), written)
    close = get_close_matches(fold(parts[0][0]), candidates, n=1, cutoff=_NEAR)
    return candidates[close[0]] if close else None


def _texts(word: str, search: Searcher) -> Iterator[str]:
    """Yield the texts that may have a word like *word*: names of topics, then titles, organizations and descriptions of things."""
    for hit in search.topics.search(word, fuzzy=True)[:_HITS] if search.topics else ():
        yield from search.topics.names(hit.topic) if search.topics else ()
    entries = search.find(SearchRequest(word), _HITS).entries
    for entry in entries:
        yield from (text for text, _ in (*entry.titles, *entry.parties))
    for entry in entries:
        yield from (text for text, _ in entry.texts)
