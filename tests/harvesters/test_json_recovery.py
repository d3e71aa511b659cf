from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection
from typing import Any

import httpx
import pytest
from rows import each
from simulated import URL, Handler, ScriptedRegistry, define_source, harvest, items, keys

from harvesters.errors import HarvestError, ParseError
from harvesters.page_model import InvalidRecord, Record
from harvesters.protocols.document import MAX_RECORDS
from harvesters.source import Source

WAYS: dict[str, dict[str, Any]] = {
    "page": {"page": "page"},
    "counted from 0": {"page": "page", "first": 0},
    "offset": {"offset": "offset"},
}


def broken(body: bytes) -> httpx.Response:
    return httpx.Response(200, content=body[:-2])


class Lister:
    """A registry that lists *count* records by page number, offset or cursor; the *poison* ones
    spoil each answer that they are in.
    """

    def __init__(
        self, count: int, poison: Collection[int] = (), spoil: Callable[[bytes], httpx.Response] = broken, first: int = 1,
        total: bool = True, size: int = 10, refused: Callable[[int], bool] = lambda requested_row: False,
    ) -> None:  # fmt: skip
        self.rows = [
            {"id": f"k{number:04}", "changed": f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z"}
            for number in range(count)
        ]
        self.poison = {f"k{number:04}" for number in poison}
        self.spoil, self.first, self.total, self.size, self.refused = spoil, first, total, size, refused  # fmt: skip
        self.request_log: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        parameters = dict(request.url.params)
        self.request_log.append(parameters)
        size = int(parameters.get("limit", self.size))
        rows = [row for row in self.rows if row["changed"] >= parameters.get("since", "")]
        start = int(parameters.get("offset", parameters.get("after", 0)))
        start = (int(parameters["page"]) - self.first) * size if "page" in parameters else start
        if "after" in parameters and self.refused(start):
            return httpx.Response(410)
        result = rows[start : start + size]
        after = str(start + size) if start + size < len(rows) else None
        total = {"total": len(rows)} if self.total else {}
        body = json.dumps({"rows": result, "next": after, **total}).encode()
        spoilt = any(row["id"] in self.poison for row in result)
        return self.spoil(body) if spoilt else httpx.Response(200, content=body)


def definition(size: int = 10, total: bool = True, **options: Any) -> Source:
    results = {"records": "rows", "limit": "limit", "size": size, **({"total": "total"} if total else {}), **options}  # fmt: skip
    return define_source(options={name: option for name, option in results.items() if option is not None})  # fmt: skip


def limited(registry: Lister, limit: Callable[[str], str]) -> Handler:
    """Return a registry that is asked for the number of rows that *limit* makes of the requested
    one.
    """

    def answer(request: httpx.Request) -> httpx.Response:
        changed = limit(request.url.params.get("limit", ""))
        return registry(httpx.Request("GET", request.url.copy_set_param("limit", changed)))

    return answer


@each(
    "options, limit, message",
    [({"page": "page", "limit": None}, lambda _: "10", "not JSON"),
     ({"cursor": "after", "next": "next"}, lambda _: "10", "not JSON"),
     ({"page": "page", "size": 12}, lambda _: "10", "not JSON"),
     ({"page": "page"}, lambda limit: "4" if limit == "5" else limit, "returned 4 records instead of 5")],
)  # fmt: skip
def test_where_no_smaller_page_can_be_had_the_run_ends(
    options: dict[str, Any], limit: Callable[[str], str], message: str
) -> None:
    with pytest.raises(ParseError, match=message):
        harvest(limited(Lister(40, [17]), limit), definition(**options))


CURSOR: dict[str, Any] = {"cursor": "after", "next": "next"}
SINCE: dict[str, Any] = {**CURSOR, "since": "since", "modified": "changed"}


@each("place", range(10, 60, 10))
def test_a_cursor_that_is_refused_is_followed_by_what_changed_since_the_last(place: int) -> None:
    asked = place // 10 + 1
    registry = Lister(60, refused=lambda start: start == place and len(registry.request_log) == asked)  # fmt: skip

    pages = harvest(registry, definition(**SINCE))

    assert {*keys(pages)} == {row["id"] for row in registry.rows}
    assert registry.request_log[asked]["since"] == f"2026-01-01T00:{place - 2:02}:59Z"
    last = pages[-1]
    assert (last.reported_total, last.incomplete_reason, last.again) == (60, None, True)


def test_without_a_total_that_is_incomplete() -> None:
    registry = Lister(60, total=False, refused=lambda start: len(registry.request_log) == 3)

    pages = harvest(registry, definition(total=False, **SINCE))

    assert "this alone does not prove that it is complete" in str(pages[-1].incomplete_reason)


@each("options", [CURSOR, SINCE])
def test_a_list_without_order_is_begun_anew(options: dict[str, Any]) -> None:
    registry = Lister(60, refused=lambda start: len(registry.request_log) == 3)
    registry.rows.reverse()

    pages = harvest(registry, definition(**options))

    rows = [row["id"] for row in registry.rows]
    assert (keys(pages), pages[-1].incomplete_reason) == ([*rows[:20], *rows], None)


def test_a_cursor_that_is_refused_at_the_same_place_again_ends_the_run() -> None:
    registry = Lister(60, refused=lambda start: start == 30)

    with pytest.raises(HarvestError, match="answered 410"):
        harvest(registry, definition(**CURSOR))


def test_empty_pages_with_ever_new_cursors_end() -> None:
    numbers = itertools.count(1)
    server = ScriptedRegistry(lambda _: httpx.Response(200, json={"rows": [], "next": next(numbers)}))  # fmt: skip

    with pytest.raises(ParseError, match="page 101 in a row without a record"):
        harvest(server, definition(total=False, **CURSOR))


def test_pages_without_keys_are_distinguished_by_what_they_hold() -> None:
    registry = Lister(20)

    assert keys(harvest(registry, definition(page="page", key="nothing"))) == [None] * 20


def test_a_document_that_changed_since_its_cursor_may_bring_what_came_before() -> None:
    rows = Lister(MAX_RECORDS + 5).rows
    first = harvest(ScriptedRegistry({"": rows}), define_source())[0]

    anew = harvest(ScriptedRegistry({"": rows[1:]}), define_source(), cursor=first.cursor)

    assert (first.again, [page.again for page in anew]) == (False, [True, True])


@each("options, doubted", [({}, False), ({"key": "id"}, True)])
def test_a_file_that_crashes_its_server_is_unreadable_and_doubted_unless_its_name_is_its_key(
    options: dict[str, str], doubted: bool
) -> None:
    files = {"/api/a.json": {"id": "x"}, "/api/b.json": 500, "/api/c.json": {"id": "x"}}
    source = define_source(url=f"{URL}/", options={"files": "@", **options})

    pages = harvest(ScriptedRegistry({**files, "/api/": ["a.json", "b.json", "c.json"]}), source)

    assert [type(item) for item in items(pages)] == [Record, InvalidRecord, Record]
    assert (pages[-1].incomplete_reason is not None) == doubted
