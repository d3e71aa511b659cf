from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
from rows import each
from simulated import ScriptedRegistry, define_source, harvest, items, keys

from harvesters.page_model import DeletedRecord
from harvesters.source import Source

SEARCH = "https://registry.example/portal"


def search_result(count: int, *packages: object) -> dict[str, Any]:
    return {"success": True, "result": {"count": count, "results": packages}}


def package(key: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "title": key, "metadata_modified": "2026-01-01T00:00:00", **more}


def always(document: object) -> ScriptedRegistry:
    return ScriptedRegistry(lambda request: httpx.Response(200, json=document))


def portal(**rest: Any) -> Source:
    return define_source("ckan", "ckan_package", **{"url": SEARCH, **rest})


def test_a_search_is_followed_to_its_count() -> None:
    server = ScriptedRegistry({
        "sort=id+asc&rows=2&start=0": search_result(3, package("a"), package("b")),
        "sort=id+asc&rows=2&start=2": search_result(3, package("c")),
    })  # fmt: skip

    pages = harvest(server, portal(options={"rows": 2}))

    assert keys(pages) == ["a", "b", "c"]
    assert [page.reported_total for page in pages] == [3, 3]
    assert server.requests[0].url.path == "/portal/api/3/action/package_search"
    assert keys(harvest(server, portal(options={"rows": 2}), cursor=pages[0].cursor)) == ["c"]


def test_since_is_a_filter_with_a_second_of_overlap() -> None:
    server = always(search_result(0))

    harvest(server, portal(options={"fq": "groups:ict"}), datetime(2026, 3, 1, tzinfo=UTC))

    filters = "(groups:ict) AND metadata_modified:[2026-02-28T23:59:59Z TO *]"
    assert server.requests[0].url.params["fq"] == filters


def test_deleted_and_unreadable_packages_and_counts_of_visits() -> None:
    visited = [package("b", tracking_summary={"total": number}) for number in (1, 2)]
    packages = [package("a", state="deleted"), {"title": "x"}, "y", *visited]

    gone, unnamed, text, one, two = items(harvest(always(search_result(5, *packages)), portal()))

    assert gone == DeletedRecord("a", "2026-01-01T00:00:00")
    assert (unnamed.key, text.key) == (None, None)
    assert one.raw == two.raw


AB = [package("a"), package("b")]


@each(
    "document, expected",
    # DKAN puts the list of packages into another list.
    [(AB, ["a", "b"]), ({"success": True, "result": [AB]}, ["a", "b"]),
     ({"help": "", "success": True, "result": AB}, ["a", "b"]), (search_result(2, *AB), ["a", "b"]),
     (package("a"), ["a"]), ({"success": True, "result": package("a")}, ["a"]), ({"success": True, "result": [package("a")]}, ["a"])],
)  # fmt: skip
@each("path", ["data.json", "api/3/action/package_show?id=a"])
def test_a_document_of_packages_is_read_in_each_of_its_shapes(
    path: str, document: Any, expected: list[str]
) -> None:
    assert keys(harvest(always(document), portal(url=f"https://registry.example/{path}"))) == expected  # fmt: skip
