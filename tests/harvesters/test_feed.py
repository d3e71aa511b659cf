from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import simulated
from replay import crosswalks
from rows import each
from simulated import ScriptedRegistry, define_source

from harvesters.page_model import DeletedRecord, InvalidRecord, Page
from harvesters.pipeline.record_processor import check_compatible
from harvesters.reasons import Reason
from vocab.initiative import Document, Post

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
    answers: Mapping[str, bytes], *, cursor: str | None = None, since: datetime | None = None, **options: Any
) -> list[Page[Any]]:  # fmt: skip
    source = define_source("feed", "feed_entry", url=URL, options=options)
    return simulated.harvest(ScriptedRegistry(answers), source, since, cursor)


def keys(feed_pages: list[Page[Any]]) -> list[str | None]:
    return [key and key.removeprefix("urn:") for key in simulated.keys(feed_pages)]


ARCHIVES = {
    "/feed": atom("d", older="/2", day=9),
    "/2": atom("c", older="/1", day=8),
    "/1": atom("b", "a", day=7),
}


PAGED = {"/feed": atom("b", older="/2", relation="next"), "/2": atom("a")}
WHEN = datetime(2026, 1, 8, 12, tzinfo=UTC)


@each(
    "answers, how, expected, incomplete",
    [(ARCHIVES, {}, "dcba", [False] * 3), (PAGED, {}, "ba", [False, False]), (ARCHIVES, {"since": WHEN}, "dc", [False, False])],
)  # fmt: skip
def test_archives_and_pages_are_followed_to_the_oldest_that_is_wanted(
    answers: dict[str, bytes], how: dict[str, Any], expected: str, incomplete: list[bool]
) -> None:
    result = pages(answers, **how)

    assert (keys(result), result[-1].cursor) == ([*expected], None)
    assert [page.incomplete_reason is not None for page in result] == incomplete


@each("head, doubted", [("", True), ("<fh:complete/>", False)])
def test_a_feed_of_its_newest_entries_deletes_nothing_and_a_complete_one_may(
    head: str, doubted: bool
) -> None:
    (page,) = pages({"/feed": atom("a", head=head)})

    assert (page.incomplete_reason is not None) == doubted


def test_a_tombstone_is_a_deletion() -> None:
    head = '<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="x" when="2026-01-01T00:00:00Z"/>'

    (page,) = pages({"/feed": atom("a", head=head)})

    assert page.items[1] == DeletedRecord("x", "2026-01-01T00:00:00Z")


def test_entries_before_a_fault_are_read_and_the_harvest_is_incomplete() -> None:
    whole = atom("a", "b", head="<fh:complete/>")

    (page,) = pages({"/feed": whole.replace(b"<title>b", b"<title>&nope; b")[:-20]})

    assert keys([page]) == ["a", "b"]
    assert str(page.incomplete_reason).startswith("the feed is not well-formed: ")


@each(
    "item, key",
    [("<guid>http://a.example/1</guid>", "http://a.example/1"), ('<guid isPermaLink="false">1</guid>', "1"),
     ("<link>http://a.example/1</link>", "http://a.example/1")],
)  # fmt: skip
def test_an_item_of_rss_is_known_by_its_guid_else_by_its_link(item: str, key: str) -> None:
    rss = f'<rss version="2.0"><channel><title>T</title><item><title>A</title>{item}</item></channel></rss>'

    assert keys(pages({"/feed": rss.encode()})) == [key]


def test_a_million_blank_lines_before_a_feed_are_no_obstacle() -> None:
    content = b'<?xml version="1.0"?>' + b"\n" * 1_000_000 + atom("a", "b")

    assert keys(pages({"/feed": content})) == ["a", "b"]


def test_a_record_without_a_distinct_key_is_unreadable() -> None:
    (page,) = pages({"/feed": atom("a").replace(b"<id>urn:a</id>", b"")})

    assert page.items == (
        InvalidRecord(
            None,
            Reason("an entry with neither an identifier nor a link, titled %(title)s", title="'a'"),
        ),
    )


@each("kind, expected", [("post", Post), ("document", Document)])
def test_an_entry_is_a_post_or_what_the_definition_says(kind: str, expected: type) -> None:
    source = define_source("feed", "feed_entry", url=URL, options={"kind": kind})

    (record,) = simulated.items(pages({"/feed": atom("a")}, kind=kind))

    assert isinstance(check_compatible(source)[1].prepare(source, crosswalks())(record), expected)
