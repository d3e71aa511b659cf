"""The documentation site, where it was built: served under the policy of all pages, and linked from
each of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from rows import each

import publisher
from publisher.pages import DOCUMENTATION

TEMPLATES = Path(publisher.__file__).parent / "templates"

built = pytest.mark.skipif(
    not (DOCUMENTATION / "index.html").exists(),
    reason="the documentation was not built; run make docs",
)


@built
async def test_documentation_is_served_with_its_styles_under_our_policy(
    client: httpx.AsyncClient,
) -> None:
    front, style = await client.get("/docs/"), await client.get("/docs/_static/styles/furo.css")

    assert (front.status_code, style.status_code) == (200, 200)
    assert "Stocktake" in front.text
    assert (
        "script-src" in front.headers["content-security-policy"]
        or "default-src" in front.headers["content-security-policy"]
    )
    assert "<script>" not in front.text


async def test_every_page_links_to_the_documentation_where_it_was_built(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/", headers={"Accept": "text/html"})).text

    assert ('href="/docs/"' in page) == DOCUMENTATION.is_dir()


async def test_the_data_page_links_to_the_recipes_where_the_documentation_was_built(
    client: httpx.AsyncClient,
) -> None:
    page = (
        await client.get("/data", headers={"Accept": "text/html", "Accept-Language": "fr"})
    ).text

    assert (
        '<a class="tile" href="/docs/how-to/use-the-tables.html"><b>Ouvrir dans vos outils</b>'
        in page
    ) == DOCUMENTATION.is_dir()


@each("path", sorted(TEMPLATES.rglob("*.html")))
def test_pages_link_to_the_documentation_only_where_it_was_built(path: Any) -> None:
    text = path.read_text()
    conditional = re.sub(r"{% if documented %}.*?{% endif %}", "", text, flags=re.DOTALL)

    assert 'href="/docs/' not in conditional
