"""Packages are searched as a CKAN portal searches."""

from __future__ import annotations

import pytest

from publisher.catalog.ckan import Search, searched


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (Search(q="*:*", rows=1), ["b"]),
        (Search(q="*:*", rows=1, start=1), ["c"]),
        (Search(sort="name asc"), ["a", "b", "c"]),
        (Search(sort="title desc, name asc"), ["b", "a", "c"]),
        (Search(q="health"), ["a"]),
        (Search(q='"HEALTH" network'), []),
        (Search(fq="metadata_modified:[2026-02-01T00:00:00Z TO *]"), ["b", "c"]),
        (Search(q="metadata_modified:[* TO 2026-01-31T00:00:00Z]"), ["a"]),
    ],
)
def test_packages_are_searched_as_ckan_does(asked: Search, names: list[str]) -> None:
    found = [
        {"id": "1", "name": "a", "title": "A", "notes": "health", "author": "", "tags": [], "metadata_modified": "2026-01-01T00:00:00"},
        {"id": "2", "name": "b", "title": "B", "notes": "", "author": "", "tags": [], "metadata_modified": "2026-03-01T00:00:00"},
        {"id": "3", "name": "c", "title": "A", "notes": "", "author": "", "tags": [], "metadata_modified": "2026-02-01T00:00:00"},
    ]

    answer = searched(found, asked)

    assert [it["name"] for it in answer["results"]] == names
