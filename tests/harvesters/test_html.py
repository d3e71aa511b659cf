"""HTML lists: entries by XPath, detail pages, and next pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from simulated import open_client

from harvesters.compatibility import check_compatible
from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.page_model import InvalidRecord, Page, Record

from .conftest import DefineSource

URL = "https://registry.example/list"
OPTIONS = {"records": "//li", "key": "a/@id"}


def listed(*entries: str, after: str = "") -> str:
    items = "".join(f'<li><a id="{entry}" href="/p/{entry}">{entry}</a></li>' for entry in entries)
    link = f'<a rel="next" href="{after}">more</a>' if after else ""
    return f"<!DOCTYPE html><html><head><title>List</title><script>var x = 1</script></head><body><ul>{items}</ul>{link}</body></html>"


def pages(
    answers: Mapping[str, str],
    define_source: Any,
    *,
    cursor: str | None = None,
    options: Mapping[str, Any] = OPTIONS,
) -> list[Page[Any]]:
    def respond(request: httpx.Request) -> httpx.Response:
        content = answers.get(request.url.path)
        return httpx.Response(404) if content is None else httpx.Response(200, html=content)

    source = define_source("html", url=URL, options=dict(options), fields={"title": "a"})
    with open_client(respond) as fetch:
        return list(check_compatible(source)[0].collect(source, fetch, None, cursor))


def keys(html_pages: list[Page[Any]]) -> list[str | None]:
    return [item.key for page in html_pages for item in page.items]


def test_the_entries_of_a_list_and_of_its_next_pages_are_records(
    define_source: DefineSource,
) -> None:
    options = {**OPTIONS, "next": "//a[@rel = 'next']/@href"}

    result = pages(
        {"/list": listed("a", "b", after="/more"), "/more": listed("c")},
        define_source,
        options=options,
    )

    assert (keys(result), result[-1].cursor) == (["a", "b", "c"], None)


def test_a_run_goes_on_with_the_next_page(define_source: DefineSource) -> None:
    options = {**OPTIONS, "next": "//a[@rel = 'next']/@href"}
    answers = {"/list": listed("a", after="/more"), "/more": listed("b")}
    cursor = pages(answers, define_source, options=options)[0].cursor

    assert keys(pages(answers, define_source, cursor=cursor, options=options)) == ["b"]


def test_the_page_of_each_entry_is_read_in_its_place(define_source: DefineSource) -> None:
    answers = {
        "/list": listed("a", "b"),
        "/p/a": "<html><body><h1>A</h1><input value='7'></body></html>",
    }

    (page,) = pages(answers, define_source, options={"records": "//li", "details": "a/@href"})

    record, lost = page.items
    assert isinstance(record, Record)
    assert (record.key, record.payload.findtext("body/h1"), b"input" in record.raw) == (
        "https://registry.example/p/a",
        "A",
        False,
    )
    assert (type(lost), lost.key) == (InvalidRecord, "https://registry.example/p/b")
    assert page.incomplete_reason


def test_many_pages_of_entries_are_kept_in_parts(define_source: DefineSource) -> None:
    names = [f"e{number}" for number in range(70)]
    answers = {
        "/list": listed(*names),
        **{f"/p/{name}": f"<html><body>{name}</body></html>" for name in names},
    }
    options = {"records": "//li", "details": "a/@href"}

    result = pages(answers, define_source, options=options)

    assert [len(page.items) for page in result] == [50, 20]
    assert (
        keys(pages(answers, define_source, cursor=result[0].cursor, options=options))
        == keys(result)[50:]
    )


def test_what_a_page_shows_to_no_one_is_no_change(define_source: DefineSource) -> None:
    one, two = (
        pages({"/list": listed("a").replace("var x = 1", f"var x = {number}")}, define_source)[
            0
        ].items[0]
        for number in (1, 2)
    )

    assert isinstance(one, Record)
    assert isinstance(two, Record)
    assert one.raw == two.raw


def test_a_digest_of_texts_is_a_key(define_source: DefineSource) -> None:
    (page,) = pages(
        {"/list": listed("a", "b")},
        define_source,
        options={"records": "//li", "digest": ["a", "a/@href"]},
    )

    assert len({item.key for item in page.items}) == 2


def test_an_entry_without_a_key_is_unreadable(define_source: DefineSource) -> None:
    (page,) = pages({"/list": listed("a", "")}, define_source)

    assert [type(item).__name__ for item in page.items] == ["Record", "InvalidRecord"]


@pytest.mark.parametrize(
    ("answers", "message"),
    [({"/list": ""}, "empty response"), ({"/list": listed()}, "holds no record at '//li'"),
     ({"/list": listed("a", after="/list")}, "repeats")],
)  # fmt: skip
def test_a_list_that_cannot_be_read_ends_the_run(
    answers: dict[str, str], message: str, define_source: DefineSource
) -> None:
    with pytest.raises(ParseError, match=message):
        pages(answers, define_source, options={**OPTIONS, "next": "//a[@rel = 'next']/@href"})


@pytest.mark.parametrize(
    ("options", "message"),
    [({"records": "//li["}, "not an XPath"), ({"records": "//li"}, "records have no key"), ({"key": "a"}, "'records' is missing")],
)  # fmt: skip
def test_a_definition_that_cannot_work_is_refused(
    options: dict[str, str], message: str, define_source: DefineSource
) -> None:
    with pytest.raises(SourceDefinitionError, match=message):
        check_compatible(define_source("html", url=URL, options=options))
