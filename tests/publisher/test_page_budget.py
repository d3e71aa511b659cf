"""Each address has a budget of pages, pages of many facets take turns, and robots.txt agrees with
both limits.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from app_client import asking
from event_loops import session_loop
from fastapi import FastAPI
from protego import Protego
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from waiting import wait_until_async

from journal.tracing import open_span
from publisher import middleware
from publisher.errors import PublisherError, describe_error
from publisher.limits import Limits
from publisher.middleware import ALL_DATA_LINK, REST, PageLimits, PageMiddleware
from web.middleware import RequestMetrics
from web.respond import problem_response

CRAWLER, PERSON, BOT = "203.0.113.7", "198.51.100.9", "192.0.2.33"
BOT_MINUTES = 5


def limited(app: ASGIApp, limits: Limits, now: Callable[[], float] = time.monotonic) -> ASGIApp:
    """Return *app* behind the page limits; their errors are answered as problem details."""
    pages, counter = PageLimits(limits, now), RequestMetrics(open_span, ()).cached_pages
    inner = PageMiddleware(app, str, counter, pages)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await inner(scope, receive, send)
        except PublisherError as error:
            status, title, headers = describe_error(error)
            await problem_response(status, title, str(error), headers)(scope, receive, send)

    return answer


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("page")(scope, receive, send)


class BudgetedSite:
    """The app behind a trusted proxy; *time* is its clock in seconds."""

    def __init__(self, limits: Limits) -> None:
        self.time = 0.0
        budgeted: Any = limited(page, limits, lambda: self.time)
        app: Any = ProxyHeadersMiddleware(budgeted, trusted_hosts="127.0.0.1")
        self._client = asking(app)

    async def get(self, path: str, address: str = "") -> httpx.Response:
        headers = {"X-Forwarded-For": address} if address else {}
        answer: httpx.Response = await self._client.get(path, headers=headers)
        return answer


@pytest.fixture
def site() -> BudgetedSite:
    return BudgetedSite(Limits(pages=20, window=60))


async def test_an_address_that_has_spent_its_points_is_refused_until_they_come_back(
    site: BudgetedSite,
) -> None:
    codes = [(await site.get("/search?goal=4", CRAWLER)).status_code for _ in range(20)]
    refused = await site.get("/search?goal=5", CRAWLER)
    site.time += int(refused.headers["Retry-After"])
    later = await site.get("/search?goal=5", CRAWLER)

    assert codes == [200] * 20
    assert (refused.status_code, later.status_code) == (429, 200)
    assert refused.headers["Link"].startswith("</dumps/>")
    assert "all data is in the files of /dumps/" in refused.json()["detail"]


async def test_each_facet_value_more_doubles_what_a_page_costs(site: BudgetedSite) -> None:
    pages = {
        "/search": 20,
        "/search?goal=4&country=404": 10,
        "/search?goal=4&country=404&line=C7&year=2020": 3,
    }

    opened = {}
    for number, path in enumerate(pages):
        codes = [(await site.get(path, f"192.0.2.{number}")).status_code for _ in range(30)]
        opened[path] = codes.count(200)

    assert opened == pages


async def test_only_pages_have_a_budget_and_this_machine_has_none_and_0_removes_it(
    site: BudgetedSite,
) -> None:
    for _ in range(30):
        await site.get("/", CRAWLER)
    without = BudgetedSite(Limits(pages=0))
    dear = "/search?" + "&".join(f"goal={number}" for number in range(1, 9))

    for path in ("/static/site.css", "/dumps/", "/robots.txt", "/health"):
        assert (await site.get(path, CRAWLER)).status_code == 200
    assert {(await site.get("/search")).status_code for _ in range(30)} == {200}
    assert {(await without.get(dear, CRAWLER)).status_code for _ in range(20)} == {200}


async def test_people_and_polite_bots_are_served_while_many_addresses_crawl() -> None:
    """Eight crawlers open five pages of three facets a second each, beside a person and a bot that
    open one page a second.
    """
    site, seen = BudgetedSite(Limits(pages=60)), Counter[tuple[str, int]]()
    crawlers = [f"10.0.{number}.1" for number in range(8)]
    for second in range(20):
        site.time += 1
        for crawler in crawlers:
            for number in range(5):
                answer = await site.get(
                    f"/search?goal=4&country=404&page={second}&line={number}", crawler
                )
                seen["crawler", answer.status_code] += 1
        for address, name in ((PERSON, "person"), (BOT, "bot")):
            seen[name, (await site.get(f"/page/{second}", address)).status_code] += 1

    assert (seen["person", 200], seen["bot", 200]) == (20, 20)
    assert seen["crawler", 429] > 3 * seen["crawler", 200]


@session_loop
async def test_a_bot_that_obeys_robots_txt_is_never_refused(inside: httpx.AsyncClient) -> None:
    robots = Protego.parse((await inside.get("/robots.txt")).text)
    delay = robots.crawl_delay("GoodBot")
    assert delay is not None
    site, codes = BudgetedSite(Limits()), Counter[int]()
    for number in range(int(BOT_MINUTES * 60 / delay)):
        site.time += delay
        codes[(await site.get(f"/page/initiative/{number}", BOT)).status_code] += 1

    pages = (
        "/page/x",
        "/sitemap.xml",
        "/dumps/",
        "/map",
        "/search?goal=4",
        "/map?goal=4&country=404",
    )
    allowed = [robots.can_fetch(f"http://test{path}", "GoodBot") for path in pages]
    assert codes == {200: BOT_MINUTES * 60 / delay}
    assert allowed == [True] * 4 + [False] * 2


async def test_pages_of_many_facets_wait_for_their_turn_and_others_do_not() -> None:
    started, end = asyncio.Queue[str](), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if b"year" in scope["query_string"]:
            await started.put(scope["path"])
            await end.wait()
        await page(scope, receive, send)

    app = limited(slow, Limits(deep=1, deep_wait=0.05))
    async with asking(app) as client:
        deep = "/search?goal=4&country=404&year=2020"
        first = asyncio.create_task(client.get(deep))
        await started.get()
        busy, shallow = await client.get(deep), await client.get("/search?goal=4&country=404")
        end.set()

        async def answered() -> bool:
            return bool((await client.get(deep)).status_code == 200)

        await wait_until_async(answered, "the turn of the next page")

    assert ((await first).status_code, busy.status_code, shallow.status_code) == (200, 503, 200)
    assert busy.headers["Link"].startswith("</dumps/>")
    assert busy.headers["Retry-After"]


async def test_after_a_page_of_many_facets_none_is_begun_for_three_times_as_long() -> None:
    """Of two such pages requested at once, the second begins after the pause that follows the
    first; a page of fewer facets in between does not wait.
    """
    loop, began = asyncio.get_running_loop(), list[tuple[str, float]]()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        began.append((scope["query_string"].decode(), loop.time()))
        await asyncio.sleep(0.05)
        await page(scope, receive, send)

    app = limited(slow, Limits(deep=1, deep_wait=60))
    async with asking(app) as client:
        deep = "/search?goal=4&country=404&year="
        both = asyncio.gather(client.get(f"{deep}2020"), client.get(f"{deep}2021"))
        await asyncio.sleep(0)
        await client.get("/search?goal=4")
        await both

    order = [query.rpartition("=")[2] for query, _ in began]
    rested = began[2][1] - began[0][1]
    assert order == ["2020", "4", "2021"]
    assert rested >= (1 + REST) * 0.05


async def test_a_turn_rests_half_of_the_time_that_others_wait_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(middleware, "REST", 1e6)

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.01)
        await page(scope, receive, send)

    app = limited(slow, Limits(deep=1, deep_wait=3))
    deep = "/search?goal=4&country=404&year="
    async with asking(app) as client:
        answers = await asyncio.gather(client.get(f"{deep}2020"), client.get(f"{deep}2021"))

    assert [answer.status_code for answer in answers] == [200, 200]


@session_loop
async def test_a_browser_gets_a_page_and_other_clients_problem_details(app: FastAPI) -> None:
    # A missing page costs as many points as any other, and its answer is so fast that the points
    # are spent before they come back.
    path = "/source/none?" + "&".join(f"goal={number}" for number in range(1, 8))
    transport = httpx.ASGITransport(app, client=(CRAWLER, 1))

    async def refusal(headers: dict[str, str]) -> httpx.Response:
        answers = [await client.get(path, headers=headers)]
        while answers[-1].status_code == 404 and len(answers) < 500:
            answers.append(await client.get(path, headers=headers))
        return answers[-1]

    async with httpx.AsyncClient(transport=transport, base_url="http://pages.example") as client:
        browser = await refusal({"Accept": "text/html", "Accept-Language": "fr"})
        program = await refusal({"Accept": "application/json"})
        robots = await client.get("/robots.txt")

    for answer, media in (
        (browser, "text/html; charset=utf-8"),
        (program, "application/problem+json"),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (429, media)
        assert answer.headers["Link"] == ALL_DATA_LINK
    assert robots.status_code == 200
