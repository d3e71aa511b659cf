from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from rows import each
from simulated import Site, define_source, harvest, items

from harvesters.errors import ParseError
from harvesters.page_model import Page, Payload
from harvesters.pipeline.record_processor import check_compatible
from harvesters.source import Source

HOST = "https://registry.example"
SINCE = datetime(2026, 2, 1, tzinfo=UTC)


def document(capability: str, *entries: str, index: bool = False, begin: str = "") -> bytes:
    root, output = ("sitemapindex" if index else "urlset"), (f' from="{begin}"' if begin else "")
    names = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:rs="http://www.openarchives.org/rs/terms/"'
    header = f'<rs:ln rel="up" href="{HOST}/cap"/><rs:md capability="{capability}"{output}/>'
    return f"<{root} {names}>{header}{''.join(entries)}</{root}>".encode()


def entry(path: str, stamp: str = "", /, part: str = "url", **md: str) -> str:
    content = "".join(f' {name}="{text}"' for name, text in md.items())
    return f"<{part}><loc>{HOST}/{path}</loc>{f'<lastmod>{stamp}</lastmod>' if stamp else ''}<rs:md{content}/></{part}>"


def source(url: str = "desc", **options: Any) -> Source:
    return define_source(
        "resourcesync", url=f"{HOST}/{url}", fields={"title": "name"}, options=options
    )


def summary(pages: Iterable[Page[Any]]) -> list[tuple[str, str]]:
    return [(str(item.key).removeprefix(f"{HOST}/"), type(item).__name__) for item in items(pages)]


def site(**more: object) -> Site:
    return Site({
        "desc": document("description", entry("cap", capability="capabilitylist")),
        "cap": document("capabilitylist", entry("all", capability="resourcelist"), entry("changes", capability="changelist")),
        "all": document("resourcelist", entry("two", part="sitemap"), entry("one", part="sitemap"), index=True),
        "one": document("resourcelist", entry("b", "2026-01-02"), entry("a", "2026-02-03")),
        "two": document("resourcelist", entry("c", "2026-01-01")),
        "changes": document(
            "changelist",
            entry("a", change="created", datetime="2026-01-03T00:00:00Z"),
            entry("a", change="updated", datetime="2026-02-03T00:00:00Z"),
            entry("d", change="updated", datetime="2026-02-04T00:00:00Z"),
            entry("d", change="deleted", datetime="2026-02-05T00:00:00Z"),
            begin="2026-01-01T00:00:00Z",
        ),
        **{name: {"name": name} for name in "abc"},
        **more,
    })  # fmt: skip


def test_all_resources_come_by_their_lists() -> None:
    pages = harvest(site(), source())

    assert summary(pages) == [("a", "Record"), ("b", "Record"), ("c", "Record")]
    assert [item.modified for item in items(pages)] == ["2026-02-03", "2026-01-02", "2026-01-01"]
    assert (pages[-1].cursor, pages[-1].incomplete_reason) == (None, None)


@each("url", ["cap", "all", "one"])
def test_the_definition_may_name_any_document_on_the_way(url: str) -> None:
    assert summary(harvest(site(), source(url)))[:2] == [("a", "Record"), ("b", "Record")]


def test_changes_are_taken_from_the_change_list_the_newest_of_each() -> None:
    registry = site()

    pages = harvest(registry, source(), SINCE)

    assert summary(pages) == [("a", "Record"), ("d", "DeletedRecord")]
    assert not {"all", "b", "c", "d"} & set(registry.request_log)


def test_a_change_list_that_begins_later_is_no_help_so_the_resource_lists_are_read() -> None:
    deleted = entry("d", change="deleted", datetime="2026-02-05T00:00:00Z")
    late = document("changelist", deleted, begin="2026-02-04T00:00:00Z")

    assert summary(harvest(site(changes=late), source(), SINCE)) == [("a", "Record")]


@each(
    "kind, content, payload",
    [("xml", b"<a/>", Payload.XML), ("rdf", b"<https://registry.example/x> a <http://schema.org/Project> .", Payload.GRAPH)],
)  # fmt: skip
def test_resources_are_what_the_definition_says(
    kind: str, content: bytes, payload: Payload
) -> None:
    source = define_source(
        "resourcesync", url=f"{HOST}/two", fields={"title": "'x'"}, options={"format": kind}
    )

    assert summary(harvest(site(c=content), source)) == [("c", "Record")]
    assert check_compatible(source)[0].payload_type is payload


@each(
    "pages, why",
    [({"cap": document("capabilitylist")}, "leads to no resource list"),
     ({"all": document("resourcelist", entry("all", part="sitemap"), index=True)}, "repeats 'https://registry.example/all'")],
)  # fmt: skip
def test_what_leads_to_no_list_is_reported(pages: dict[str, bytes], why: str) -> None:
    with pytest.raises(ParseError, match=why):
        harvest(site(**pages), source())
