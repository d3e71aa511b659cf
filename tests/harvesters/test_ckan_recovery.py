from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

import httpx
import pytest
from rows import each

from harvesters.errors import HarvestError, ParseError
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record
from harvesters.protocols.ckan.harvest import collect
from harvesters.source import Source

from .simulated import Handler, crashed, open_client


def broken(body: bytes) -> httpx.Response:
    return httpx.Response(200, content=body[:-9])


class CkanPortal:
    """A portal's search over *count* packages, the *poison* ones of which spoil each answer that
    they are in.
    """

    def __init__(
        self,
        count: int,
        poison: Collection[int] = (),
        spoil: Callable[[bytes], httpx.Response] = broken,
        deepest: int = 10**9,
        most: int = 1000,
        names: bool = True,
    ) -> None:
        self.keys = [f"k{number:04}" for number in range(count)]
        self.poison = {f"k{number:04}" for number in poison}
        self.spoil = spoil
        self.deepest = deepest
        self.most = most
        self.names = names
        self.request_log: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        parameters = dict(request.url.params)
        self.request_log.append(parameters)
        base = re.search(r'id:\["(\w+)" TO \*\]', parameters.get("fq", ""))
        keys = [key for key in self.keys if not base or key >= base[1]]
        start, rows = int(parameters["start"]), min(int(parameters["rows"]), self.most)
        if start > self.deepest:
            return httpx.Response(400)
        result = keys[start : start + rows]
        packages = [
            {"id": key, "title": key, "state": "deleted" if key.endswith("3") else "active"}
            for key in result
        ]
        body = json.dumps(
            {"success": True, "result": {"count": len(keys), "results": packages}}
        ).encode()
        harmless = parameters.get("fl") == "id" and self.names
        return (
            httpx.Response(200, content=body)
            if harmless or self.poison.isdisjoint(result)
            else self.spoil(body)
        )

    def truth(self) -> dict[str, type]:
        return {
            key: InvalidRecord
            if key in self.poison
            else DeletedRecord
            if key.endswith("3")
            else Record
            for key in self.keys
        }


def definition(rows: int) -> Source:
    return Source(
        name="a", title="A", protocol="ckan", mapping="ckan_package", licence="https://example.org/l",
        url="https://registry.example", options={"rows": rows},
    )  # fmt: skip


def harvest(registry: Handler, rows: int = 10, cursor: str | None = None) -> list[Page[Any]]:
    with open_client(registry) as fetch:
        return list(collect(definition(rows), fetch, None, cursor))


def kinds(pages: Iterable[Page[Any]]) -> dict[str | None, type]:
    return {item.key: type(item) for page in pages for item in page.items}


@each(
    "count, rows, poison",
    [(1, 10, [0]), (2, 2, [1]), (7, 7, [3]), (100, 100, [0]), (100, 100, [63]), (100, 100, [99]), (23, 10, [21]),
     (23, 10, [0, 9, 10, 22])],
)  # fmt: skip
@each("spoil", [broken, crashed])
def test_one_poison_package_costs_one_package(
    count: int, rows: int, poison: list[int], spoil: Any
) -> None:
    registry = CkanPortal(count, poison, spoil)

    pages = harvest(registry, rows)

    assert kinds(pages) == registry.truth()
    assert [item.key for page in pages for item in page.items] == registry.keys
    assert (pages[-1].cursor, pages[-1].reported_total, pages[-1].incomplete_reason) == (
        None,
        count,
        None,
    )


def test_it_costs_requests_by_the_logarithm_of_the_page() -> None:
    sound, registry = CkanPortal(300), CkanPortal(300, [137])
    harvest(sound, 100)

    harvest(registry, 100)

    assert len(registry.request_log) - len(sound.request_log) <= 3 * 7 + 4


def test_a_portal_that_gives_fewer_than_asked_is_read_in_pieces_all_the_same() -> None:
    registry = CkanPortal(50, [17], most=8)

    assert kinds(harvest(registry, 40)) == registry.truth()


def test_a_package_whose_id_is_unknown_leaves_the_harvest_incomplete() -> None:
    registry = CkanPortal(20, [17], names=False)

    pages = harvest(registry)

    others = {key: kind for key, kind in registry.truth().items() if key != "k0017"}
    assert kinds(pages) == others | {None: InvalidRecord}
    assert (
        str(pages[-1].incomplete_reason)
        == "the package at 17 of the search cannot be read, and its id is unknown"
    )


def test_a_portal_that_answers_no_search_is_not_read_in_pieces() -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, content=b"oops")

    with pytest.raises(ParseError, match="not JSON"):
        harvest(answer)

    assert len(requests) == 2


def test_an_offset_that_is_refused_is_followed_by_the_ids_after_the_last() -> None:
    registry = CkanPortal(95, deepest=30)

    pages = harvest(registry)

    assert kinds(pages) == registry.truth()
    assert (pages[-1].reported_total, pages[-1].incomplete_reason) == (95, None)
    assert [page.again for page in pages][:5] == [False, False, False, False, True]


def test_an_offset_that_is_refused_by_a_portal_without_order_ends_the_run() -> None:
    registry = CkanPortal(95, deepest=30)
    registry.keys.reverse()

    with pytest.raises(HarvestError, match="400"):
        harvest(registry)


@each("poison", [[], [3, 17, 18]])
@each("deepest", [10**9, 11])
def test_a_run_that_is_killed_at_any_page_brings_the_same_packages(
    poison: list[int], deepest: int
) -> None:
    registry = CkanPortal(33, poison, deepest=deepest)
    undisturbed = harvest(registry, 4)

    killed: list[Page[Any]] = []
    cursor = None
    while not killed or cursor is not None:
        with open_client(registry) as fetch:
            killed.append(next(iter(collect(definition(4), fetch, None, cursor))))
        cursor = killed[-1].cursor

    assert [page.items for page in killed] == [page.items for page in undisturbed]


@pytest.mark.parametrize(
    ("later", "message"), [(19, "shrank from 20 to 19"), (21, "grew from 20 to 21")]
)
def test_a_count_that_changes_is_doubted(later: int, message: str) -> None:
    registry = CkanPortal(20)

    def shrinking(request: httpx.Request) -> httpx.Response:
        if len(registry.request_log) == 1:
            registry.keys = [f"k{number:04}" for number in range(later)]
        return registry(request)

    assert message in str(harvest(shrinking)[-1].incomplete_reason)


def test_an_offset_of_before_begins_the_search_anew() -> None:
    pages = harvest(CkanPortal(15), cursor="10")

    assert len(kinds(pages)) == 15
    assert all(page.again for page in pages)
