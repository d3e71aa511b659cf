from __future__ import annotations

import csv
import io
from collections.abc import Callable
from functools import partial
from typing import Any

from demo_counts import expected_counts
from rows import each

from demo.scenario import Fault

Way = Callable[[Any], list[dict[str, Any]]]
COUNTS = expected_counts(600, 3)


def by_link(
    path: str, member: str, follow: Callable[[Any], str | None], registry: Any
) -> list[dict[str, Any]]:
    """Return the records of all pages; *follow* returns the link of a page to the next."""
    results, url = [], path
    while url:
        page = registry.ask(url).json()
        results += page[member]
        url = follow(page) or ""
    return results


def next_cursor(page: Any) -> str | None:
    cursor = page["meta"]["next_cursor"]
    return None if cursor is None else f"/json/cursor?cursor={cursor}"


def by_offset(
    path: str, name: str, size: dict[str, int], read: Callable[[Any], list[Any]], registry: Any
) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    while items := read(registry.ask(path, params={name: len(results), **size}).json()):
        results += items
    return results


def by_file(registry: Any) -> list[dict[str, Any]]:
    names = registry.ask("/json/files/").json()["files"]
    return [registry.ask(f"/json/files/{name}").json() for name in names]


def by_row(registry: Any) -> list[dict[str, Any]]:
    text = registry.ask("/csv/projects.csv").content.decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


CKAN = "/ckan/api/3/action/package_search"
JSON_WAYS: dict[str, Way] = {
    "projects": partial(by_link, "/json/projects", "results", lambda page: page["next_page"]),
    "cursor": partial(by_link, "/json/cursor?cursor=", "data", next_cursor),
    "next": partial(by_link, "/json/next", "value", lambda page: page["links"]["next"]),
    "offset": partial(
        by_offset, "/json/offset", "offset", {"limit": 7}, lambda page: page["items"]
    ),
    "all": lambda registry: list(registry.ask("/json/all").json()),
    "files": by_file,
}
by_search = partial(by_offset, CKAN, "start", {"rows": 40}, lambda page: page["result"]["results"])
WAYS: dict[str, Way] = {**JSON_WAYS, "csv": by_row, "ckan": by_search}


@each("name", WAYS)
@each("version", [1, 2])
def test_each_way_of_paging_brings_each_record_once(opened: Any, name: str, version: int) -> None:
    result = WAYS[name](opened(version=version))

    keys = {record["id"] for record in result}
    assert len(result) == len(keys) == expected_counts(600, 3, version)[name].records


@each("name", JSON_WAYS)
def test_records_without_a_title_are_as_many_as_the_truth_says(opened: Any, name: str) -> None:
    assert sum(not record["title"] for record in WAYS[name](opened())) == COUNTS[name].untitled


def test_a_search_returns_its_count_and_at_most_1000_rows(opened: Any) -> None:
    result = opened().ask(CKAN, params={"rows": "5000"}).json()["result"]

    assert result["count"] == len(result["results"]) == COUNTS["ckan"].records


def test_a_search_by_time_finds_what_was_modified_then(opened: Any) -> None:
    registry, day, name = opened(), "2024-06-01T00:00:00", "metadata_modified"

    query = {"fq": f"{name}:[{day}Z TO *]", "rows": "1000"}
    results = registry.ask(CKAN, params=query).json()["result"]["results"]

    times = sorted(item[name] for item in by_search(registry) if item[name] >= day)
    assert sorted(item[name] for item in results) == times != []


@each("query", ["rows=many", "fq=organization:x"])
def test_a_wrong_search_is_a_validation_error(opened: Any, query: str) -> None:
    reply = opened().ask(f"{CKAN}?{query}")

    reason = reply.json()
    assert (reply.status_code, reason["success"]) == (409, False)
    assert reason["error"]["__type"] == "Validation Error"


def test_a_wrong_move_is_refused_and_changes_nothing(opened: Any) -> None:
    registry = opened()
    before = registry.ask("/control").json()

    reply = registry.ask("/control", "POST", json={"faults": ["rain"]})

    assert (reply.status_code, registry.ask("/control").json()) == (400, before)


@each("path", ["/json/projects?page=2", "/json/all", "/json/files/index.json", "/csv/projects.csv"])
def test_what_the_client_has_is_not_sent_again(opened: Any, path: str) -> None:
    registry = opened()
    first = registry.ask(path)

    by_tag = registry.ask(path, headers={"If-None-Match": first.headers["ETag"]})
    by_time = registry.ask(path, headers={"If-Modified-Since": first.headers["Last-Modified"]})

    assert [first.status_code, by_tag.status_code, by_time.status_code] == [200, 304, 304]


def test_a_new_version_has_a_new_tag(opened: Any) -> None:
    tags = [opened(version=version).ask("/json/all").headers["ETag"] for version in (1, 2)]

    assert tags[0] != tags[1]


def test_the_second_request_finds_the_registry_busy_once(opened: Any) -> None:
    registry = opened(frozenset({Fault.BUSY}))

    replies = [registry.ask("/json/projects") for _ in range(3)]

    assert [reply.status_code for reply in replies] == [200, 503, 200]
    assert replies[1].headers["Retry-After"] == "1"


def test_a_web_page_comes_instead_of_data(opened: Any) -> None:
    reply = opened(frozenset({Fault.HTML})).ask("/json/all")

    assert (reply.status_code, reply.headers["content-type"].split(";")[0]) == (200, "text/html")


def test_pages_that_repeat_are_played(opened: Any) -> None:
    registry = opened(frozenset({Fault.REPEAT}))

    first, second = (
        registry.ask(f"/json/projects?page={number}").json()["results"] for number in (1, 2)
    )

    assert first == second != []
