from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from typing import Any

import httpx
import pytest
from rows import each

from harvesters.errors import HarvestError, ParseError, UnavailableError
from harvesters.page_model import InvalidRecord, Page, Record
from harvesters.protocols.json_api.harvest import collect
from harvesters.protocols.paged_document import MAX_RECORDS
from harvesters.source import Source

from .simulated import Handler, crashed, open_client

WAYS: dict[str, dict[str, Any]] = {
    "page": {"page": "page"},
    "counted from 0": {"page": "page", "first": 0},
    "offset": {"offset": "offset"},
}


def broken(body: bytes) -> httpx.Response:
    return httpx.Response(200, content=body[:-2])


class Lister:
    """A registry of *count* records by page number, offset or cursor; the *poison* ones spoil each
    answer that they are in.
    """

    def __init__(
        self,
        count: int,
        poison: Collection[int] = (),
        spoil: Callable[[bytes], httpx.Response] = broken,
        first: int = 1,
        total: bool = True,
        size: int = 10,
        refused: Callable[[int], bool] = lambda requested_row: False,
    ) -> None:
        self.rows = [
            {"id": f"k{number:04}", "changed": f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z"}
            for number in range(count)
        ]
        self.poison = {f"k{number:04}" for number in poison}
        self.spoil = spoil
        self.first = first
        self.total = total
        self.size, self.refused = size, refused
        self.request_log: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        parameters = dict(request.url.params)
        self.request_log.append(parameters)
        size = int(parameters.get("limit", self.size))
        rows = [row for row in self.rows if row["changed"] >= parameters.get("since", "")]
        start = (
            int(parameters["offset"]) if "offset" in parameters else int(parameters.get("after", 0))
        )
        start = (int(parameters["page"]) - self.first) * size if "page" in parameters else start
        if "after" in parameters and self.refused(start):
            return httpx.Response(410)
        result = rows[start : start + size]
        after = str(start + size) if start + size < len(rows) else None
        body = json.dumps(
            {"rows": result, "next": after, **({"total": len(rows)} if self.total else {})}
        ).encode()
        return (
            self.spoil(body)
            if any(row["id"] in self.poison for row in result)
            else httpx.Response(200, content=body)
        )


def definition(size: int = 10, total: bool = True, **options: Any) -> Source:
    results = {
        "records": "rows",
        "limit": "limit",
        "size": size,
        **({"total": "total"} if total else {}),
        **options,
    }
    return Source(
        name="a", title="A", protocol="json", mapping="fields", licence="https://example.org/l", url="https://registry.example/api",
        options={name: option for name, option in results.items() if option is not None}, fields={"title": "id"},
    )  # fmt: skip


def harvest(registry: Handler, source: Source, cursor: str | None = None) -> list[Page[Any]]:
    with open_client(registry) as fetch:
        return list(collect(source, fetch, None, cursor))


def keys(pages: Iterable[Page[Any]]) -> list[Any]:
    return [item.key for page in pages for item in page.items]


def truth(registry: Lister) -> list[str | None]:
    return [None if row["id"] in registry.poison else row["id"] for row in registry.rows]


@each("way", WAYS)
@each("total", [True, False])
@each(
    "count, size, poison",
    [(1, 10, [0]), (2, 2, [1]), (7, 7, [3]), (100, 100, [0]), (100, 100, [63]), (100, 100, [99]), (23, 10, [21]),
     (50, 10, [0, 9, 10, 45])],
)  # fmt: skip
def test_one_poison_record_costs_one_record(
    way: str, total: bool, count: int, size: int, poison: list[int]
) -> None:
    registry = Lister(count, poison, first=WAYS[way].get("first", 1), total=total)

    pages = harvest(registry, definition(size, total, **WAYS[way]))

    assert keys(pages) == truth(registry)
    assert (pages[-1].cursor, pages[-1].reported_total) == (None, count if total else None)
    assert "cannot be read, and its key is unknown" in str(pages[-1].incomplete_reason)


def test_a_server_that_crashes_at_one_record_is_read_around_it() -> None:
    registry = Lister(30, [17], crashed)

    pages = harvest(registry, definition(page="page"))

    assert keys(pages) == truth(registry)
    assert "answered 500" in next(
        item.reason for page in pages for item in page.items if isinstance(item, InvalidRecord)
    )


def test_it_costs_requests_by_the_divisors_of_the_page() -> None:
    sound, registry = Lister(300), Lister(300, [137])
    harvest(sound, definition(100, page="page"))

    harvest(registry, definition(100, page="page"))

    assert len(registry.request_log) - len(sound.request_log) <= 2 * (2 + 2 + 5 + 5)


def test_a_registry_that_is_down_is_not_read_in_pieces() -> None:
    with pytest.raises(UnavailableError):
        harvest(lambda request: httpx.Response(500), definition(page="page"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"page": "page", "limit": None}, "set the option 'limit'"),
        ({"cursor": "after", "next": "next"}, "only the page itself links to the next one"),
        ({"page": "page", "size": 12}, "do not have the requested size"),
    ],
)
def test_where_no_smaller_page_can_be_asked_for_the_run_ends_and_says_so(
    options: dict[str, Any], message: str
) -> None:
    registry = Lister(30, [17])

    def capped(request: httpx.Request) -> httpx.Response:
        return registry(httpx.Request("GET", request.url.copy_set_param("limit", "10")))

    with pytest.raises(ParseError, match=message):
        harvest(capped, definition(**options))


