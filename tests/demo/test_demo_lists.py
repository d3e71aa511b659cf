"""CKAN, JSON and CSV: each way of paging brings each record once; validators spare what is known
already.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from rows import each

from demo.scenario import Fault, expected_counts

COUNTS = expected_counts(600, 3)


def by_page(registry: Any) -> list[dict[str, Any]]:
    results, url = [], "/json/projects"
    while url:
        page = registry.ask(url).json()
        results += page["results"]
        url = page["next_page"]
    return results


def by_offset(registry: Any) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    while items := registry.ask("/json/offset", params={"offset": len(results), "limit": 7}).json()[
        "items"
    ]:
        results += items
    return results


def by_cursor(registry: Any) -> list[dict[str, Any]]:
    results, cursor = [], ""
    while cursor is not None:
        page = registry.ask("/json/cursor", params={"cursor": cursor}).json()
        results += page["data"]
        cursor = page["meta"]["next_cursor"]
    return results


def by_next(registry: Any) -> list[dict[str, Any]]:
    results, url = [], "/json/next"
    while url:
        page = registry.ask(url).json()
        results += page["value"]
        url = page["links"]["next"]
    return results


def at_once(registry: Any) -> list[dict[str, Any]]:
    return list(registry.ask("/json/all").json())


def by_file(registry: Any) -> list[dict[str, Any]]:
    return [
        registry.ask(f"/json/files/{name}").json()
        for name in registry.ask("/json/files/").json()["files"]
    ]


def by_row(registry: Any) -> list[dict[str, Any]]:
    return list(
        csv.DictReader(io.StringIO(registry.ask("/csv/projects.csv").content.decode(), newline=""))
    )


def by_search(registry: Any) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = []
    search = "/ckan/api/3/action/package_search"
    while results := registry.ask(search, params={"start": len(result), "rows": 40}).json()[
        "result"
    ]["results"]:
        result += results
    return result


WAYS = {
    "projects": by_page, "offset": by_offset, "cursor": by_cursor, "next": by_next,
    "all": at_once, "files": by_file, "csv": by_row, "ckan": by_search,
}  # fmt: skip


@each("name", WAYS)
@each("version", [1, 2])
def test_each_way_of_paging_brings_each_record_once(opened: Any, name: str, version: int) -> None:
    result = WAYS[name](opened(version=version))

    keys = {record["id"] for record in result}
    assert len(result) == len(keys) == expected_counts(600, 3, version)[name].records


@each("name", ["projects", "offset", "cursor", "next", "all", "files"])
def test_records_without_a_title_are_as_many_as_the_truth_says(opened: Any, name: str) -> None:
    result = WAYS[name](opened())

    assert sum(not record["title"] for record in result) == COUNTS[name].untitled


def test_a_search_returns_its_count_and_at_most_1000_rows(opened: Any) -> None:
    result = (
        opened().ask("/ckan/api/3/action/package_search", params={"rows": "5000"}).json()["result"]
    )

    assert result["count"] == len(result["results"]) == COUNTS["ckan"].records


def test_a_search_by_time_finds_what_was_modified_then(opened: Any) -> None:
    registry, day = opened(), "2024-06-01T00:00:00Z"

    query = {
        "fq": f"metadata_modified:[{day} TO *]",
        "rows": "1000",
        "sort": "metadata_modified asc",
    }
    results = [
        item["metadata_modified"]
        for item in registry.ask("/ckan/api/3/action/package_search", params=query).json()[
            "result"
        ]["results"]
    ]

    assert results == sorted(
        item["metadata_modified"]
        for item in by_search(registry)
        if item["metadata_modified"] >= day[:-1]
    )
    assert results


def test_a_posted_search_is_answered_like_one_in_the_address(opened: Any) -> None:
    registry = opened()

    posted = registry.ask("/ckan/api/3/action/package_search", "POST", json={"rows": 3})

    assert posted.json() == registry.ask("/ckan/api/3/action/package_search?rows=3").json()


@each("query", ["rows=many", "sort=colour asc", "fq=organization:x", "start=-1"])
def test_a_wrong_search_is_a_validation_error(opened: Any, query: str) -> None:
    reply = opened().ask(f"/ckan/api/3/action/package_search?{query}")

    assert (reply.status_code, reply.json()["success"], reply.json()["error"]["__type"]) == (
        409,
        False,
        "Validation Error",
    )


def test_a_posted_search_that_is_no_object_is_a_bad_request(opened: Any) -> None:
    how = {"content": b"[1", "headers": {"content-type": "application/json"}}

    assert opened().ask("/ckan/api/3/action/package_search", "POST", **how).status_code == 400


def test_a_wrong_move_is_refused_and_changes_nothing(opened: Any) -> None:
    registry = opened()
    before = registry.ask("/control").json()

    reply = registry.ask("/control", "POST", json={"faults": ["rain"]})

    assert (reply.status_code, registry.ask("/control").json()) == (400, before)


def test_a_package_is_shown_by_name_and_by_id(opened: Any) -> None:
    registry = opened()
    package = by_search(registry)[5]

    packages = [
        registry.ask("/ckan/api/3/action/package_show", params={"id": package[name]}).json()[
            "result"
        ]
        for name in ("name", "id")
    ]

    assert packages == [package, package]
    assert registry.ask("/ckan/api/3/action/package_show?id=none").status_code == 404


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


def test_an_empty_registry_claims_nothing(opened: Any) -> None:
    registry = opened(frozenset({Fault.EMPTY}))

    assert [WAYS[name](registry) for name in WAYS] == [[]] * len(WAYS)


def test_a_web_page_comes_instead_of_data(opened: Any) -> None:
    reply = opened(frozenset({Fault.HTML})).ask("/json/all")

    assert (reply.status_code, reply.headers["content-type"].split(";")[0]) == (200, "text/html")


def test_each_page_is_the_first_one_again(opened: Any) -> None:
    registry = opened(frozenset({Fault.REPEAT}))

    first, second = (
        registry.ask(f"/json/projects?page={number}").json()["results"] for number in (1, 2)
    )

    assert first == second != []


def test_the_second_page_is_cut_in_its_middle(opened: Any) -> None:
    registry = opened(frozenset({Fault.CUT}))

    whole, half = (registry.ask("/json/all").content for _ in range(2))

    assert half == whole[: len(whole) // 2]
