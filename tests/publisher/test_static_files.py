"""Style sheets and scripts have names with a digest, are cached for a year and compressed, and are
small together.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest
from rows import each

from web.respond import IMMUTABLE
from web.templating import STATIC_FOLDER, font_sheets, static_url

NAMES = (
    "style.css", "figures.css", "figures-dark.css", "embed.css", "embed.js", "suggest.js", "progress.js", "icon.svg",
)  # fmt: skip
PAGES = (
    "/", "/search", "/map", "/matrix", "/trends", "/prizes", "/page/initiative/demo/a%2F1", "/scheme/action-line/C4", "/source/demo",
)  # fmt: skip
# Bytes of all scripts together, compressed, without those of the query editor and the API page.
MOST = 60_000


@each("name", NAMES)
async def test_a_name_with_the_digest_is_the_file_and_is_cached_for_ever(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await client.get(static_url(name), headers={"Accept-Encoding": "gzip"})
    plain = await client.get(f"/static/{name}", headers={"Accept-Encoding": "identity"})

    assert answer.content == plain.content == (STATIC_FOLDER / name).read_bytes()
    assert answer.headers["cache-control"] == IMMUTABLE
    assert answer.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["vary"]
    assert "content-encoding" not in plain.headers
    assert plain.headers["cache-control"] == "no-cache"
    assert answer.headers["content-type"] == plain.headers["content-type"]


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_current_copy_is_not_sent_again_a_part_as_it_is_and_another_digest_is_not_cached(
    client: httpx.AsyncClient, encoding: str
) -> None:
    accept = {"Accept-Encoding": encoding}
    first = await client.get("/static/style.css", headers=accept)

    again = await client.get(
        "/static/style.css", headers=accept | {"If-None-Match": first.headers["etag"]}
    )
    part = await client.get(static_url("style.css"), headers=accept | {"Range": "bytes=0-9"})
    other = await client.get("/static/style.0123456789ab.css")

    assert (again.status_code, again.content) == (304, b"")
    assert part.status_code == 206
    assert part.content == (STATIC_FOLDER / "style.css").read_bytes()[:10]
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-cache")


@each(
    "path",
    ["none.css", "none.0123456789ab.css", "..%2Fapp.py", "../app.py", "x.0123456789ab.css/../../app.py", "%00.css", "a" * 5000],
)  # fmt: skip
async def test_what_is_no_file_of_the_folder_is_not_found(
    client: httpx.AsyncClient, path: str
) -> None:
    assert (await client.get(f"/static/{path}")).status_code in {400, 404}


async def test_pages_name_files_by_their_digest_and_the_scripts_are_small(
    client: httpx.AsyncClient,
) -> None:
    scripts = set()
    for path in PAGES:
        text = (await client.get(path, headers={"Accept": "text/html"})).text
        named = re.findall(r'(?:href|src)="(/static/[^"]+\.(?:css|js))"', text)
        assert len(named) >= 3
        assert [
            address for address in named if not re.search(r"\.[0-9a-f]{12}\.(?:css|js)$", address)
        ] == []
        scripts |= {address for address in named if address.endswith(".js")}

    sizes = [len(gzip.compress((await client.get(address)).content)) for address in scripts]

    assert len(scripts) >= 2
    assert sum(sizes) < MOST


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_fonts_are_served_by_us_under_names_with_their_digest(
    client: httpx.AsyncClient, language: str
) -> None:
    if not (sheets := font_sheets(language)):
        pytest.skip("the fonts were not fetched, for which npm is needed")
    page = (await client.get("/", params={"lang": language}, headers={"Accept": "text/html"})).text
    named = re.findall(r'href="(/static/query/[^"]+\.css)"', page)
    text = "".join([(await client.get(sheet)).text for sheet in sheets])
    fonts = re.findall(r"url\(([^)]+)\)", text)
    first, last = [await client.get(f"/static/query/{font}") for font in (fonts[0], fonts[-1])]

    assert named == sheets
    assert len(sheets) == (2 if language == "zh" else 1)
    assert (
        len(fonts)
        == len(set(fonts))
        == text.count("unicode-range:")
        == text.count("font-display:swap")
    )
    assert {
        (font.status_code, font.headers["content-type"], font.headers["cache-control"])
        for font in (first, last)
    } == {(200, "font/woff2", IMMUTABLE)}
    assert first.content[:4] == b"wOF2"


def test_a_page_names_no_font_sheet_that_was_not_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("web.templating.STATIC_FOLDER", tmp_path)

    assert font_sheets("zh") == []
