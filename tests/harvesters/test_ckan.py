"""Packages in pages, since a time, or in one document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from harvesters.errors import ParseError
from harvesters.page_model import DeletedRecord, Page, Record
from harvesters.protocols.ckan.harvest import collect
from harvesters.source import Source

from .conftest import DefineSource, Registry, ScriptedRegistry

SEARCH = "https://registry.example/portal"


def search_result(count: int, *packages: object) -> bytes:
    return json.dumps(
        {"success": True, "result": {"count": count, "results": list(packages)}}
    ).encode()


def package(key: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "title": key, "metadata_modified": "2026-01-01T00:00:00", **more}


@pytest.fixture
def portal(define_source: DefineSource) -> Callable[..., Source]:
    def make(**rest: Any) -> Source:
        return define_source("ckan", "ckan_package", url=rest.pop("url", SEARCH), **rest)

    return make


def harvest(
    server: ScriptedRegistry,
    source: Source,
    since: datetime | None = None,
    cursor: str | None = None,
) -> list[Page[Any]]:
    with server.open_client() as fetch:
        return list(collect(source, fetch, since, cursor))


def keys(pages: Iterable[Page[Any]]) -> list[Any]:
    return [item.key for page in pages for item in page.items]


def test_a_search_is_followed_to_its_count(
    portal: Callable[..., Source], registry: Registry
) -> None:
    server = registry({
        "sort=id+asc&rows=2&start=0": search_result(3, package("a"), package("b")),
        "sort=id+asc&rows=2&start=2": search_result(3, package("c")),
    })  # fmt: skip

    pages = harvest(server, portal(options={"rows": 2}))

    assert keys(pages) == ["a", "b", "c"]
    assert [page.reported_total for page in pages] == [3, 3]
    assert server.requests[0].url.path == "/portal/api/3/action/package_search"
    assert keys(harvest(server, portal(options={"rows": 2}), cursor=pages[0].cursor)) == ["c"]


def test_a_portal_that_gives_fewer_than_asked_is_read_to_the_end(
    portal: Callable[..., Source], registry: Registry
) -> None:
    server = registry(
        lambda request: httpx.Response(
            200, content=search_result(3, package(request.url.params["start"]))
        )
    )

    assert keys(harvest(server, portal())) == ["0", "1", "2"]


def test_since_is_a_filter_with_a_second_of_overlap(
    portal: Callable[..., Source], registry: Registry
) -> None:
    server = registry(lambda request: httpx.Response(200, content=search_result(0)))

    harvest(server, portal(options={"fq": "groups:ict"}), datetime(2026, 3, 1, tzinfo=UTC))

    assert (
        server.requests[0].url.params["fq"]
        == "(groups:ict) AND metadata_modified:[2026-02-28T23:59:59Z TO *]"
    )


def test_a_package_in_the_state_deleted_is_gone(
    portal: Callable[..., Source], registry: Registry
) -> None:
    server = registry(
        lambda request: httpx.Response(200, content=search_result(1, package("a", state="deleted")))
    )

    (page,) = harvest(server, portal())

    assert page.items == (DeletedRecord("a", "2026-01-01T00:00:00"),)


def test_visits_do_not_change_the_raw_bytes(
    portal: Callable[..., Source], registry: Registry
) -> None:
    packages = [package("a", tracking_summary={"total": number}) for number in (1, 2)]
    server = registry(lambda request: httpx.Response(200, content=search_result(2, *packages)))

    (page,) = harvest(server, portal())

    one, two = page.items
    assert isinstance(one, Record)
    assert isinstance(two, Record)
    assert one.raw == two.raw


@pytest.mark.parametrize(
    "document",
    [
        [package("a"), package("b")],
        {"success": True, "result": [[package("a"), package("b")]]},  # DKAN
        {"help": "", "success": True, "result": [package("a"), package("b")]},
        {"success": True, "result": {"count": 2, "results": [package("a"), package("b")]}},
    ],
)
def test_a_document_of_packages_is_read_in_each_of_its_shapes(
    document: dict[str, Any] | list[Any], portal: Callable[..., Source], registry: Registry
) -> None:
    server = registry({"/data.json": json.dumps(document).encode()})

    assert keys(harvest(server, portal(url="https://registry.example/data.json"))) == ["a", "b"]


@pytest.mark.parametrize(
    "document",
    [package("a"), {"success": True, "result": package("a")}, {"success": True, "result": [package("a")]}],
)  # fmt: skip
def test_a_document_of_one_package_is_read(
    document: Any, portal: Callable[..., Source], registry: Registry
) -> None:
    server = registry(lambda request: httpx.Response(200, content=json.dumps(document)))

    (page,) = harvest(server, portal(url="https://registry.example/api/3/action/package_show?id=a"))

    assert [type(item) for item in page.items] == [Record]


def test_a_package_without_an_id_or_that_is_no_object_is_unreadable(
    portal: Callable[..., Source], registry: Registry
) -> None:
    server = registry(
        lambda request: httpx.Response(
            200, content=search_result(3, {"title": "x"}, "y", package("a"))
        )
    )

    (page,) = harvest(server, portal())

    assert [item.key for item in page.items] == [None, None, "a"]


@pytest.mark.parametrize(
    ("message", "text"),
    [(b'{"success": false, "error": {"__type": "Authorization Error", "message": "Access denied"}}', "says: Access denied"),
     (b'{"success": false}', "says: None"), (b'{"success": true, "result": []}', "results are missing"),
     (b"<html>", "HTML page where JSON was expected"), (b"oops", "not JSON")],
)  # fmt: skip
def test_what_is_no_answer_of_a_search_is_reported(
    message: bytes, text: str, portal: Callable[..., Source], registry: Registry
) -> None:
    with pytest.raises(ParseError, match=text):
        harvest(registry(lambda request: httpx.Response(200, content=message)), portal())


def test_pages_that_repeat_are_reported(portal: Callable[..., Source], registry: Registry) -> None:
    server = registry(lambda request: httpx.Response(200, content=search_result(9, package("a"))))

    with pytest.raises(ParseError, match="repeats the records"):
        harvest(server, portal())
