"""JSON APIs: five kinds of paging, and their faults."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.page_model import InvalidRecord, Page, Record
from harvesters.protocols import paged_document
from harvesters.protocols.json_api.harvest import check, collect
from harvesters.source import Source
from harvesters.stored_response import Validator

from .conftest import DefineSource, Registry, ScriptedRegistry

URL = "https://registry.example/api"


def rows(*keys: object) -> list[dict[str, object]]:
    return [{"id": key, "name": key} for key in keys]


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def keys(pages: Iterable[Page[Any]]) -> list[Any]:
    return [item.key for page in pages for item in page.items]


def harvest(
    server: ScriptedRegistry,
    source: Source,
    since: datetime | None = None,
    cursor: str | None = None,
) -> list[Page[Any]]:
    with server.open_client() as fetch:
        return list(collect(source, fetch, since, cursor))


def test_a_bare_list_is_read_whole(define_source: DefineSource, registry: Registry) -> None:
    pages = harvest(registry({"": as_json(rows("a", 2))}), define_source())

    assert keys(pages) == ["a", "2"]
    assert pages[-1].cursor is None


def test_an_object_keyed_by_ids_is_read_as_its_values(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        {"": as_json({"total": "2", "projects": {"P1": {"id": "P1"}, "P2": {"name": "b"}}})}
    )

    pages = harvest(server, define_source(options={"records": "projects", "total": "total"}))

    assert keys(pages) == ["P1", "P2"]
    assert pages[0].reported_total == 2


def test_pages_are_asked_for_until_the_total_is_reached(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        {
            "limit=2&page=1": as_json({"n": 3, "rows": rows("a", "b")}),
            "limit=2&page=2": as_json({"n": 3, "rows": rows("c")}),
        }
    )

    pages = harvest(
        server,
        define_source(
            options={"page": "page", "limit": "limit", "size": 2, "records": "rows", "total": "n"}
        ),
    )

    assert keys(pages) == ["a", "b", "c"]


def test_without_a_total_pages_are_asked_for_until_one_is_empty(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        {"p=0": as_json(rows("a", "b")), "p=1": as_json(rows("c")), "p=2": as_json([])}
    )

    pages = harvest(server, define_source(options={"page": "p", "first": 0}))

    assert keys(pages) == ["a", "b", "c"]
    assert server.request_log == ["p=0", "p=1", "p=2"]


def test_an_offset_goes_on_by_what_came_not_by_what_was_asked(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        {"os=0": as_json(rows("a", "b")), "os=2": as_json(rows("c")), "os=3": as_json([])}
    )

    pages = harvest(server, define_source(options={"offset": "os", "size": 50}))

    assert keys(pages) == ["a", "b", "c"]


def test_a_cursor_is_handed_back_until_there_is_none(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        {
            "": as_json({"d": rows("a"), "next": "x y"}),
            "after=x+y": as_json({"d": rows("b"), "next": None}),
        }
    )

    pages = harvest(
        server, define_source(options={"cursor": "after", "next": "next", "records": "d"})
    )

    assert keys(pages) == ["a", "b"]


@pytest.mark.parametrize("link", ["?page=2", "/api?page=2", f"{URL}?page=2"])
def test_a_next_link_is_followed_absolute_or_not(
    link: str, define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        {
            "": as_json({"d": rows("a"), "next": link}),
            "page=2": as_json({"d": rows("b"), "next": ""}),
        }
    )

    pages = harvest(server, define_source(options={"next": "next", "records": "d"}))

    assert keys(pages) == ["a", "b"]


def test_a_run_goes_on_after_any_page(define_source: DefineSource, registry: Registry) -> None:
    server = registry(
        {"page=1": as_json(rows("a")), "page=2": as_json(rows("b")), "page=3": as_json([])}
    )
    source = define_source(options={"page": "page"})

    first = harvest(server, source)[0]
    rest = harvest(server, source, cursor=first.cursor)

    assert keys(rest) == ["b"]


def test_a_folder_is_read_file_by_file_with_its_stems_as_keys(
    define_source: DefineSource, registry: Registry
) -> None:
    index = as_json({"files": ["b.json", "a%20c.json"]})
    server = registry(
        {
            "/api/index.json": index,
            "/api/b.json": as_json({"n": 1}),
            "/api/a c.json": as_json({"n": 2}),
        }
    )

    pages = harvest(server, define_source(url=f"{URL}/index.json", options={"files": "files"}))

    assert keys(pages) == ["a c", "b"]
    assert {page.reported_total for page in pages} == {2}
    assert keys(
        harvest(
            server,
            define_source(url=f"{URL}/index.json", options={"files": "files"}),
            cursor=pages[0].cursor,
        )
    ) == ["b"]


def test_a_broken_or_missing_file_is_unreadable_and_stops_nothing(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        {
            "/api/": as_json(["a.json", "b.json", "c.json"]),
            "/api/a.json": b"{",
            "/api/c.json": as_json({"n": 1}),
        }
    )

    pages = harvest(server, define_source(url=f"{URL}/", options={"files": "@"}))

    assert [type(item).__name__ for page in pages for item in page.items] == [
        "InvalidRecord",
        "InvalidRecord",
        "Record",
    ]
    lost = pages[1].items[0]
    assert isinstance(lost, InvalidRecord)
    assert "404" in lost.reason


def test_since_is_asked_in_the_definitions_form_with_a_second_of_overlap(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"changed=2026-02-28+23%3A59": as_json([])})
    options = {"since": "changed", "since_format": "%Y-%m-%d %H:%M"}

    harvest(server, define_source(options=options), datetime(2026, 3, 1, tzinfo=UTC))

    assert server.request_log == ["changed=2026-02-28+23%3A59"]


def test_a_document_that_has_not_changed_says_so(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        lambda request: httpx.Response(
            304 if request.headers.get("if-none-match") == '"1"' else 200
        )
    )

    with server.open_client(validators={URL: Validator('"1"', None)}) as fetch:
        (page,) = collect(define_source(), fetch, None)

    assert page.unchanged
    assert page.items == ()


def test_a_large_document_is_cut_and_taken_up_in_the_middle_unless_it_changed(
    define_source: DefineSource, registry: Registry
) -> None:
    size = paged_document.MAX_RECORDS
    many = rows(*(str(number) for number in range(size + 5)))
    pages = harvest(registry({"": as_json(many)}), define_source())

    again = harvest(registry({"": as_json(many)}), define_source(), cursor=pages[0].cursor)
    changed = harvest(registry({"": as_json(many[:-1])}), define_source(), cursor=pages[0].cursor)

    assert [len(page.items) for page in pages] == [size, 5]
    assert keys(again) == [str(number) for number in range(size, size + 5)]
    assert len(keys(changed)) == size + 4


def test_the_raw_bytes_do_not_depend_on_the_order_of_names(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": b'[{"id": 1, "a": 2}, {"a": 2, "id": 1}]'})

    (page,) = harvest(server, define_source())

    one, two = page.items
    assert isinstance(one, Record)
    assert isinstance(two, Record)
    assert one.raw == two.raw


def test_a_byte_order_mark_is_passed_over(define_source: DefineSource, registry: Registry) -> None:
    server = registry({"": b"\xef\xbb\xbf" + as_json(rows("a"))})

    assert keys(harvest(server, define_source())) == ["a"]


def test_another_charset_is_reported_and_can_be_named(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": json.dumps([{"id": "é"}], ensure_ascii=False).encode("latin-1")})

    with pytest.raises(ParseError, match=r"not utf-8 at byte 9 \(e9\); name its charset"):
        harvest(server, define_source())

    assert keys(harvest(server, define_source(options={"charset": "latin-1"}))) == ["é"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [(b"NaN", "NaN, which is no JSON"), (b"-Infinity", "-Infinity"), (b'"\\ud800"', "surrogate")],
)
def test_what_json_forbids_makes_one_record_unreadable(
    text: bytes, reason: str, define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": b'[{"id": "a", "x": ' + text + b'}, {"id": "b"}]'})

    (page,) = harvest(server, define_source())

    assert isinstance(page.items[0], InvalidRecord)
    assert reason in page.items[0].reason
    assert page.items[1].key == "b"


def test_a_record_without_a_key_or_that_is_no_object_is_unreadable(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        {"": as_json([{"name": "x"}, {"id": None}, {"id": True}, "text", None, {"id": " a "}])}
    )

    (page,) = harvest(server, define_source())

    assert [item.key for item in page.items] == [None, None, None, None, None, "a"]


def test_pages_that_repeat_are_reported(define_source: DefineSource, registry: Registry) -> None:
    server = registry(lambda request: httpx.Response(200, content=as_json(rows("a"))))

    with pytest.raises(ParseError, match="repeats the records"):
        harvest(server, define_source(options={"page": "page"}))


def test_a_cursor_that_repeats_is_reported(define_source: DefineSource, registry: Registry) -> None:
    numbers = iter(range(100))
    server = registry(
        lambda request: httpx.Response(
            200, content=as_json({"d": rows(next(numbers)), "next": "same"})
        )
    )

    with pytest.raises(ParseError, match="repeats the cursor 'same'"):
        harvest(server, define_source(options={"cursor": "c", "next": "next", "records": "d"}))


@pytest.mark.parametrize(
    ("message", "text"),
    [(b"<!DOCTYPE html><html></html>", "HTML page where JSON was expected"), (b'[{"id": 1},', r"not JSON: .* at line 1, column"),
     (b'{"rows": 3}', "holds no records at 'rows'"), (b'{"other": [], "error": "no"}', "it is an object with error, other"),
     (b"3", "it is int")],
)  # fmt: skip
def test_an_answer_without_records_is_reported(
    message: bytes, text: str, define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"page=1": message})

    with pytest.raises(ParseError, match=text):
        harvest(server, define_source(options={"records": "rows", "page": "page"}))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"page": "p", "offset": "o"}, "both define paging"), ({"cursor": "c"}, "needs 'next'"), ({"records": "a["}, "is no JMESPath")],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(
    options: dict[str, str], message: str, define_source: DefineSource
) -> None:
    with pytest.raises(SourceDefinitionError, match=message):
        check(define_source(options=options))


def test_the_arguments_of_the_definitions_url_stay_repeated_ones_too(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"tag=a&tag=b&page=1": as_json([])})

    harvest(server, define_source(url=f"{URL}?tag=a&tag=b", options={"page": "page"}))

    assert server.request_log == ["tag=a&tag=b&page=1"]
