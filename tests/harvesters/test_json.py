from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from rows import each
from simulated import ScriptedRegistry, define_source, harvest, items, keys

from harvesters.errors import ParseError
from harvesters.page_model import InvalidRecord, Record
from harvesters.protocols import document

URL = "https://registry.example/api"


def rows(*names: object) -> list[dict[str, object]]:
    return [{"id": key, "name": key} for key in names]


@each(
    "claim, options, answers, expected",
    [("a bare list is read whole", {}, {"": rows("a", 2)}, ["a", "2"]),
     ("an object keyed by ids is read as its values", {"records": "projects", "total": "total"},
      {"": {"total": "2", "projects": {"P1": {"id": "P1"}, "P2": {"name": "b"}}}}, ["P1", "P2"]),
     ("pages are asked for until the total is reached", {"page": "page", "limit": "limit", "size": 2, "records": "rows", "total": "n"},
      {"limit=2&page=1": {"n": 3, "rows": rows("a", "b")}, "limit=2&page=2": {"n": 3, "rows": rows("c")}}, ["a", "b", "c"]),
     ("without a total pages are asked for until one is empty", {"page": "p", "first": 0},
      {"p=0": rows("a", "b"), "p=1": rows("c"), "p=2": []}, ["a", "b", "c"]),
     ("an offset goes on by what came, not by what was asked", {"offset": "os", "size": 50},
      {"os=0": rows("a", "b"), "os=2": rows("c"), "os=3": []}, ["a", "b", "c"]),
     ("a cursor is handed back until there is none", {"cursor": "after", "next": "next", "records": "d"},
      {"": {"d": rows("a"), "next": "x y"}, "after=x+y": {"d": rows("b"), "next": None}}, ["a", "b"]),
     *(("a next link is followed, absolute or not", {"next": "next", "records": "d"},
        {"": {"d": rows("a"), "next": link}, "page=2": {"d": rows("b"), "next": ""}}, ["a", "b"])
       for link in ("?page=2", "/api?page=2", f"{URL}?page=2")),
     ("a byte order mark is passed over", {}, {"": b'\xef\xbb\xbf[{"id": "a"}]'}, ["a"]),
     ("a record without a key or that is no object is unreadable", {},
      {"": [{"name": "x"}, {"id": None}, {"id": True}, "text", None, {"id": " a "}]}, [None, None, None, None, None, "a"])],
)  # fmt: skip
def test_a_list_is_read_to_its_end(
    claim: str, options: dict[str, Any], answers: dict[str, Any], expected: list[str | None]
) -> None:
    server = ScriptedRegistry(answers)

    pages = harvest(server, define_source(options=options))

    assert keys(pages) == expected, claim
    assert pages[-1].cursor is None
    assert {*server.request_log} == {*answers} or "" in answers
    assert pages[0].reported_total == {"total": 2, "n": 3}.get(options.get("total", ""))


def test_a_folder_is_read_file_by_file_with_its_stems_as_keys() -> None:
    server = ScriptedRegistry({"/api/index.json": {"files": ["b.json", "a%20c.json"]}, "/api/b.json": {"n": 1},
    "/api/a c.json": {"n": 2}})  # fmt: skip
    source = define_source(url=f"{URL}/index.json", options={"files": "files"})

    pages = harvest(server, source)

    assert keys(pages) == ["a c", "b"]
    assert {page.reported_total for page in pages} == {2}
    assert keys(harvest(server, source, cursor=pages[0].cursor)) == ["b"]


def test_a_broken_or_missing_file_is_unreadable_and_stops_nothing() -> None:
    server = ScriptedRegistry({"/api/": ["a.json", "b.json", "c.json"], "/api/a.json": b"{", "/api/c.json": {"n": 1}})  # fmt: skip

    broken, missing, good = items(
        harvest(server, define_source(url=f"{URL}/", options={"files": "@"}))
    )

    assert [type(item) for item in (broken, missing, good)] == [InvalidRecord, InvalidRecord, Record]  # fmt: skip
    assert "404" in missing.reason


@each(
    "options, url, since, request",
    [({"since": "changed", "since_format": "%Y-%m-%d %H:%M"}, URL, datetime(2026, 3, 1, tzinfo=UTC), "changed=2026-02-28+23%3A59"),
     ({"page": "page"}, f"{URL}?tag=a&tag=b", None, "tag=a&tag=b&page=1")],
)  # fmt: skip
def test_since_has_the_definitions_form_and_the_arguments_of_its_url_stay(
    options: dict[str, str], url: str, since: Any, request: str
) -> None:
    server = ScriptedRegistry({request: []})

    harvest(server, define_source(url=url, options=options), since)

    assert server.request_log == [request]


def test_a_large_document_is_cut_and_taken_up_in_the_middle_unless_it_changed() -> None:
    size = document.MAX_RECORDS
    many = rows(*(str(number) for number in range(size + 5)))
    pages = harvest(ScriptedRegistry({"": many}), define_source())

    again = harvest(ScriptedRegistry({"": many}), define_source(), cursor=pages[0].cursor)
    changed = harvest(ScriptedRegistry({"": many[:-1]}), define_source(), cursor=pages[0].cursor)

    assert [len(page.items) for page in pages] == [size, 5]
    assert keys(again) == [str(number) for number in range(size, size + 5)]
    assert len(keys(changed)) == size + 4


def test_the_raw_bytes_do_not_depend_on_the_order_of_names() -> None:
    server = ScriptedRegistry({"": b'[{"id": 1, "a": 2}, {"a": 2, "id": 1}]'})

    one, two = items(harvest(server, define_source()))

    assert one.raw == two.raw


@each(
    "text, reason",
    [(b"NaN", "NaN, which is not JSON"), (b"-Infinity", "-Infinity"), (b'"\\ud800"', "surrogate")],
)
def test_what_json_forbids_makes_one_record_unreadable(text: bytes, reason: str) -> None:
    server = ScriptedRegistry({"": b'[{"id": "a", "x": ' + text + b'}, {"id": "b"}]'})

    broken, good = items(harvest(server, define_source()))

    assert reason in broken.reason
    assert good.key == "b"


@each(
    "options, document, message",
    [({"page": "page"}, lambda number: rows("a"), "repeats the records"),
     ({"cursor": "c", "next": "next", "records": "d"}, lambda number: {"d": rows(number), "next": "same"}, "repeats 'same'")],
)  # fmt: skip
def test_pages_and_cursors_that_repeat_are_reported(
    options: dict[str, str], document: Any, message: str
) -> None:
    numbers = iter(range(100))
    server = ScriptedRegistry(lambda request: httpx.Response(200, json=document(next(numbers))))

    with pytest.raises(ParseError, match=message):
        harvest(server, define_source(options=options))
