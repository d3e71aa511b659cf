"""Embeds, which other sites show in frames, are small, without cookies and scripts, and in every
language; nothing else may be framed.
"""

from __future__ import annotations

import gzip
import html
import re
from pathlib import Path

import httpx
import pytest
from app_client import asking
from event_loops import session_loop
from rows import each

from languages.translations import LANGUAGES
from publisher.app import ROUTERS, SiteOptions, create_app
from publisher.portal.embeds import BY_FACET, HEIGHTS
from publisher.store.query_service import QueryService
from web.branding import Branding
from web.charts import load_outlines
from web.templating import static_url

STATIC = Path(__file__).parents[2] / "publisher" / "static"
HTML = {"Accept": "text/html"}
DISCOVERY = r'<link rel="alternate" type="application/json\+oembed" href="([^"]+)"'
ADDRESSES = [
    "/embed/count", "/embed/bars/goal", "/embed/table/country", "/embed/trend/line", "/embed/map", "/embed/matrix",
]  # fmt: skip
MOST = 30_000  # bytes of an embed with its styles, compressed
HOSTILE = [
    '"><script>alert(1)</script>', "'; DROP TABLE x; --", "../../etc/passwd", "%00", "\u202egnp", "javascript:alert(1)", "x" * 3_000,
]  # fmt: skip

pytestmark = session_loop


@each("language", LANGUAGES)
@each("address", ADDRESSES)
async def test_an_embed_is_small_stores_nothing_and_may_be_framed_anywhere(
    inside: httpx.AsyncClient, address: str, language: str
) -> None:
    reply = await inside.get(address, params={"lang": language, "theme": "dark"}, headers=HTML)
    sheet = r'<link rel="stylesheet" href="/static/([^".]+)\.[0-9a-f]{12}\.css">'
    styles = [f"{name}.css" for name in re.findall(sheet, reply.text)]
    packed = [reply.content, *((STATIC / name).read_bytes() for name in styles)]
    local = reply.text.replace('href="http://metadata', "")

    assert reply.status_code == 200
    assert f'<html lang="{language}"' in reply.text
    assert "figures-dark.css" in styles
    assert "set-cookie" not in reply.headers
    assert "<script" not in reply.text
    assert not re.findall(r'(?:src|href)="https?://(?!stocktake\.test|localhost)', local)
    assert sum(len(gzip.compress(data)) for data in packed) < MOST
    assert "frame-ancestors *" in reply.headers["content-security-policy"]
    assert "script-src 'self'" in reply.headers["content-security-policy"]
    assert "x-frame-options" not in reply.headers


async def test_an_embed_of_demonstration_data_says_so(
    service: QueryService, inside: httpx.AsyncClient
) -> None:
    app = create_app(service, site=SiteOptions(Branding(demo=True)))
    async with asking(app) as demo:
        marked = [(await demo.get(path, headers=HTML)).text for path in ADDRESSES]

    assert [text.count("<b>Demonstration data</b>") for text in marked] == [1] * len(ADDRESSES)
    assert "Demonstration" not in (await inside.get(ADDRESSES[0], headers=HTML)).text


@pytest.mark.parametrize(
    ("theme", "media"),
    [("light", []), ("dark", [""]), ("auto", [' media="(prefers-color-scheme: dark)"'])],
)
async def test_dark_colours_are_those_of_the_theme(
    inside: httpx.AsyncClient, theme: str, media: list[str]
) -> None:
    reply = await inside.get(ADDRESSES[0], params={"theme": theme}, headers=HTML)

    assert (
        re.findall(r'href="/static/figures-dark\.[0-9a-f]{12}\.css"([^>]*)>', reply.text) == media
    )


@each(
    "address",
    ["/", "/map", "/trends", "/search", "/sparql", "/compare", "/oembed", "/embed/none", "/embeds", "/static/embed.css"],
)  # fmt: skip
async def test_nothing_else_may_be_framed(inside: httpx.AsyncClient, address: str) -> None:
    reply = await inside.get(address, headers=HTML)

    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["x-frame-options"] == "DENY"


async def test_embeds_are_in_their_folder_only_with_an_address_of_each_kind() -> None:
    paths = [
        str(getattr(route, "path", "")) for router in ROUTERS.values() for route in router.routes
    ]
    parts = [address.split("/")[2:] for address in ADDRESSES]

    assert {path for path in paths if path.startswith("/embed")} == {"/embed/{rest:path}"}
    assert {kind for kind, *_ in parts} == {*HEIGHTS}
    assert {kind for kind, *facet in parts if facet} == {*BY_FACET}


@each("hostile", HOSTILE)
@each("name", ["country", "goal", "source", "year", "theme", "lang", "format", "unknown"])
async def test_hostile_parameters_are_escaped_or_refused(
    inside: httpx.AsyncClient, name: str, hostile: str
) -> None:
    reply = await inside.get("/embed/bars/line", params={name: hostile}, headers=HTML)

    assert reply.status_code == (400 if name == "theme" else 200)
    assert "<script>alert" not in reply.text
    assert 'href="javascript:' not in reply.text
    assert "set-cookie" not in reply.headers


