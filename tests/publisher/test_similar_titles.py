"""Titles are similar that differ by a slip or a year, and others are not."""

from __future__ import annotations

import pytest
from rows import each
from search_index import search_index

from publisher.portal.suggestions import similar_titles
from publisher.store.search.index import SearchEntry
from publisher.store.search.searcher import Searcher

TITLES = [
    "Village telecentres in Kenya",
    "Village telecentres of Kenya 2024",
    "Telecentres for rural schools",
    "Школа цифровых навыков",
]


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    entries = (
        SearchEntry(
            f"https://x.org/id/initiative/a/{number}", "initiative", "a", ((title, "en"),), ()
        )
        for number, title in enumerate(TITLES)
    )
    index: Searcher = search_index(tmp_path_factory.mktemp("titles"), entries)
    return index


@each(
    "title, likest",
    [("village TELECENTRES in Kenya", ["0", "1"]), ("Village telecenters in Kenya", ["0", "1"]),
     ("Школа цифровых навыков 2026", ["3"]), ("A bridge", []), ("", []), ("((( OR -", [])],
)  # fmt: skip
def test_the_likest_titles_come_first(search: Searcher, title: str, likest: list[str]) -> None:
    assert [thing.rpartition("/")[2] for thing, _ in similar_titles(search, title, 5)] == likest