def test_an_api_that_does_not_keep_to_smaller_pages_ends_the_run() -> None:
    registry = Lister(40, [17])

    def stubborn(request: httpx.Request) -> httpx.Response:
        limit = int(request.url.params["limit"])
        return registry(
            httpx.Request(
                "GET", request.url.copy_set_param("limit", "4" if limit == 5 else str(limit))
            )
        )

    with pytest.raises(ParseError, match="gave 4 records instead of 5"):
        harvest(stubborn, definition(page="page"))


@each("place", range(10, 60, 10))
def test_a_cursor_that_is_refused_is_followed_by_what_changed_since_the_last_record(
    place: int,
) -> None:
    registry = Lister(
        60, refused=lambda start: start == place and len(registry.request_log) == place // 10 + 1
    )

    pages = harvest(
        registry, definition(cursor="after", next="next", since="since", modified="changed")
    )

    assert {item.key for page in pages for item in page.items} == {
        row["id"] for row in registry.rows
    }
    assert registry.request_log[place // 10 + 1]["since"] == f"2026-01-01T00:{place - 2:02}:59Z"
    assert (pages[-1].reported_total, pages[-1].incomplete_reason, pages[-1].again) == (
        60,
        None,
        True,
    )


def test_without_a_total_that_is_incomplete() -> None:
    registry = Lister(60, total=False, refused=lambda start: len(registry.request_log) == 3)

    pages = harvest(
        registry,
        definition(total=False, cursor="after", next="next", since="since", modified="changed"),
    )

    assert "this alone does not prove that it is complete" in str(pages[-1].incomplete_reason)


@pytest.mark.parametrize("options", [{}, {"since": "since", "modified": "changed"}])
def test_a_list_without_order_is_begun_anew(options: dict[str, Any]) -> None:
    registry = Lister(60, refused=lambda start: len(registry.request_log) == 3)
    registry.rows.reverse()

    pages = harvest(registry, definition(cursor="after", next="next", **options))

    assert keys(pages) == [row["id"] for row in registry.rows[:20]] + [
        row["id"] for row in registry.rows
    ]
    assert pages[-1].incomplete_reason is None


def test_a_cursor_that_is_refused_at_the_same_place_again_ends_the_run() -> None:
    registry = Lister(60, refused=lambda start: start == 30)

    with pytest.raises(HarvestError, match="its list cannot be read to the end"):
        harvest(registry, definition(cursor="after", next="next"))


@each("way", [{"page": "page"}, {"offset": "offset"}, {"cursor": "after", "next": "next"}])
@each("poison", [[], [3, 17, 18]])
def test_a_run_that_is_killed_at_any_page_brings_the_same_records(
    way: dict[str, Any], poison: list[int]
) -> None:
    registry = Lister(33, [] if "cursor" in way else poison)
    source = definition(4, **way)
    undisturbed = harvest(registry, source)

    killed: list[Page[Any]] = []
    cursor = None
    while not killed or cursor is not None:
        with open_client(registry) as fetch:
            killed.append(next(iter(collect(source, fetch, None, cursor))))
        cursor = killed[-1].cursor

    assert [page.items for page in killed] == [page.items for page in undisturbed]
    assert all(
        page.incomplete_reason == other.incomplete_reason
        for page, other in zip(killed, undisturbed, strict=True)
    )


def test_empty_pages_with_ever_new_cursors_end() -> None:
    numbers = iter(range(10_000))

    with pytest.raises(ParseError, match="page 101 in a row without a record"):
        harvest(
            lambda request: httpx.Response(
                200, content=json.dumps({"rows": [], "next": next(numbers) + 1})
            ),
            definition(total=False, cursor="after", next="next"),
        )


def test_pages_without_keys_are_distinguished_by_what_they_hold() -> None:
    registry = Lister(20)

    pages = harvest(registry, definition(page="page", key="nothing"))

    assert keys(pages) == [None] * 20


@pytest.mark.parametrize(
    ("later", "message"), [(19, "shrank from 30 to 19"), (31, "grew from 30 to 31")]
)
def test_a_total_that_changes_is_doubted(later: int, message: str) -> None:
    registry = Lister(30)

    def changing(request: httpx.Request) -> httpx.Response:
        if len(registry.request_log) == 1:
            registry.rows = Lister(later).rows
        return registry(request)

    assert message in str(harvest(changing, definition(page="page"))[-1].incomplete_reason)


@pytest.mark.parametrize("cursor", ["20 3", "nonsense", '{"v":0,"next":"2"}'])
def test_a_cursor_of_another_version_begins_the_list_anew(cursor: str) -> None:
    pages = harvest(Lister(15), definition(page="page"), cursor)

    assert len(keys(pages)) == 15
    assert all(page.again for page in pages)


def test_a_document_that_changed_since_its_cursor_may_bring_what_came_before() -> None:
    rows = Lister(MAX_RECORDS + 5).rows
    first = harvest(lambda request: httpx.Response(200, content=json.dumps(rows)), _whole())[0]

    anew = harvest(
        lambda request: httpx.Response(200, content=json.dumps(rows[1:])), _whole(), first.cursor
    )

    assert (first.again, [page.again for page in anew]) == (False, [True, True])


def _whole() -> Source:
    return Source(
        name="a", title="A", protocol="json", mapping="fields", licence="https://example.org/l",
        url="https://registry.example/api", fields={"title": "id"},
    )  # fmt: skip


def folder(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/api/":
        return httpx.Response(200, content=b'["a.json", "b.json", "c.json"]')
    return (
        httpx.Response(500)
        if request.url.path == "/api/b.json"
        else httpx.Response(200, content=b'{"id": "x"}')
    )


@pytest.mark.parametrize(("key", "doubted"), [(None, False), ("id", True)])
def test_a_file_that_crashes_its_server_is_unreadable_and_doubted_where_its_name_is_not_its_key(
    key: str | None, doubted: bool
) -> None:
    source = Source(
        name="a", title="A", protocol="json", mapping="fields", licence="https://example.org/l", url="https://registry.example/api/",
        options={"files": "@", **({"key": key} if key else {})}, fields={"title": "id"},
    )  # fmt: skip

    pages = harvest(folder, source)

    assert [type(item) for page in pages for item in page.items] == [Record, InvalidRecord, Record]
    assert (pages[-1].incomplete_reason is not None) == doubted


def out_of_service(_: bytes) -> httpx.Response:
    return httpx.Response(500, text="out of service")


def test_a_list_is_left_after_three_failures_of_the_server_for_neighbours() -> None:
    lister = Lister(100, poison=range(20, 100), spoil=out_of_service, size=10)

    with pytest.raises(ParseError, match="3 responses in a row cannot be read") as error:
        harvest(lister, definition(page="page"))

    assert 'answered 500 ("out of service")' in str(error.value)
    assert len(lister.request_log) < 20