@each(
    "path",
    ["", "bars", "bars/", "bars/none", "count/goal", "map/goal", "bars/goal/x", "trend/year", "gap/goal", "bars/%3Cscript%3E"],
)  # fmt: skip
async def test_an_embed_that_is_none_is_404_and_names_those_that_are(
    inside: httpx.AsyncClient, path: str
) -> None:
    reply = await inside.get(f"/embed/{path}", headers=HTML)

    assert reply.status_code == 404
    assert (
        "&#39;bars/&lt;script&gt;&#39;" in reply.text
        if "script" in path
        else "bars/FACET" in reply.text
    )
    assert "bars/<script>" not in reply.text


@each("address", ADDRESSES)
async def test_maps_trends_and_the_matrix_are_drawings(
    inside: httpx.AsyncClient, address: str
) -> None:
    reply = await inside.get(f"{address}?format=svg")

    is_drawn = address.split("/")[2] in ("map", "trend", "matrix")
    if address == "/embed/map" and load_outlines() is None:
        pytest.skip("the outlines were not built, for which npm is needed")
    assert (reply.status_code, reply.text.startswith("<svg xmlns=")) == (
        200 if is_drawn else 404,
        is_drawn,
    )


@each("address", [*ADDRESSES, "/embed/bars/goal?country=404&lang=ar"])
async def test_an_embed_is_discovered_by_oembed(inside: httpx.AsyncClient, address: str) -> None:
    page = await inside.get(address, headers=HTML)
    [link] = re.findall(DISCOVERY, page.text)
    reply = await inside.get(html.unescape(link))
    described = reply.json()
    [source] = re.findall(r'src="([^"]+)"', described["html"])

    assert 'type="application/json+oembed"' in page.headers["link"]
    assert (described["version"], described["type"]) == ("1.0", "rich")
    assert html.unescape(source) == f"http://stocktake.test{address}"
    assert (await inside.get(html.unescape(source), headers=HTML)).text == page.text


@each(
    "query, status",
    [("", 400), ("url=http://other.example/embed/map", 404), ("url=http://stocktake.test.other.example/embed/map", 404),
     ("url=http://stocktake.test/map", 404), ("url=http://stocktake.test/embed/none", 404), ("url=javascript:alert(1)", 404),
     ("url=http://[::1", 404), ("url=http://stocktake.test/embed/map&format=xml", 501),
     ("url=http://stocktake.test/embed/map&maxwidth=none", 400), ("url=http://stocktake.test/embed/map&maxwidth=0", 400)],
)  # fmt: skip
async def test_oembed_refuses_what_is_no_embed(
    inside: httpx.AsyncClient, query: str, status: int
) -> None:
    assert (await inside.get(f"/oembed?{query}")).status_code == status


async def test_oembed_respects_the_largest_size_and_escapes_its_frame(
    inside: httpx.AsyncClient,
) -> None:
    url = 'http://stocktake.test/embed/map?country="><script>alert(1)</script>'
    size = {"maxwidth": "300", "maxheight": "200"}
    described = (await inside.get("/oembed", params={"url": url, **size})).json()

    assert (described["width"], described["height"]) == (300, 200)
    assert "<script>" not in described["html"]


async def test_each_figure_has_its_code_and_its_forms(inside: httpx.AsyncClient) -> None:
    for address in ("/", "/trends", "/scheme/action-line/C2"):
        text = (await inside.get(address, headers=HTML)).text
        codes = [
            html.unescape(code)
            for code in re.findall(r"<textarea readonly[^>]*>(.*?)</textarea>", text)
            if "iframe" in code  # The others are citations.
        ]

        assert codes, address
        assert static_url("embed.js") in text
        for code in codes:
            [source] = re.findall(r'<iframe src="([^"]+)"', code)
            assert (await inside.get(html.unescape(source), headers=HTML)).status_code == 200


@each("page", ["/map", "/trends", "/matrix", "/matrix?basis=crosswalked", "/map?region=africa"])
async def test_a_page_with_a_figure_names_its_description_for_editors(
    inside: httpx.AsyncClient, page: str
) -> None:
    links = re.findall(DISCOVERY, (await inside.get(page, headers=HTML)).text)

    assert links
    for link in links:
        document = (await inside.get(html.unescape(link))).json()
        address = re.search('src="([^"]+)"', document["html"])
        assert address is not None
        assert (await inside.get(html.unescape(address[1]), headers=HTML)).status_code == 200


@pytest.mark.parametrize("address", ["/embed/map", "/embed/matrix"])
async def test_a_figure_is_titled_by_its_finding_with_its_subject_below(
    inside: httpx.AsyncClient, address: str
) -> None:
    text = (await inside.get(address, headers=HTML)).text

    [(finding, subject)] = re.findall(r'<h1>(.*?)</h1>\s*<p class="subject quiet">(.*?)</p>', text)
    [title] = re.findall(r"<title>(.*?) · ", text)
    assert re.search(r"\d", finding)
    assert subject == title
