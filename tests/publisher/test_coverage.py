"""Each figure states its coverage; one without data says so and is replaced by others."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from app_client import asking
from event_loops import session_loop
from fastapi import FastAPI
from rows import each
from small_world import IRIS, SEEN, record_rows
from waiting import wait_until_async

from journal.journal import Journal
from publisher.app import create_app
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from vocab.describe import quads
from vocab.initiative import Basis, Claim, Initiative, Text
from vocab.provenance import Registry, describe_source
from vocab.schemes import statements

HTML = {"Accept": "text/html"}
LINE = IRIS.concept("action-line", "C9")


def goods() -> list[Initiative]:
    """Return forty initiatives with goals, without countries and dates.

    One of them names an action line, and one a word that was mapped to it.
    """
    lines = {0: (Claim(LINE),), 1: (Claim(LINE, Basis.CROSSWALKED, "press"),)}
    return [
        Initiative(
            key=str(number),
            titles=(Text(f"Digital public good {number}", "en"),),
            goals=(Claim(f"http://metadata.un.org/sdg/{1 + number % 5}"),),
            action_lines=lines.get(number, ()),
        )
        for number in range(40)
    ]


# The pages of these tests use none of these schemes.
LARGE_SCHEMES = (
    *("/area", "/operations", "/dac-purpose", "/labels", "/world-bank-theme"),
    *("/country-lists", "/facilitators"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sparse(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a publisher that has these initiatives alone."""
    data = tmp_path_factory.mktemp("sparse")
    journal = Journal(data / "journal")
    rows = [
        f"A {quad}"
        for graph, lines in statements(IRIS.base)
        if not graph.endswith(LARGE_SCHEMES)
        for quad in quads(lines, graph)
    ]
    journal.append(rows, run="run-1", time=SEEN)
    url, how = "https://goods.example/", ("json", "fields", "0 3 * * *")
    registry = Registry("goods", "Goods", "An alliance", url, f"{url}licence", *how)
    rows = [f"A {quad}" for quad in quads(describe_source(registry, IRIS), IRIS.source("goods"))]
    rows += [row for good in goods() for row in record_rows("goods", good)]
    journal.append(rows, run="run-2", time=SEEN)
    async with QueryService(data, IRIS, Limits(seconds=10), readers=1) as service:
        await service.wait_until_current()
        await wait_until_async(
            lambda: service.current.columns == service.current.position, "the tables"
        )
        async with asking(create_app(service)) as client:
            yield client


async def text(client: httpx.AsyncClient, path: str) -> str:
    answer = await client.get(path, headers=HTML)
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


@session_loop
async def test_figures_without_data_give_way_to_others_and_say_what_fills_them(
    sparse: httpx.AsyncClient,
) -> None:
    home, world, matrix, trends = [
        await text(sparse, path) for path in ("/", "/map", "/matrix", "/trends")
    ]

    for page in (home, world):
        assert 'class="drawing world"' not in page
        assert "No initiative has a country." in page
    for page in (home, matrix):
        assert re.findall(r'id="by-(\w+)"', page) == ["goal"]
    assert re.findall(r'quiet coverage">([^<]+)<', home) == ["40 of 40 have an SDG"]
    assert "0 of 40 have a country" in world
    assert 'id="by-goal"' in world
    assert (
        "1 of 40 have an action line · 40 of 40 have an SDG · 1 of 40 have both an action line and an SDG"
        in matrix
    )
    assert "No initiative has a start year." in trends
    assert 'id="by-goal"' in trends


@session_loop
async def test_empty_figure_says_what_others_linked(sparse: httpx.AsyncClient) -> None:
    linked = "1 of 8 have an action line (mapped from a registry's code or suggested automatically)"
    everything = "/matrix?goal=2&basis=declared&basis=crosswalked&basis=suggested"

    page = await text(sparse, "/matrix?goal=2")
    assert linked in page
    assert f'<a href="{everything}">Show all</a>' in page
    assert "No initiative has an action line" in await text(sparse, "/matrix?goal=3")
    assert "no registry states it" not in await text(sparse, "/matrix?goal=2&basis=suggested")
    linked_page = await text(sparse, everything)
    assert "1 of 8 have an action line" in linked_page
    assert "no registry states it" not in linked_page


@session_loop
@each(
    "path, words",
    [("/map?lang=fr", "121 sur 122 ont un pays"), ("/map?lang=zh", "122 项中有 121 项标注了国家"),
     ("/about?lang=fr", '<a href="/health">État du service</a>'),  # not the health of people
     ("/page/initiative/demo/a%2F1?lang=ar", '<bdi dir="ltr">2.3284, 37.9899</bdi>')],
)  # fmt: skip
async def test_sentences_of_coverage_and_other_words_are_as_the_language_has_them(
    inside: httpx.AsyncClient, path: str, words: str
) -> None:
    assert words in await text(inside, path)


@session_loop
@each("path", ["/", "/search?q=network", "/matrix", "/map", "/sources", "/status"])
async def test_numbers_are_isolated_in_arabic(inside: httpx.AsyncClient, path: str) -> None:
    page = await text(inside, f"{path}{'&' if '?' in path else '?'}lang=ar")

    bare = re.findall(r'class="count"[^>]*>([\d.,]+)<', page)
    isolated = re.findall(r"<bdi>[\d.,]+</bdi>", page)

    assert (bare, isolated != []) == ([], True)


@session_loop
async def test_where_submissions_are_open_the_home_page_and_the_menu_say_so(
    app: FastAPI, inside: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = await text(inside, "/about")
    monkeypatch.setattr(app.state, "submissions_open", lambda: True)
    home, status = await text(inside, "/?lang=fr"), await text(inside, "/about?lang=fr")

    page = await text(inside, "/page/initiative/demo/1")

    assert 'href="/submit/prizes/nominate?initiative=https%3A' in page
    assert 'href="/submit"' not in closed
    assert [body.count('href="/submit"') for body in (home, status)] == [2, 1]
