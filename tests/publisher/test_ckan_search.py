"""Packages are searched as a CKAN portal searches."""

from __future__ import annotations

from typing import Any

from rows import each

from publisher.catalog.portals import search_packages


@each(
    "package_search, names",
    [({"q": "*:*", "rows": 1}, ["b"]), ({"q": "*:*", "rows": 1, "start": 1}, ["c"]),
     ({"sort": "name asc"}, ["a", "b", "c"]), ({"sort": "title desc, name asc"}, ["b", "a", "c"]),
     ({"q": "health"}, ["a"]), ({"q": '"HEALTH" network'}, []),
     ({"fq": "metadata_modified:[2026-02-01T00:00:00Z TO *]"}, ["b", "c"]),
     ({"q": "metadata_modified:[* TO 2026-01-31T00:00:00Z]"}, ["a"])],
)  # fmt: skip
def test_packages_are_searched_as_ckan_does(
    package_search: dict[str, Any], names: list[str]
) -> None:
    results: list[dict[str, object]] = [
        {"id": "1", "name": "a", "title": "A", "notes": "health", "author": "", "tags": [], "metadata_modified": "2026-01-01T00:00:00"},
        {"id": "2", "name": "b", "title": "B", "notes": "", "author": "", "tags": [], "metadata_modified": "2026-03-01T00:00:00"},
        {"id": "3", "name": "c", "title": "A", "notes": "", "author": "", "tags": [], "metadata_modified": "2026-02-01T00:00:00"},
    ]  # fmt: skip

    answer = search_packages(results, **package_search)

    assert [item["name"] for item in answer["results"]] == names  # type: ignore[attr-defined]
