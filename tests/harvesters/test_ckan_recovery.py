from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

import httpx
import pytest
from rows import each
from simulated import (
    ScriptedRegistry,
    crashed,
    define_source,
    harvest,
    harvest_page_by_page,
    keys,
    kinds,
)

from harvesters.errors import HarvestError, ParseError
from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.source import Source


def broken(body: bytes) -> httpx.Response:
    return httpx.Response(200, content=body[:-9])


class CkanPortal:
    """A portal's search over *count* packages, the *poison* ones of which spoil each answer that
    they are in.
    """

    def __init__(
        self, count: int, poison: Collection[int] = (), spoil: Any = broken, deepest: int = 10**9, most: int = 1000, names: bool = True
    ) -> None:  # fmt: skip
        self.keys = [f"k{number:04}" for number in range(count)]
        self.poison = {f"k{number:04}" for number in poison}
        self.spoil, self.deepest, self.most, self.names = spoil, deepest, most, names
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
        packages = [{"id": key, "title": key, "state": "deleted" if key.endswith("3") else "active"} for key in result]  # fmt: skip
        body = json.dumps({"success": True, "result": {"count": len(keys), "results": packages}})
        if (parameters.get("fl") == "id" and self.names) or self.poison.isdisjoint(result):
            return httpx.Response(200, text=body)
        answer: httpx.Response = self.spoil(body.encode())
        return answer

    def truth(self) -> dict[str | None, type]:
        kinds: dict[str | None, type] = {
            key: DeletedRecord if key.endswith("3") else Record for key in self.keys
        }
        return {**kinds, **dict.fromkeys(self.poison, InvalidRecord)}


def source(rows: int = 10) -> Source:
    return define_source("ckan", "ckan_package", options={"rows": rows})


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

    pages = harvest(registry, source(rows))

    last = pages[-1]
    assert kinds(pages) == registry.truth()
    assert keys(pages) == registry.keys
    assert (last.cursor, last.reported_total, last.incomplete_reason) == (None, count, None)


def test_it_costs_requests_by_the_logarithm_of_the_page() -> None:
    sound, registry = CkanPortal(300), CkanPortal(300, [137])

    for portal in (sound, registry):
        harvest(portal, source(100))

    assert len(registry.request_log) - len(sound.request_log) <= 3 * 7 + 4


def test_a_portal_that_gives_fewer_than_asked_is_read_in_pieces_all_the_same() -> None:
    registry = CkanPortal(50, [17], most=8)

    assert kinds(harvest(registry, source(40))) == registry.truth()


def test_a_package_whose_id_is_unknown_leaves_the_harvest_incomplete() -> None:
    registry = CkanPortal(20, [17], names=False)

    pages = harvest(registry, source())

    others = {key: kind for key, kind in registry.truth().items() if key != "k0017"}
    assert kinds(pages) == others | {None: InvalidRecord}
    reason = "the package at 17 of the search cannot be read, and its id is unknown"
    assert str(pages[-1].incomplete_reason) == reason


def test_a_portal_that_answers_no_search_is_not_read_in_pieces() -> None:
    server = ScriptedRegistry(lambda _: httpx.Response(200, content=b"oops"))

    with pytest.raises(ParseError, match="not JSON"):
        harvest(server, source())

    assert len(server.requests) == 2


def test_an_offset_that_is_refused_is_followed_by_ids_unless_the_portal_has_no_order() -> None:
    registry = CkanPortal(95, deepest=30)

    pages = harvest(registry, source())

    assert kinds(pages) == registry.truth()
    assert (pages[-1].reported_total, pages[-1].incomplete_reason) == (95, None)
    assert [page.again for page in pages][:5] == [False, False, False, False, True]
    registry.keys.reverse()
    with pytest.raises(HarvestError, match="400"):
        harvest(registry, source())


@each("poison", [[], [3, 17, 18]])
@each("deepest", [10**9, 11])
def test_a_run_that_is_killed_at_any_page_brings_the_same_packages(
    poison: list[int], deepest: int
) -> None:
    registry = CkanPortal(33, poison, deepest=deepest)

    killed = harvest_page_by_page(lambda: registry, source(4))

    assert [page.items for page in killed] == [page.items for page in harvest(registry, source(4))]


@each("later, message", [(19, "shrank from 20 to 19"), (21, "grew from 20 to 21")])
def test_a_count_that_changes_is_doubted(later: int, message: str) -> None:
    registry = CkanPortal(20)

    def changing(request: httpx.Request) -> httpx.Response:
        if len(registry.request_log) == 1:
            registry.keys = CkanPortal(later).keys
        return registry(request)

    assert message in str(harvest(changing, source())[-1].incomplete_reason)


def test_an_offset_of_before_begins_the_search_anew() -> None:
    pages = harvest(CkanPortal(15), source(), cursor="10")

    assert len(kinds(pages)) == 15
    assert all(page.again for page in pages)
