"""Figures are titled by their finding, with their subject below."""

from __future__ import annotations

import re

import httpx
import pytest
from rows import each

from languages.translations import LANGUAGES, use_language
from publisher.data.tables import ThingCount
from publisher.portal.figures import largest_bar
from web.charts import Bar

TITLE = re.compile(
    r'<h2 id="(?:by-|matrix|map|where)[^"]*">(.*?)</h2>\s*<p class="subject">(.*?)</p>'
)


def bar(name: str, count: int) -> Bar:
    return Bar(name, name, ThingCount(count, count), "")


def test_the_largest_bar_is_named_with_its_count() -> None:
    assert (
        largest_bar([bar("Kenya", 2), bar("Rwanda", 13)]) == "Rwanda has the most initiatives (13)"
    )


@pytest.mark.parametrize(
    "bars", [[], [bar("Kenya", 2)], [bar("Kenya", 7), bar("Rwanda", 4), bar("Chad", 1)]]
)
def test_near_numbers_and_single_bars_are_no_finding(bars: list[Bar]) -> None:
    assert largest_bar(bars) == ""


@each("language", LANGUAGES)
def test_a_finding_names_its_code_and_count_in_every_language(language: str) -> None:
    with use_language(language):
        text = largest_bar([bar("Kenya", 7), bar("Chad", 1)])

    assert "Kenya" in text
    assert re.search("7|٧", text)
    assert text == text.strip()
    assert (text == "Kenya has the most initiatives (7)") == (language == "en")


@pytest.mark.parametrize("path", ["/", "/matrix"])
async def test_pages_title_their_figures_by_findings(client: httpx.AsyncClient, path: str) -> None:
    text = (await client.get(path, headers={"Accept": "text/html"})).text

    titles = TITLE.findall(text)

    assert titles
    assert [
        (finding, subject)
        for finding, subject in titles
        if not re.search(r"\d", finding) or finding == subject
    ] == []
