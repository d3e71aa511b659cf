"""Structured data in web pages, found by sitemaps."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import replay
from rdf_terms import value

from harvesters.compatibility import check_compatible
from harvesters.errors import ForbiddenError, ParseError, SourceDefinitionError, UnavailableError
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record
from harvesters.payloads.property_path import compile_path
from harvesters.source import Source

from .conftest import DefineSource
from .simulated import Site, harvest, items

HOST = "https://registry.example"
JSON_LD = '<html><head><script type="application/ld+json">{"@context":"https://schema.org","@type":"Project","name":"Wells","url":"/w"}</script>'
MICRODATA = """<html><body><div itemscope itemtype="https://schema.org/Event"><h1 itemprop="name">Forum</h1>
<a itemprop="url" href="/forum">more</a><div itemprop="location" itemscope itemtype="https://schema.org/Place">
<span itemprop="name">Hall</span></div></div></body></html>"""
RDFA = """<html><body vocab="http://schema.org/" typeof="Article" resource="#this"><h1 property="name" lang="fr">Puits</h1></body></html>"""


def sitemap(*pages: str, kind: str = "url", stamps: dict[str, str] | None = None) -> bytes:
    text = "".join(
        f"<{kind}><loc>{HOST}{page}</loc>{f'<lastmod>{stamps[page]}</lastmod>' if stamps and page in stamps else ''}</{kind}>"
        for page in pages
    )
    root = "urlset" if kind == "url" else "sitemapindex"
    return f'<?xml version="1.0"?><{root} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{text}</{root}>'.encode()


class Website(Site):
    def name(self, request: httpx.Request) -> str:
        return request.url.path


@pytest.fixture
def source(define_source: DefineSource) -> Callable[..., Source]:
    return lambda url="/sitemap.xml", **options: define_source(
        "web", url=HOST + url, fields={"title": "schema:name"}, options=options
    )


def paths(pages: Iterable[Page[Any]]) -> list[str]:
    return [item.key.removeprefix(HOST) for item in items(pages)]


def event(name: str) -> str:
    return f'<html><script type="application/ld+json">{{"@context":"https://schema.org","@type":"Event","name":"{name}"}}</script></html>'


@pytest.mark.parametrize(
    ("page", "key", "title"),
    [(JSON_LD, "/w", "Wells"), (MICRODATA, "/forum", "Forum"), (RDFA, "/p#this", "Puits"), (event("E"), "/p", "E")],
)  # fmt: skip
def test_a_page_is_read_whatever_its_markup(
    page: str, key: str, title: str, source: Callable[..., Source]
) -> None:
    (record,) = items(harvest(Website({"/sitemap.xml": sitemap("/p"), "/p": page}), source()))

    assert record.key == HOST + key
    assert value(compile_path("schema:name")(record.payload)[0]) == title


def test_parts_of_an_event_are_its_parts(source: Callable[..., Source]) -> None:
    (record,) = items(harvest(Website({"/sitemap.xml": sitemap("/p"), "/p": MICRODATA}), source()))

    assert [
        value(term) for term in compile_path("schema:location/schema:name")(record.payload)
    ] == ["Hall"]


def test_a_single_page_is_read_without_a_sitemap(source: Callable[..., Source]) -> None:
    assert paths(harvest(Website({"/p": MICRODATA}), source("/p"))) == ["/forum"]


def test_an_index_leads_to_its_sitemaps_packed_or_not(source: Callable[..., Source]) -> None:
    registry = Website({
        "/sitemap.xml": sitemap("/b.xml.gz", "/a.txt", kind="sitemap"), "/b.xml.gz": gzip.compress(sitemap("/2", "/3")),
        "/a.txt": f"{HOST}/1\n\n".encode(), **{f"/{n}": event(f"E{n}") for n in (1, 2, 3)},
    })  # fmt: skip

    assert paths(harvest(registry, source())) == ["/1", "/2", "/3"]


def test_robots_txt_names_the_sitemaps(source: Callable[..., Source]) -> None:
    registry = Website(
        {
            "/robots.txt": f"User-agent: *\nDisallow:\nSitemap: {HOST}/s.xml\n",
            "/s.xml": sitemap("/1"),
            "/1": event("E"),
        }
    )

    assert paths(harvest(registry, source("/robots.txt"))) == ["/1"]


def test_only_what_changed_is_asked_for(source: Callable[..., Source]) -> None:
    stamps = {"/1": "2026-01-01", "/2": "2026-01-30T10:00:00+02:00"}
    registry = Website(
        {
            "/sitemap.xml": sitemap("/1", "/2", "/3", stamps=stamps),
            **{f"/{n}": event(f"E{n}") for n in (1, 2, 3)},
        }
    )

    pages = harvest(registry, source(), datetime(2026, 1, 31, tzinfo=UTC))

    assert paths(pages) == ["/2", "/3"]
    assert [item.modified for item in items(pages)] == ["2026-01-30T10:00:00+02:00", None]


def test_an_index_spares_the_sitemaps_that_have_not_changed(source: Callable[..., Source]) -> None:
    stamps = {"/a.xml": "2025-01-01", "/b.xml": "2026-02-01"}
    registry = Website(
        {
            "/sitemap.xml": sitemap("/a.xml", "/b.xml", kind="sitemap", stamps=stamps),
            "/b.xml": sitemap("/2"),
            "/2": event("E"),
        }
    )

    harvest(registry, source(), datetime(2026, 1, 31, tzinfo=UTC))

    assert registry.request_log == ["/sitemap.xml", "/b.xml", "/2"]


def test_a_page_that_is_not_there_is_gone(source: Callable[..., Source]) -> None:
    pages = harvest(
        Website({"/sitemap.xml": sitemap("/1", "/2"), "/1": 410, "/2": event("E")}), source()
    )

    assert items(pages)[0] == DeletedRecord(f"{HOST}/1")
    assert pages[-1].incomplete_reason is None


@pytest.mark.parametrize(
    "fault",
    [500, 403, httpx.Response(200, content=b'<html><script type="application/ld+json">{"@type":</script></html>')],
)  # fmt: skip
def test_a_page_that_cannot_be_read_stops_nothing_but_leaves_the_harvest_incomplete(
    fault: int | httpx.Response, source: Callable[..., Source]
) -> None:
    pages = harvest(
        Website({"/sitemap.xml": sitemap("/1", "/2"), "/1": fault, "/2": event("E")}), source()
    )

    assert [(type(item), item.key.removeprefix(HOST)) for item in items(pages)] == [
        (InvalidRecord, "/1"),
        (Record, "/2"),
    ]
    assert f"{HOST}/1" in str(pages[-1].incomplete_reason)


def test_a_site_that_goes_down_ends_the_harvest(source: Callable[..., Source]) -> None:
    class FailingWebsite(Website):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            return super().__call__(request) if len(self.request_log) < 3 else httpx.Response(503)

    with pytest.raises(UnavailableError):
        harvest(
            FailingWebsite(
                {
                    "/sitemap.xml": sitemap("/1", "/2", "/3", "/4"),
                    **{f"/{n}": event("E") for n in range(5)},
                }
            ),
            source(),
        )


def test_a_broken_script_spoils_no_other(source: Callable[..., Source]) -> None:
    page = '<html><script type="application/ld+json">{"a":</script>' + event("E")

    assert [
        type(item)
        for item in items(harvest(Website({"/sitemap.xml": sitemap("/1"), "/1": page}), source()))
    ] == [Record]


def test_a_sitemap_whose_pages_are_all_on_another_host_says_so(
    source: Callable[..., Source],
) -> None:
    foreign = sitemap("/1", "/2").replace(HOST.encode(), b"https://www.registry.example")

    with pytest.raises(ParseError, match=r"lists 2 pages, all on another host \(www\.registry"):
        harvest(Website({"/sitemap.xml": foreign}), source())


def test_pages_of_other_hosts_and_other_paths_are_left_alone(source: Callable[..., Source]) -> None:
    foreign = sitemap("/projects/1", "/about").replace(
        b"</urlset>", b"<url><loc>https://elsewhere.example/projects/2</loc></url></urlset>"
    )
    registry = Website({"/sitemap.xml": foreign, "/projects/1": event("E"), "/about": event("A")})

    assert paths(harvest(registry, source(only="/projects/"))) == ["/projects/1"]
    assert registry.request_log == ["/sitemap.xml", "/projects/1"]


def test_a_harvest_goes_on_from_each_of_its_cursors(source: Callable[..., Source]) -> None:
    registry = Website({
        "/sitemap.xml": sitemap("/a.xml", "/b.xml", kind="sitemap"), "/a.xml": sitemap("/1", "/2"), "/b.xml": sitemap("/3", "/0"),
        **{f"/{n}": event(f"E{n}") for n in range(4)},
    })  # fmt: skip
    whole = harvest(registry, source())

    for number, page in enumerate(whole[:-1], 1):
        assert paths(harvest(registry, source(), cursor=page.cursor)) == paths(whole[number:])
    assert paths(whole) == ["/1", "/2", "/0", "/3"]
    assert whole[-1].cursor is None


def test_a_harvest_whose_sitemap_is_gone_begins_anew(source: Callable[..., Source]) -> None:
    registry = Website(
        {
            "/sitemap.xml": sitemap("/a.xml", kind="sitemap"),
            "/a.xml": sitemap("/1"),
            "/1": event("E"),
        }
    )

    pages = harvest(
        registry,
        source(),
        cursor='{"v":2,"map":"https://registry.example/old.xml","last":"https://registry.example/x"}',
    )

    assert paths(pages) == ["/1"]
    assert pages[0].again


def test_sitemaps_that_hold_each_other_end(source: Callable[..., Source]) -> None:
    registry = Website(
        {
            "/sitemap.xml": sitemap("/a.xml", kind="sitemap"),
            "/a.xml": sitemap("/sitemap.xml", kind="sitemap"),
        }
    )

    with pytest.raises(ParseError, match="its sitemaps do not end"):
        harvest(registry, source())


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"<rss/>", "not a sitemap but <rss>"), (b"hello", "neither XML nor a list of web addresses"), (b"<urlset", "not well-formed"),
     (b"\x1f\x8bxx", "gzip file cannot be decompressed"), (b'<!DOCTYPE a [<!ENTITY b "c">]><urlset>&b;</urlset>', "DOCTYPE"),
     (sitemap(*(f"/{n}" for n in range(50_001))), "more than the 50,000")],
)  # fmt: skip
def test_what_is_no_sitemap_is_reported(
    content: bytes, why: str, source: Callable[..., Source]
) -> None:
    with pytest.raises(ParseError, match=why):
        harvest(Website({"/sitemap.xml": content}), source())


def test_a_denied_sitemap_ends_the_harvest(source: Callable[..., Source]) -> None:
    with pytest.raises(ForbiddenError):
        harvest(Website({"/sitemap.xml": 403}), source())


@pytest.mark.parametrize(
    ("head", "charset"),
    [("", "utf-8"), ('<meta charset="koi8-r">', "koi8-r"), ("", "cp1252"), ("", "utf-16")],
)
def test_a_page_is_decoded_as_browsers_do(
    head: str, charset: str, source: Callable[..., Source]
) -> None:
    name = {"koi8-r": "Колодцы", "cp1252": "Été"}.get(charset, "Été Колодцы")
    page = head + event(name)

    (record,) = items(
        harvest(Website({"/sitemap.xml": sitemap("/p"), "/p": page.encode(charset)}), source())
    )

    assert value(compile_path("schema:name")(record.payload)[0]) == name


def test_an_address_that_is_none_stays_a_text(source: Callable[..., Source]) -> None:
    page = event("E").replace('"name"', '"url":"not an address","name"')

    (record,) = items(harvest(Website({"/sitemap.xml": sitemap("/p"), "/p": page}), source()))

    assert b'"https://registry.example/not an address"' in record.raw


@pytest.mark.parametrize(
    ("options", "why"),
    [({"only": "("}, "'only' is no regular expression"), ({"types": "Event"}, "'types' holds 'Event'")],
)  # fmt: skip
def test_a_definition_with_a_wrong_option_is_refused(
    options: dict[str, str], why: str, source: Callable[..., Source]
) -> None:
    with pytest.raises(SourceDefinitionError, match=why):
        check_compatible(source(**options))


# Of the real pages, those that hold what is known as a record, and how many.
HELD = {
    "schema.org_CreativeWork.001.html": 2, "schema.org_Event.004.html": 1,
    "songkick_Elysian_Fields_Brooklyn_Tickets_The_Owl_Music_Parlor_31_Oct_2015.html": 1,
    "songkick_Years_Years_Tickets_Tour_Dates_2015_Concerts.html": 13, "songkick_elysianfields_1.html": 4, "songkick_tovestyrke.html": 1,
    "w3c_microdata.7.1.html": 1, "nde_dataset-schema-org-valid-jsonld.html": 1,
}  # fmt: skip


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
def test_the_real_pages_are_read(source: Callable[..., Source]) -> None:
    files = [
        *sorted((replay.FEEDS / "html").iterdir()),
        replay.FEEDS / "nde" / "nde_dataset-schema-org-valid-jsonld.html",
    ]

    results = {}
    for file in files:
        with suppress(ParseError):
            results[file.name] = len(
                [
                    element
                    for element in items(harvest(Website({"/p": file.read_bytes()}), source("/p")))
                    if isinstance(element, Record)
                ]
            )

    assert len(files) == 29
    assert results == HELD


def test_a_page_that_holds_no_record_is_reported(source: Callable[..., Source]) -> None:
    with pytest.raises(ParseError, match="is a page without a record of a known class"):
        harvest(Website({"/p": "<html><p>Hello</p></html>"}), source("/p"))
