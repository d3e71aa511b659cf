"""Atom and RSS feeds: pages, archives, tombstones, and broken feeds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import replay
from rows import each
from simulated import open_client

from harvesters.compatibility import check_compatible
from harvesters.errors import HarvestError, ParseError
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record
from harvesters.reasons import Reason
from vocab.crosswalks import Crosswalks
from vocab.initiative import Document, Post

from .conftest import DefineSource

URL = "https://registry.example/feed"
HISTORY = 'xmlns:fh="http://purl.org/syndication/history/1.0"'


def atom(
    *keys: str, head: str = "", older: str = "", relation: str = "prev-archive", day: int = 1
) -> bytes:
    entries = "".join(
        f"<entry><id>urn:{key}</id><title>{key}</title><updated>2026-01-{day:02}T00:00:00Z</updated></entry>"
        for key in keys
    )
    link = f'<link rel="{relation}" href="{older}"/>' if older else ""
    return f'<feed xmlns="http://www.w3.org/2005/Atom" {HISTORY}><title>T</title>{link}{head}{entries}</feed>'.encode()


def pages(
    answers: Mapping[str, bytes],
    define_source: Any,
    *,
    cursor: str | None = None,
    since: datetime | None = None,
    **options: Any,
) -> list[Page[Any]]:
    def respond(request: httpx.Request) -> httpx.Response:
        content = answers.get(request.url.path)
        return httpx.Response(404) if content is None else httpx.Response(200, content=content)

    source = define_source("feed", "feed_entry", url=URL, options=options)
    with open_client(respond) as fetch:
        return list(check_compatible(source)[0].collect(source, fetch, since, cursor))


def keys(feed_pages: list[Page[Any]]) -> list[str | None]:
    return [
        item.key and item.key.removeprefix("urn:") for page in feed_pages for item in page.items
    ]


ARCHIVES = {
    "/feed": atom("d", older="/2", day=9),
    "/2": atom("c", older="/1", day=8),
    "/1": atom("b", "a", day=7),
}


def test_archives_are_followed_to_the_oldest(define_source: DefineSource) -> None:
    result = pages(ARCHIVES, define_source)

    assert (keys(result), [page.incomplete_reason for page in result], result[-1].cursor) == (
        ["d", "c", "b", "a"],
        [None] * 3,
        None,
    )


def test_pages_are_followed_as_archives_are(define_source: DefineSource) -> None:
    assert keys(
        pages({"/feed": atom("b", older="/2", relation="next"), "/2": atom("a")}, define_source)
    ) == ["b", "a"]


def test_a_run_goes_on_behind_each_page_that_was_kept(define_source: DefineSource) -> None:
    whole = pages(ARCHIVES, define_source)

    assert keys(pages(ARCHIVES, define_source, cursor=whole[0].cursor)) == ["c", "b", "a"]


def test_archives_older_than_the_last_run_are_not_asked_for(define_source: DefineSource) -> None:
    assert keys(pages(ARCHIVES, define_source, since=datetime(2026, 1, 8, 12, tzinfo=UTC))) == [
        "d",
        "c",
    ]


def test_a_definition_may_leave_archives_alone(define_source: DefineSource) -> None:
    result = pages(ARCHIVES, define_source, archives=False)

    assert (keys(result), result[0].incomplete_reason is not None) == (["d"], True)


@pytest.mark.parametrize(("head", "doubted"), [("", True), ("<fh:complete/>", False)])
def test_a_feed_of_its_newest_entries_deletes_nothing_and_a_complete_one_may(
    head: str, doubted: bool, define_source: DefineSource
) -> None:
    (page,) = pages({"/feed": atom("a", head=head)}, define_source)

    assert (page.incomplete_reason is not None) == doubted


def test_a_tombstone_is_a_deletion(define_source: DefineSource) -> None:
    head = '<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="x" when="2026-01-01T00:00:00Z"/>'

    (page,) = pages({"/feed": atom("a", head=head)}, define_source)

    assert page.items[1] == DeletedRecord("x", "2026-01-01T00:00:00Z")


@pytest.mark.parametrize("older", ["/feed", "/2"])
def test_archives_that_lead_in_a_circle_end(older: str, define_source: DefineSource) -> None:
    with pytest.raises(ParseError, match="repeats"):
        pages({"/feed": atom("a", older="/2"), "/2": atom("b", older=older)}, define_source)


def test_a_feed_that_has_not_changed_is_not_read_again(define_source: DefineSource) -> None:
    source = define_source("feed", "feed_entry", url=URL)
    with open_client(lambda request: httpx.Response(304)) as fetch:
        (page,) = check_compatible(source)[0].collect(source, fetch, None)

    assert page.unchanged


def test_entries_before_a_fault_are_read_and_the_harvest_is_incomplete(
    define_source: DefineSource,
) -> None:
    (page,) = pages(
        {
            "/feed": atom("a", "b", head="<fh:complete/>").replace(b"<title>b", b"<title>&nope; b")[
                :-20
            ]
        },
        define_source,
    )

    assert keys([page]) == ["a", "b"]
    assert str(page.incomplete_reason).startswith("the feed is not well-formed: ")


@pytest.mark.parametrize(
    "item",
    ["<guid>http://a.example/1</guid>", '<guid isPermaLink="false">1</guid>', "<link>http://a.example/1</link>"],
)  # fmt: skip
def test_an_item_of_rss_is_known_by_its_guid_else_by_its_link(
    item: str, define_source: DefineSource
) -> None:
    rss = f'<rss version="2.0"><channel><title>T</title><item><title>A</title>{item}</item></channel></rss>'

    (page,) = pages({"/feed": rss.encode()}, define_source)

    assert [type(element) for element in page.items] == [Record]


def test_a_million_blank_lines_before_a_feed_are_no_obstacle(define_source: DefineSource) -> None:
    content = b'<?xml version="1.0"?>' + b"\n" * 1_000_000 + atom("a", "b")

    assert keys(pages({"/feed": content}, define_source)) == ["a", "b"]


def test_a_record_without_a_distinct_key_is_unreadable(define_source: DefineSource) -> None:
    (page,) = pages({"/feed": atom("a").replace(b"<id>urn:a</id>", b"")}, define_source)

    assert page.items == (InvalidRecord(None, Reason("feed_entry_without_key", {"title": "'a'"})),)


@each(
    "message, text",
    [(b"<!DOCTYPE a [<!ENTITY b 'c'>]><feed/>", "DOCTYPE, which is refused"), (b"<html><title>Back soon</title></html>", "an HTML page"),
     (b'{"a": 1}', "neither Atom nor RSS"), (b"<a/>", "neither Atom nor RSS"), (b"", "empty response")],
)  # fmt: skip
def test_what_is_no_feed_is_reported(
    message: bytes, text: str, define_source: DefineSource
) -> None:
    with pytest.raises(ParseError, match=text):
        pages({"/feed": message}, define_source)


@pytest.mark.parametrize(("kind", "expected"), [("post", Post), ("document", Document)])
def test_an_entry_is_a_post_or_what_the_definition_says(
    kind: str, expected: type[Post] | type[Document], define_source: DefineSource, words: Crosswalks
) -> None:
    source = define_source("feed", "feed_entry", url=URL, options={"kind": kind})

    with open_client(lambda request: httpx.Response(200, content=atom("a"))) as fetch:
        (page,) = check_compatible(source)[0].collect(source, fetch, None)

    (record,) = page.items
    assert isinstance(record, Record)
    assert isinstance(check_compatible(source)[1].prepare(source, words)(record), expected)


# Of the real feeds: entries that came, and those that could be mapped; the others have neither an
# identifier nor a link.
TRUTH = {"rss": (20, 12), "broken": (10, 1)}


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
@pytest.mark.parametrize("folder", TRUTH)
def test_every_real_feed_is_read_or_reported(
    folder: str, define_source: DefineSource, words: Crosswalks
) -> None:
    source = define_source("feed", "feed_entry", url=URL)
    read = check_compatible(source)[1].prepare(source, words)
    received = mapped = 0
    for file in sorted((replay.FEEDS / folder).iterdir()):
        try:
            result = pages({"/feed": file.read_bytes()}, define_source)
        except HarvestError as error:
            assert str(error).startswith(URL)  # noqa: PT017
            continue
        items = [item for page in result for item in page.items]
        received += len(items)
        mapped += sum(bool(read(item).key) for item in items if isinstance(item, Record))

    assert (received, mapped) == TRUTH[folder]
