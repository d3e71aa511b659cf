from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from simulated import ScriptedRegistry, define_source, harvest, items, keys

from harvesters.page_model import InvalidRecord, Page, Record

URL = "https://registry.example/list"


DETAILS = {"records": "//li", "details": "a/@href"}
OPTIONS = {"records": "//li", "key": "a/@id"}
NEXT = {**OPTIONS, "next": "//a[@rel = 'next']/@href"}


def listed(*entries: str, after: str = "") -> str:
    items = "".join(f'<li><a id="{entry}" href="/p/{entry}">{entry}</a></li>' for entry in entries)
    link = f'<a rel="next" href="{after}">more</a>' if after else ""
    return f"<!DOCTYPE html><html><head><title>List</title><script>var x = 1</script></head><body><ul>{items}</ul>{link}</body></html>"


def pages(answers: Mapping[str, str], options: Mapping[str, Any] = OPTIONS) -> list[Page[Any]]:
    site = {path: httpx.Response(200, html=content) for path, content in answers.items()}
    source = define_source("html", url=URL, options=dict(options), fields={"title": "a"})
    return harvest(ScriptedRegistry(site), source)


def test_the_entries_of_a_list_and_of_its_next_pages_are_records() -> None:
    answers = {"/list": listed("a", "b", after="/more"), "/more": listed("c")}

    result = pages(answers, NEXT)

    assert (keys(result), result[-1].cursor) == (["a", "b", "c"], None)


def test_what_a_page_shows_to_no_one_is_no_change() -> None:
    texts = [listed("a").replace("var x = 1", f"var x = {number}") for number in (1, 2)]

    one, two = (items(pages({"/list": text}))[0] for text in texts)

    assert one.raw == two.raw


def test_a_digest_of_texts_is_a_key_and_an_entry_without_one_is_unreadable() -> None:
    options = {"records": "//li", "digest": ["a", "a/@href"]}

    assert len({*keys(pages({"/list": listed("a", "b")}, options))}) == 2

    result = items(pages({"/list": listed("a", "")}))

    assert [type(item) for item in result] == [Record, InvalidRecord]


def test_the_page_of_each_entry_is_read_in_its_place() -> None:
    detail = "<html><body><h1>A</h1><input value='7'></body></html>"

    (page,) = pages({"/list": listed("a", "b"), "/p/a": detail}, DETAILS)

    record, lost = page.items
    assert isinstance(record, Record)
    assert (record.payload.findtext("body/h1"), b"input" in record.raw) == ("A", False)
    assert [item.key for item in page.items] == [f"https://registry.example/p/{name}" for name in "ab"]  # fmt: skip
    assert isinstance(lost, InvalidRecord)
    assert page.incomplete_reason
