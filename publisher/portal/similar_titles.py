"""Find published things whose title is like another, so that nobody describes the same thing twice."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from publisher.projections.search.query import SearchRequest
from publisher.projections.search.searcher import Searcher

MIN_RATIO = 0.8  # of two titles that are alike: a year or a word may differ
_COMPARED = 50  # best results of a search that are compared
_MAX_WORDS = 12  # of a title that are searched
_MAX_LENGTH = 300  # characters of a title that are compared: the time grows with their product


def similar_titles(
    search: Searcher, title: str, limit: int, min_ratio: float = MIN_RATIO
) -> list[tuple[str, str]]:
    """Return the IRIs and titles of the things whose title is most like *title*, the likest first.

    *min_ratio* is the least likeness, from 0 to 1.
    """
    words = re.findall(r"\w+", title[:_MAX_LENGTH])[:_MAX_WORDS]
    if not words:
        return []
    folded = title[:_MAX_LENGTH].casefold()
    similar: list[tuple[float, str, str]] = []
    for entry in search.find_entries(SearchRequest(" OR ".join(words), field="title"), _COMPARED):
        for text, _ in entry.titles:
            ratio = SequenceMatcher(
                None, folded, text[:_MAX_LENGTH].casefold(), autojunk=False
            ).ratio()
            if ratio >= min_ratio:
                similar.append((-ratio, entry.thing, text))
    best: dict[str, str] = {}
    for _, thing, text in sorted(similar):
        best.setdefault(thing, text)
    return list(best.items())[:limit]
