from __future__ import annotations

import gzip
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from rdf_terms import value
from rows import each
from simulated import Site, define_source, harvest, items, keys

from harvesters.errors import ForbiddenError, ParseError
from harvesters.page_model import Page
from harvesters.payloads.paths import compile_property_path
from harvesters.source import Source

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


def single(page: object) -> Website:
    return Website({"/sitemap.xml": sitemap("/p"), "/p": page})


def source(url: str = "/sitemap.xml", **options: Any) -> Source:
    return define_source("web", url=HOST + url, fields={"title": "schema:name"}, options=options)


def paths(pages: Iterable[Page[Any]]) -> list[str]:
    return [key.removeprefix(HOST) for key in keys(pages)]


def names(pages: Iterable[Page[Any]]) -> list[str]:
    return [value(compile_property_path("schema:name")(item.payload)[0]) for item in items(pages)]


def event(name: str) -> str:
    return f'<html><script type="application/ld+json">{{"@context":"https://schema.org","@type":"Event","name":"{name}"}}</script></html>'


@each(
    "page, key, title",
    [(JSON_LD, "/w", "Wells"), (MICRODATA, "/forum", "Forum"), (RDFA, "/p#this", "Puits"), (event("E"), "/p", "E")],
)  # fmt: skip
@each("url", ["/sitemap.xml", "/p"])
def test_a_page_is_read_whatever_its_markup_with_or_without_a_sitemap(
    url: str, page: str, key: str, title: str
) -> None:
    pages = harvest(single(page), source(url))

    assert (paths(pages), names(pages)) == ([key], [title])


def test_parts_of_an_event_are_its_parts() -> None:
    (record,) = items(harvest(single(MICRODATA), source()))

    (venue,) = compile_property_path("schema:location/schema:name")(record.payload)
    assert value(venue) == "Hall"


EVENTS = {f"/{n}": event(f"E{n}") for n in range(4)}
STAMPS = {"/1": "2026-01-01", "/2": "2026-01-30T10:00:00+02:00", "/a.xml": "2025-01-01", "/b.xml": "2026-02-01"}  # fmt: skip
EVIL = b"<url><loc>https://elsewhere.example/projects/2</loc></url></urlset>"


@each(
    "claim, url, maps, options, since, asked",
    [("an index leads to its sitemaps, packed or not", "/sitemap.xml",
      {"/sitemap.xml": sitemap("/b.xml.gz", "/a.xml", kind="sitemap"), "/b.xml.gz": gzip.compress(sitemap("/2", "/3")),
       "/a.xml": sitemap("/1")}, {}, False, ["/sitemap.xml", "/a.xml", "/1", "/b.xml.gz", "/2", "/3"]),
     ("only what changed is asked for", "/sitemap.xml", {"/sitemap.xml": sitemap("/1", "/2", "/3", stamps=STAMPS)}, {}, True,
      ["/sitemap.xml", "/2", "/3"]),
     ("an index spares the sitemaps that have not changed", "/sitemap.xml",
      {"/sitemap.xml": sitemap("/a.xml", "/b.xml", kind="sitemap", stamps=STAMPS), "/b.xml": sitemap("/2")}, {}, True,
      ["/sitemap.xml", "/b.xml", "/2"]),
     ("pages of other hosts and other paths are left alone", "/sitemap.xml",
      {"/sitemap.xml": sitemap("/projects/1", "/about").replace(b"</urlset>", EVIL), "/projects/1": event("E"), "/about": event("A")},
      {"only": "/projects/"}, False, ["/sitemap.xml", "/projects/1"])],
)  # fmt: skip
def test_sitemaps_lead_to_the_pages_that_are_asked_for(
    claim: str, url: str, maps: dict[str, Any], options: dict[str, str], since: bool, asked: list[str]
) -> None:  # fmt: skip
    registry = Website({**EVENTS, **maps})
    last = datetime(2026, 1, 31, tzinfo=UTC) if since else None

    pages = harvest(registry, source(url, **options), last)

    assert registry.request_log == asked, claim
    assert paths(pages) == [path for path in asked if path[-1].isdigit()]
    stamps = STAMPS if b"<lastmod>2026-01-01" in bytes(maps.get("/sitemap.xml", b"")) else {}
    assert [item.modified for item in items(pages)] == [stamps.get(path) for path in paths(pages)]


BROKEN = '<html><script type="application/ld+json">{"a":</script>'


def test_a_broken_script_spoils_no_other() -> None:
    assert names(harvest(single(BROKEN + event("E")), source())) == ["E"]


def test_a_harvest_goes_on_from_each_of_its_cursors() -> None:
    registry = Website({
        "/sitemap.xml": sitemap("/a.xml", "/b.xml", kind="sitemap"), "/a.xml": sitemap("/1", "/2"), "/b.xml": sitemap("/3", "/0"), **EVENTS,
    })  # fmt: skip
    whole = harvest(registry, source())

    for number, page in enumerate(whole[:-1], 1):
        assert paths(harvest(registry, source(), cursor=page.cursor)) == paths(whole[number:])
    assert paths(whole) == ["/1", "/2", "/0", "/3"]
    assert whole[-1].cursor is None


def test_sitemaps_that_hold_each_other_or_are_denied_end_the_harvest() -> None:
    maps = {"/sitemap.xml": sitemap("/a.xml", kind="sitemap"), "/a.xml": sitemap("/sitemap.xml", kind="sitemap")}  # fmt: skip

    with pytest.raises(ParseError, match="its sitemaps do not end"):
        harvest(Website(maps), source())

    with pytest.raises(ForbiddenError):
        harvest(Website({"/sitemap.xml": 403}), source())


@each(
    "head, charset",
    [("", "utf-8"), ('<meta charset="koi8-r">', "koi8-r"), ("", "cp1252"), ("", "utf-16")],
)
def test_a_page_is_decoded_as_browsers_do(head: str, charset: str) -> None:
    name = {"koi8-r": "Колодцы", "cp1252": "Été"}.get(charset, "Été Колодцы")

    assert names(harvest(single((head + event(name)).encode(charset)), source())) == [name]


def test_an_address_that_is_none_stays_a_text() -> None:
    page = event("E").replace('"name"', '"url":"not an address","name"')

    (record,) = items(harvest(single(page), source()))

    assert b'"https://registry.example/not an address"' in record.raw
