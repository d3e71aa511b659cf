"""A page is built once for each state of the data, cached, and compressed if the client accepts it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from app_client import asking
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from journal.tracing import open_span
from publisher.limits import Limits
from publisher.middleware import PageLimits, PageMiddleware, keep_for
from web.middleware import RequestMetrics, SecurityMiddleware

BROWSER = {"Accept": "text/html,*/*;q=0.8"}


class CountingApp:
    """An app that counts the pages it builds; *version* is the state of its data."""

    def __init__(self) -> None:
        self.count = 0
        self.version = "1"
        self.time = 0.0
        self.status = 200
        self.media = "text/html; charset=utf-8"
        # A page may state how long it is cached; None leaves that to the state of the data.
        self.seconds: float | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await self.go.wait()
        self.count += 1
        if self.seconds is not None:
            await asyncio.to_thread(keep_for, self.seconds)
        headers = {
            "ETag": f'"{self.count}"',
            "Last-Modified": "Sun, 01 Mar 2026 08:00:00 GMT",
            "Vary": "Accept",
        }
        text = f"page {self.count} of {scope['path']}?{scope['query_string'].decode()}"
        await Response(text, self.status, headers, self.media)(scope, receive, send)


@pytest.fixture
def site() -> CountingApp:
    return CountingApp()


@pytest_asyncio.fixture
async def browser(site: CountingApp) -> AsyncIterator[httpx.AsyncClient]:
    app = SecurityMiddleware(
        PageMiddleware(
            site,
            lambda: site.version,
            RequestMetrics(open_span, ()).cached_pages,
            PageLimits(Limits(pages=0, deep=0)),
            lambda: site.time,
        )
    )
    async with asking(app, headers=BROWSER) as client:
        yield client


async def test_a_page_is_made_once_while_the_same_is_shown(
    site: CountingApp, browser: httpx.AsyncClient
) -> None:
    results = [(await browser.get("/search?q=x")).text for _ in range(3)]

    assert (site.count, results) == (1, ["page 1 of /search?q=x"] * 3)


async def test_those_who_ask_while_it_is_made_wait_for_it_together(
    site: CountingApp, browser: httpx.AsyncClient
) -> None:
    site.go.clear()
    tasks = [asyncio.create_task(browser.get("/map")) for _ in range(5)]
    await asyncio.sleep(0)
    site.go.set()

    results = {(await one).text for one in tasks}

    assert (site.count, results) == (1, {"page 1 of /map?"})


async def test_another_state_and_another_language_have_pages_of_their_own_and_no_state_none(
    site: CountingApp, browser: httpx.AsyncClient
) -> None:
    await browser.get("/map")
    site.version = "2"
    await browser.get("/map")
    await browser.get("/map", headers={"Accept-Language": "fr"})
    count, site.version = site.count, ""
    for _ in range(2):
        await browser.get("/map")

    assert (count, site.count) == (3, 5)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(None, [1, 1, 1]), (60, [1, 1, 2]), (0, [1, 2, 3])]
)
async def test_a_page_is_kept_as_long_as_it_says_else_as_long_as_the_data_stay(
    site: CountingApp, browser: httpx.AsyncClient, seconds: float | None, expected: list[int]
) -> None:
    site.seconds, counts = seconds, []
    for seconds in (0, 59, 10_000):
        site.time += seconds
        answer = await browser.get("/map", headers={"Accept-Encoding": "gzip"})
        counts.append(site.count)

        assert answer.headers["content-encoding"] == "gzip"

    assert counts == expected


@pytest.mark.parametrize(
    ("status", "media", "path", "accept"),
    [(503, "text/html", "/map", "text/html"), (200, "text/csv", "/map", "text/html"), (200, "text/html", "/sparql", "text/html"),
     (200, "application/json", "/map", "application/json")],
)  # fmt: skip
async def test_what_is_no_page_of_the_portal_is_made_each_time(
    site: CountingApp, browser: httpx.AsyncClient, status: int, media: str, path: str, accept: str
) -> None:
    site.status, site.media = status, media

    answers = [
        await browser.get(path, headers={"Accept": accept, "Accept-Encoding": "gzip"})
        for _ in range(2)
    ]

    assert (
        site.count, {answer.status_code for answer in answers}, {answer.headers.get("content-encoding") for answer in answers},
    ) == (
        2, {status}, {None},
    )  # fmt: skip


async def test_a_page_goes_packed_to_those_who_take_it_so_under_a_tag_of_its_own(
    site: CountingApp, browser: httpx.AsyncClient
) -> None:
    async with browser.stream(
        "GET", "/map", headers={"Accept-Encoding": "br, gzip;q=0.5"}
    ) as packed:
        body = b"".join([part async for part in packed.aiter_raw()])
    plain = await browser.get("/map", headers={"Accept-Encoding": "gzip;q=0, identity"})

    assert (gzip.decompress(body), plain.content) == (b"page 1 of /map?", b"page 1 of /map?")
    results = [packed.headers[name] for name in ("etag", "content-encoding", "content-length")]
    assert results == ['"1-gzip"', "gzip", str(len(body))]
    assert (plain.headers["etag"], plain.headers.get("content-encoding")) == ('"1"', None)
    assert "Accept-Encoding" in plain.headers["vary"]


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [("If-None-Match", '"1"', 304), ("If-None-Match", '"0", W/"1-gzip"', 304), ("If-None-Match", '"0"', 200),
     ("If-Modified-Since", "Sun, 01 Mar 2026 08:00:00 GMT", 304), ("If-Modified-Since", "Sun, 01 Mar 2026 08:00:01 GMT", 200)],
)  # fmt: skip
async def test_a_reader_who_holds_the_page_is_not_sent_it_again(
    browser: httpx.AsyncClient, name: str, value: str, status: int
) -> None:
    answer = await browser.get("/map", headers={name: value})

    assert (answer.status_code, bool(answer.content)) == (status, status == 200)
